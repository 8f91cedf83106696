//! Processes of a container, as `ps` on the host would show them (moby `daemon/top_unix.go`), read from `/proc`.
//!
//! ```text
//! ps_args ──options──▶ columns ──┐
//! cgroup ──pids──▶ /proc/<pid> ──┴─▶ rows
//! ```

mod column;
mod options;
mod process;

use api::*;
use cgroup::Cgroup;

use self::process::{Host, Process};
use super::kill::not_running;
use super::status::Status;
use crate::Engine;
use crate::blocking::blocking;
use crate::error::{Error, Result};

impl Engine {
    pub async fn container_top(&self, id: &str, ps_args: &str) -> Result<ContainerTopResponse> {
        let columns = options::parse(if ps_args.is_empty() { "-ef" } else { ps_args })?;
        let container = self.containers.find(id)?;
        let run = match container.status() {
            Status::Restarting => {
                return Err(Error::conflict(format!(
                    "Container {} is restarting, wait until the container is running",
                    container.id
                )));
            }
            status => status.run().ok_or_else(|| not_running(&container.id))?,
        };
        let path = container.cgroup_path(&self.config);
        let titles = columns.iter().map(|column| column.title.clone()).collect();
        let processes = blocking(move || {
            let fail = |error| Error::host("list the container's processes", error);
            let host = cgroup::Host::detect().map_err(fail)?;
            let mut pids = Cgroup::open(&host, &path).pids().map_err(fail)?;
            if pids.is_empty() {
                pids.push(run.pid);
            }
            let host = Host::read();
            // Who has ended meanwhile is no longer there.
            let processes = pids.into_iter().filter_map(Process::read);
            let row = |process: Process| columns.iter().map(|column| column.value(&process, &host)).collect();
            Ok(processes.map(row).collect())
        })
        .await?;
        self.container_event(&container, "top", &[]);
        Ok(ContainerTopResponse { processes: Some(processes), titles: Some(titles) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Process as Running, container, world};

    #[test]
    fn the_default_is_ps_ef() {
        world(async |engine| {
            let web = container(engine, "web", |_| {});
            let error = engine.container_top("web", "").await.unwrap_err();
            assert_eq!(error.message, format!("container {} is not running", web.id));
            let _process = Running::start(&web);
            let pid = web.status().run().unwrap().pid.to_string();
            let seen = engine.container_top("web", "").await.unwrap();
            let titles = ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"];
            assert_eq!(seen.titles.unwrap(), titles);
            let rows = seen.processes.unwrap();
            assert_eq!(rows.len(), 1);
            assert_eq!((rows[0][0].as_str(), &rows[0][1], rows[0][7].as_str()), ("root", &pid, "sleep 1000"));
            let error = engine.container_top("web", "-o nonsense").await.unwrap_err();
            assert_eq!(error.kind, ErrorKind::InvalidParameter);
        });
    }

    /// The real one, where the machine has it.
    #[test]
    fn rows_are_those_of_ps() {
        let ps = |args: &[&str]| {
            let output = std::process::Command::new("ps").args(args).output().ok()?;
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            let lines = text.lines().map(|line| line.split_ascii_whitespace().map(str::to_owned).collect());
            output.status.success().then(|| lines.collect::<Vec<Vec<String>>>())
        };
        let pid = std::process::id().to_string();
        for format in
            ["user,pid,ppid,stime,tty,ni,pri,sid,pgid,comm", "uid,gid,group,ruser,s,nlwp,pid,start_time"]
        {
            let Some(theirs) = ps(&["-o", format, "-p", &pid]) else { return };
            let columns = options::parse(&format!("-o {format}")).unwrap();
            let process = Process::read(pid.parse().unwrap()).unwrap();
            let ours: Vec<String> =
                columns.iter().map(|column| column.value(&process, &Host::read())).collect();
            let titles: Vec<&str> = columns.iter().map(|column| column.title.as_str()).collect();
            assert_eq!(
                (titles, ours),
                (theirs[0].iter().map(String::as_str).collect(), theirs[1].clone()),
                "{format}"
            );
        }
        for args in ["-ef", "-l", "aux", "-F", "-e", "ax"] {
            let Some(theirs) = ps(&[args, "-q", "1"]).or_else(|| ps(&[args])) else { return };
            let columns = options::parse(args).unwrap();
            let titles: Vec<&str> = columns.iter().map(|column| column.title.as_str()).collect();
            assert_eq!(titles, theirs[0], "{args}");
        }
    }
}
