//! How much a container uses: its cgroup's counters and its interfaces', once or every second.

mod sample;

use std::sync::Arc;
use std::time::Duration;

use api::*;
use cgroup::Cgroup;
use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

use self::sample::Sample;
use super::model::Container;
use super::modes::Network;
use super::status::NEVER;
use crate::Engine;
use crate::blocking::blocking;
use crate::error::{Error, Result};

const PERIOD: Duration = Duration::from_secs(1);

impl Engine {
    /// Samples every second while the container exists, also while it does not run; without `stream` one that has the sample of
    /// a second earlier beside it, and with `one_shot` one at once.
    pub async fn container_stats(
        &self,
        id: &str,
        stream: bool,
        one_shot: bool,
    ) -> Result<mpsc::Receiver<Result<ContainerStatsResponse>>> {
        let container = self.containers.find(id)?;
        let host =
            blocking(|| cgroup::Host::detect().map_err(|error| Error::host("find cgroups", error))).await?;
        let source = Source {
            group: Cgroup::open(&host, &container.cgroup_path(&self.config)),
            container: Arc::clone(&container),
        };
        let (sender, receiver) = mpsc::channel(1);
        tokio::spawn(async move {
            if stream {
                source.stream(sender).await;
            } else {
                let answer = source.once(one_shot).await;
                let _ = sender.send(answer).await;
            }
        });
        Ok(receiver)
    }
}

/// Where samples come from.
struct Source {
    container: Arc<Container>,
    group: Cgroup,
}

impl Source {
    async fn stream(&self, sender: mpsc::Sender<Result<ContainerStatsResponse>>) {
        let mut life = self.container.watch();
        let mut clock = tokio::time::interval(PERIOD);
        clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut before = None;
        loop {
            tokio::select! {
                () = sender.closed() => return,
                gone = life.wait_for(|life| life.removed) => {
                    drop(gone);
                    return;
                }
                _ = clock.tick() => {}
            }
            let now = self.sample().await;
            let answer = self.answer(before.take(), now.as_ref());
            before = now;
            if sender.send(Ok(answer)).await.is_err() {
                return;
            }
        }
    }

    async fn once(&self, one_shot: bool) -> Result<ContainerStatsResponse> {
        let first = self.sample().await;
        if one_shot || first.is_none() {
            return Ok(self.answer(None, first.as_ref()));
        }
        tokio::time::sleep(PERIOD).await;
        let second = self.sample().await;
        Ok(self.answer(first, second.as_ref()))
    }

    /// What is used now; None when nothing runs (any more).
    async fn sample(&self) -> Option<Sample> {
        let run = self.container.status().run()?;
        let group = self.group.clone();
        let own_network = Network::parse(&self.container.record().host.network_mode) != Network::Host;
        let read = blocking(move || {
            let used = group.stats().map_err(|error| Error::host("read cgroup statistics", error))?;
            Ok(Sample {
                time: Timestamp::now(),
                used,
                host: sample::Host::read(),
                networks: own_network.then(|| sample::networks(run.pid)),
            })
        });
        match read.await {
            Ok(sample) => Some(sample),
            // It has just ended, most likely.
            Err(error) => {
                tracing::debug!(container = self.container.id, %error, "no statistics");
                None
            }
        }
    }

    fn answer(&self, before: Option<Sample>, now: Option<&Sample>) -> ContainerStatsResponse {
        let mut answer = now.map(Sample::wire).unwrap_or_default();
        answer.name = format!("/{}", self.container.name());
        answer.id.clone_from(&self.container.id);
        if now.is_none() {
            NEVER.clone_into(&mut answer.read);
        }
        match before {
            Some(before) if now.is_some() => {
                answer.preread = before.time.to_string();
                answer.precpu_stats = before.cpu();
            }
            _ => NEVER.clone_into(&mut answer.preread),
        }
        answer
    }
}

#[cfg(test)]
mod tests {
    use cgroup::Resources;

    use super::*;
    use crate::testing::{self, Process};

    /// A container whose process is in a cgroup; all of it goes with this value.
    struct Running {
        container: Arc<Container>,
        group: Cgroup,
        _process: Process,
    }

    impl Running {
        fn new(engine: &Engine, name: &str) -> Self {
            let parent = format!("naru-stats-test-{}", std::process::id());
            let container = testing::container(engine, name, |record| {
                record.host.resources.cgroup_parent = format!("/{parent}");
            });
            let host = cgroup::Host::detect().unwrap();
            let limits = Resources::default();
            let group = Cgroup::create(&host, &container.cgroup_path(engine.config()), &limits).unwrap();
            let process = Process::start(&container);
            group.add(container.status().run().unwrap().pid).unwrap();
            Self { container, group, _process: process }
        }
    }

    impl Drop for Running {
        fn drop(&mut self) {
            self.group.remove().unwrap();
            let parent = self.group.path().rsplit_once('/').unwrap().0;
            Cgroup::open(self.group.host(), parent).remove().unwrap();
        }
    }

    async fn first(engine: &Engine, stream: bool, one_shot: bool) -> ContainerStatsResponse {
        let mut samples = engine.container_stats("web", stream, one_shot).await.unwrap();
        samples.recv().await.unwrap().unwrap()
    }

    #[test]
    fn a_running_container_is_measured() {
        testing::world(async |engine| {
            let running = Running::new(engine, "web");
            let seen = first(engine, false, true).await;
            assert_eq!((seen.name.as_str(), seen.id.as_str()), ("/web", running.container.id.as_str()));
            assert_eq!((seen.pids_stats.current, seen.preread.as_str()), (1, NEVER));
            assert!(
                seen.memory_stats.limit > 0
                    && seen.cpu_stats.online_cpus > 0
                    && seen.cpu_stats.system_cpu_usage > 0
            );
            let networks: Vec<String> = seen.networks.unwrap_or_default().into_keys().collect();
            assert!(networks.is_empty(), "{networks:?}");
            let seen = first(engine, false, false).await;
            assert!(seen.precpu_stats.system_cpu_usage < seen.cpu_stats.system_cpu_usage);
            assert_ne!(seen.preread, NEVER);
            let mut samples = engine.container_stats("web", true, false).await.unwrap();
            let one = samples.recv().await.unwrap().unwrap();
            let two = samples.recv().await.unwrap().unwrap();
            assert_eq!((one.preread.as_str(), two.preread), (NEVER, one.read));
        });
    }

    #[test]
    fn a_stopped_container_uses_nothing_until_it_is_gone() {
        testing::world(async |engine| {
            let web = testing::container(engine, "web", |_| {});
            let seen = first(engine, false, false).await;
            assert_eq!(
                seen,
                ContainerStatsResponse {
                    name: "/web".into(),
                    id: web.id.clone(),
                    read: NEVER.into(),
                    preread: NEVER.into(),
                    ..Default::default()
                }
            );
            let mut samples = engine.container_stats("web", true, false).await.unwrap();
            assert_eq!(samples.recv().await.unwrap().unwrap(), seen);
            web.change(|life| life.removed = true);
            while samples.recv().await.is_some() {}
        });
    }
}
