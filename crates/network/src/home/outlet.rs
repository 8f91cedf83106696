//! The way out, as the holder serves it: one of the programs runs, the next is tried where one cannot, and one that ends is
//! started again. It is there when its tap has a default route.
//!
//! ```text
//!   Starting ── default route ──▶ Up ── ended ──▶ Resting ── time ──▶ Starting, with the best program
//!      └── ended, too late ──▶ Starting, with the next program; after the last: Resting
//! ```

use std::io::{self, PipeReader, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use ipnet::Ipv4Net;
use netlink::route::Route;
use rustix::process::{Pid, PidfdFlags};

use super::program::{Program, is_telling};
use super::{Kind, Outlet};

/// A program has its tap within milliseconds; this is a machine under load.
const UP_WITHIN: Duration = Duration::from_secs(10);
/// From one try of all programs to the next, doubled each time up to the longest.
const REST: Duration = Duration::from_millis(500);
const LONGEST_REST: Duration = Duration::from_secs(30);
/// A program that ran for so long did run: the next failure is a new story.
const STABLE: Duration = Duration::from_secs(10);
/// Of what a program says so much is kept.
const TEXT: usize = 400;

/// What the programs are called with.
pub(super) struct Way {
    pub programs: Vec<Program>,
    pub netns: PathBuf,
    pub subnet: Ipv4Net,
}

enum State {
    /// There is no program.
    Off,
    /// The number of the program, and when it is too late for it.
    Starting(Running, usize, Instant),
    /// Since when.
    Up(Running, Instant),
    Resting(Instant),
}

/// A program and what it says.
struct Running {
    kind: Kind,
    child: Child,
    pidfd: OwnedFd,
    output: Option<PipeReader>,
    /// The last line that tells something.
    text: String,
    rest: String,
}

pub(super) struct Service {
    way: Way,
    route: Route,
    state: State,
    rest: Duration,
    problems: Vec<String>,
    outlet: Outlet,
    settled: bool,
}

impl Service {
    /// Begins. `route` is a socket in the home.
    pub fn new(way: Way, route: Route) -> Self {
        let mut service = Self {
            way,
            route,
            state: State::Off,
            rest: REST,
            problems: Vec::new(),
            outlet: Outlet::default(),
            settled: false,
        };
        if service.way.programs.is_empty() {
            service.settled = true;
        } else {
            service.start(0);
        }
        service
    }

    /// How it is; None while the first program is still starting.
    pub fn outlet(&self) -> Option<&Outlet> {
        self.settled.then_some(&self.outlet)
    }

    /// What to wait for, besides changes of routes.
    pub fn fds(&self) -> Vec<BorrowedFd<'_>> {
        match &self.state {
            State::Starting(running, ..) | State::Up(running, _) => {
                let output = running.output.as_ref().map(AsFd::as_fd);
                output.into_iter().chain([running.pidfd.as_fd()]).collect()
            }
            State::Off | State::Resting(_) => Vec::new(),
        }
    }

    /// When there is something to do even if nothing happens.
    pub fn deadline(&self) -> Option<Instant> {
        match &self.state {
            State::Starting(_, _, until) | State::Resting(until) => Some(*until),
            State::Off | State::Up(..) => None,
        }
    }

    /// Goes on from what has happened meanwhile.
    pub fn turn(&mut self) {
        match std::mem::replace(&mut self.state, State::Off) {
            State::Off => {}
            State::Starting(mut running, number, until) => {
                if let Some(problem) = running.ended() {
                    self.failed(number, problem);
                } else if self.has_way_out() {
                    if number == 0 {
                        self.problems.clear();
                    }
                    self.outlet = Outlet { program: Some(running.kind), problem: self.problems.join("; ") };
                    self.settled = true;
                    self.state = State::Up(running, Instant::now());
                } else if Instant::now() >= until {
                    let problem = format!("{} made no way out in {} s", running.kind, UP_WITHIN.as_secs());
                    running.stop();
                    self.failed(number, problem);
                } else {
                    self.state = State::Starting(running, number, until);
                }
            }
            State::Up(mut running, since) => match running.ended() {
                Some(problem) => {
                    if since.elapsed() >= STABLE {
                        self.rest = REST;
                    }
                    self.problems = vec![problem];
                    self.rest();
                }
                None => self.state = State::Up(running, since),
            },
            State::Resting(until) if Instant::now() >= until => {
                self.problems.clear();
                self.start(0);
            }
            State::Resting(until) => self.state = State::Resting(until),
        }
    }

    fn start(&mut self, number: usize) {
        let Some(program) = self.way.programs.get(number) else { return self.rest() };
        match Running::start(program, &self.way) {
            Ok(running) => {
                self.state = State::Starting(running, number, Instant::now() + UP_WITHIN);
            }
            Err(error) => {
                let problem = format!("run {}: {error}", program.path.display());
                self.failed(number, problem);
            }
        }
    }

    fn failed(&mut self, number: usize, problem: String) {
        self.problems.push(problem);
        self.start(number + 1);
    }

    fn rest(&mut self) {
        self.outlet = Outlet { program: None, problem: self.problems.join("; ") };
        self.settled = true;
        self.state = State::Resting(Instant::now() + self.rest);
        self.rest = (self.rest * 2).min(LONGEST_REST);
    }

    fn has_way_out(&mut self) -> bool {
        self.route.routes().is_ok_and(|routes| routes.iter().any(|route| route.to.is_none()))
    }
}

impl Running {
    fn start(program: &Program, way: &Way) -> io::Result<Self> {
        let (output, said) = io::pipe()?;
        rustix::io::ioctl_fionbio(&output, true)?;
        let mut child = Command::new(&program.path)
            .args(program.arguments(&way.netns, way.subnet))
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(said.try_clone()?)
            .stderr(said)
            .spawn()?;
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        let pidfd = pid
            .ok_or(rustix::io::Errno::SRCH)
            .and_then(|pid| rustix::process::pidfd_open(pid, PidfdFlags::empty()));
        match pidfd {
            Ok(pidfd) => Ok(Self {
                kind: program.kind,
                child,
                pidfd,
                output: Some(output),
                text: String::new(),
                rest: String::new(),
            }),
            Err(error) => {
                let _ = child.kill();
                let _ = child.wait();
                Err(error.into())
            }
        }
    }

    /// Why it ended, if it did.
    fn ended(&mut self) -> Option<String> {
        let status = self.child.try_wait();
        self.read();
        let how = match status {
            Ok(None) => return None,
            Ok(Some(status)) => status.to_string(),
            Err(error) => error.to_string(),
        };
        if is_telling(&self.rest) {
            self.text = std::mem::take(&mut self.rest);
        }
        Some(match self.text.trim() {
            "" => format!("{} ended: {how}", self.kind),
            text => format!("{} ended: {text} ({how})", self.kind),
        })
    }

    fn read(&mut self) {
        let mut buffer = [0; 1024];
        while let Some(output) = &mut self.output {
            match output.read(&mut buffer) {
                Ok(0) => self.output = None,
                Ok(count) => {
                    self.rest.push_str(&String::from_utf8_lossy(&buffer[..count]));
                    while let Some((line, rest)) = self.rest.split_once('\n') {
                        if is_telling(line) {
                            self.text = line.chars().take(TEXT).collect();
                        }
                        self.rest = rest.to_owned();
                    }
                    // A line without an end is cut, so that nobody fills the holder's memory.
                    if self.rest.len() > TEXT {
                        self.rest = self.rest.chars().take(TEXT / 2).collect();
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => self.output = None,
            }
        }
    }

    fn stop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
