//! What the engine asks for, and the answers. Each request ends in exactly one reply; a few are answered later.

use std::os::fd::OwnedFd;

use runtime::LaunchError;

use crate::connections::Asker;
use crate::container::{Container, Phase, Run};
use crate::event_loop::Monitor;
use crate::protocol::{AttachSpec, Body, ErrorKind, Reply, Request, Status, StatusReply};
use crate::tasks::{Owner, Task};

/// Why a request was not done.
#[derive(Debug)]
pub(crate) struct Refusal {
    kind: ErrorKind,
    message: String,
}

impl Refusal {
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    pub fn into_message(self) -> String {
        self.message
    }

    pub fn system(what: &str, error: impl std::fmt::Display) -> Self {
        Self::new(ErrorKind::System, format!("{what}: {error}"))
    }
}

impl From<LaunchError> for Refusal {
    fn from(error: LaunchError) -> Self {
        Self { kind: error.kind.into(), message: error.message }
    }
}

impl From<cgroup::Error> for Refusal {
    fn from(error: cgroup::Error) -> Self {
        let mut message = error.to_string();
        let mut source = std::error::Error::source(&error);
        while let Some(error) = source {
            message = format!("{message}: {error}");
            source = error.source();
        }
        Self { kind: ErrorKind::System, message }
    }
}

impl Monitor {
    /// Does what a request asks for.
    pub fn request(&mut self, connection: u32, request: Request, fds: Vec<OwnedFd>) {
        let asker = Asker { connection, seq: request.seq };
        let answer = self
            .answer(asker, request.body, fds)
            .unwrap_or_else(|refusal| Some(Reply::Error { kind: refusal.kind, message: refusal.message }));
        if let Some(reply) = answer {
            self.reply(asker, reply);
        }
        // Whatever happened to sessions meanwhile happens after the reply.
        for (key, code) in std::mem::take(&mut self.early) {
            self.ended(key, code);
        }
        let keys: Vec<u32> = self.tasks.keys().copied().collect();
        for key in keys {
            self.settle(key);
        }
    }

    /// `None`: the answer comes later.
    fn answer(&mut self, asker: Asker, body: Body, fds: Vec<OwnedFd>) -> Result<Option<Reply>, Refusal> {
        let mut fds = fds;
        let done = match body {
            Body::Prepare(spec) => {
                self.prepare(spec);
                return Ok(None);
            }
            Body::Hold(roles) => {
                self.hold(roles, fds);
                return Ok(None);
            }
            Body::Start(spec) => return self.start(spec, fds).map(Some),
            Body::Attach(spec) => self.attach(spec, fds.pop()),
            Body::Expect { id, plan, streams } => {
                self.expect(id, *plan, streams.zip(fds.pop()));
                return Ok(None);
            }
            Body::Exec(spec) => return self.exec(*spec, fds.pop()).map(Some),
            Body::Signal { signal } => self.signal(signal),
            Body::SignalExec { id, signal } => self.signal_exec(&id, signal),
            Body::Resize { exec, width, height } => self.resize(exec.as_deref(), width, height),
            Body::Pause => self.pause(),
            Body::Unpause => self.unpause(),
            Body::Stop { signal, timeout } => return self.stop(asker, signal, timeout),
            Body::Update { resources, restart } => self.update(resources, restart),
            Body::Rename { name, tag } => self.started().map(|container| {
                container.spec.name = name;
                container.spec.log.tag = tag;
            }),
            Body::Names(spec) => self.begin_names(spec),
            Body::Redirect(moves) => {
                self.relays.redirect(&moves);
                Ok(())
            }
            Body::Publish { relays, .. } => self.started().map(drop).map(|()| {
                self.relays.start(&relays, fds.into_iter().enumerate().collect());
            }),
            Body::Status => return self.status().map(Some),
            Body::HealthCheckNow => return self.check_health_now(asker),
            Body::Shutdown => {
                if self.started().is_ok_and(|container| matches!(container.phase, Phase::Ended)) {
                    self.leaving.get_or_insert(0);
                }
                Ok(())
            }
        };
        done.map(|()| Some(Reply::Done))
    }

    /// The container, whatever it does.
    pub fn started(&mut self) -> Result<&mut Container, Refusal> {
        self.container.as_mut().ok_or_else(|| Refusal::new(ErrorKind::NotRunning, "no container was started"))
    }

    /// The container while its first process lives.
    pub fn running(&mut self) -> Result<(&mut Container, &Task), Refusal> {
        let refusal =
            |id: &str| Refusal::new(ErrorKind::NotRunning, format!("container {id} is not running"));
        let Some(container) = &mut self.container else { return Err(refusal("")) };
        let task = container.run().map(|run| run.task).and_then(|task| self.tasks.get(&task));
        match task {
            Some(task) if task.exit.is_none() => Ok((container, task)),
            _ => Err(refusal(&container.spec.id)),
        }
    }

    /// The container while it runs and is not frozen; `what` would hang otherwise.
    pub fn active(&mut self, what: &str) -> Result<(&mut Container, &Task), Refusal> {
        let (container, task) = self.running()?;
        if container.state.status == Status::Paused {
            let message =
                format!("container {} is paused, unpause the container before {what}", container.spec.id);
            return Err(Refusal::new(ErrorKind::Conflict, message));
        }
        Ok((container, task))
    }

    /// A session by its name; `None` is the container's.
    pub fn session(&mut self, exec: Option<&str>) -> Result<&mut Task, Refusal> {
        let key = match exec {
            None => self.running().map(|(container, _)| container.run().map(|run: &Run| run.task))?,
            Some(id) => {
                let is_it = |task: &Task| {
                    matches!(&task.owner, Owner::Exec(name) if name == id) && task.exit.is_none()
                };
                self.tasks.iter().find(|(_, task)| is_it(task)).map(|(key, _)| *key)
            }
        };
        key.and_then(|key| self.tasks.get_mut(&key)).ok_or_else(|| {
            let id = exec.unwrap_or_default();
            Refusal::new(ErrorKind::NoSuchExec, format!("No such exec instance: {id}"))
        })
    }

    fn attach(&mut self, spec: AttachSpec, socket: Option<OwnedFd>) -> Result<(), Refusal> {
        let socket = socket.ok_or_else(|| Refusal::new(ErrorKind::Invalid, "attach without a socket"))?;
        let mut buffer = std::mem::take(&mut self.buffer);
        let attached = self
            .session(spec.exec.clone().as_deref())
            .map(|task| task.session.attach(socket, spec, &mut buffer));
        self.buffer = buffer;
        attached
    }

    fn resize(&mut self, exec: Option<&str>, width: u16, height: u16) -> Result<(), Refusal> {
        match self.session(exec)?.session.resize(width, height) {
            Ok(true) => Ok(()),
            Ok(false) => Err(Refusal::new(ErrorKind::Invalid, "cannot resize a process without a terminal")),
            Err(error) => Err(Refusal::system("set the size of a terminal", error)),
        }
    }

    fn status(&mut self) -> Result<Reply, Refusal> {
        let state = self.started()?.state.clone();
        let execs = self.tasks.values().filter_map(|task| match &task.owner {
            Owner::Exec(id) if task.exit.is_none() => Some((id.clone(), task.pid)),
            _ => None,
        });
        Ok(Reply::Status(Box::new(StatusReply { state, execs: execs.collect(), holds: true })))
    }
}
