//! `docker update`: new limits and restart policy, for a container that runs at once.

use api::*;
use monitor::protocol::Body;

use super::create::validate;
use super::launch::prepare::restart_policy;
use super::record::Record;
use super::status::Status;
use crate::Engine;
use crate::blocking::blocking;
use crate::error::{Error, Result};

impl Engine {
    pub async fn container_update(
        &self,
        id: &str,
        request: ContainerUpdateRequest,
    ) -> Result<ContainerUpdateResponse> {
        let container = self.containers.find(id)?;
        let _turn = self.turn(&container).await;
        if matches!(container.status(), Status::Removing | Status::Dead) {
            return Err(Error::conflict("Container is marked for removal and cannot be \"update\"."));
        }
        let old = container.record();
        let mut record: Record = (*old).clone();
        let mut errors = Vec::new();
        validate::check_resources(&request.resources, self.facts.cpus, &mut errors);
        errors.extend(validate::check_restart(&request.restart_policy).err());
        validate::one(errors)?;
        if !request.restart_policy.name.is_empty() {
            if record.host.auto_remove && request.restart_policy.name != "no" {
                return Err(Error::conflict(
                    "Restart policy cannot be updated because AutoRemove is enabled for the container",
                ));
            }
            record.host.restart_policy = request.restart_policy.clone();
        }
        merge(&mut record.host.resources, &request.resources)?;
        let (folder, written) = (container.folder.clone(), record.clone());
        let rewrite =
            move |record: Record, folder: std::path::PathBuf| blocking(move || record.write(&folder));
        rewrite(written, folder.clone()).await?;
        let restart = restart_policy(&record.host.restart_policy);
        container.set_record(record);
        if let (true, Some(monitor)) = (container.status().is_up(), container.monitor()) {
            let (engine, planned) = (self.arc()?, container.clone());
            let prepared = blocking(move || engine.prepare(&planned)).await;
            let applied = match prepared {
                Ok(spec) => {
                    let body = Body::Update {
                        resources: Some(Box::new(spec.plan.resources)),
                        restart: Some(restart),
                    };
                    monitor.request(body).await.map(drop)
                }
                Err(error) => Err(error),
            };
            if let Err(error) = applied {
                // What the kernel refuses is not recorded either.
                container.set_record((*old).clone());
                rewrite((*old).clone(), folder).await?;
                return Err(error.context(format!("Cannot update container {}", container.id)));
            }
        }
        self.container_event(&container, "update", &[]);
        Ok(ContainerUpdateResponse { warnings: Some(Vec::new()) })
    }
}

/// Takes over what is given; the rest stays (moby's `UpdateContainer`).
fn merge(own: &mut Resources, new: &Resources) -> Result<()> {
    if new.nano_cpus > 0 && (own.cpu_period > 0 || own.cpu_quota > 0) {
        return Err(Error::conflict(
            "Conflicting options: Nano CPUs cannot be updated as CPU Period has already been set",
        ));
    }
    if own.nano_cpus > 0 && (new.cpu_period > 0 || new.cpu_quota > 0) {
        return Err(Error::conflict(
            "Conflicting options: CPU Quota cannot be updated as NanoCPUs has already been set",
        ));
    }
    if new.memory != 0 && new.memory_swap == 0 && own.memory_swap > 0 && new.memory > own.memory_swap {
        return Err(Error::conflict(
            "Memory limit should be smaller than already set memoryswap limit, update the memoryswap at the same time",
        ));
    }
    let nothing = Resources::default();
    macro_rules! take {
        ($($field:ident),*) => { $( if new.$field != nothing.$field { own.$field = new.$field.clone(); } )* };
    }
    take!(
        blkio_weight,
        cpu_shares,
        nano_cpus,
        cpu_period,
        cpu_quota,
        cpu_realtime_period,
        cpu_realtime_runtime,
        cpuset_cpus,
        cpuset_mems,
        memory,
        memory_swap,
        memory_reservation,
        pids_limit
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_given_stays() {
        let mut own = Resources { memory: 7, cpu_shares: 5, pids_limit: Some(9), ..Resources::default() };
        merge(&mut own, &Resources { cpu_shares: 6, cpuset_cpus: "0".into(), ..Resources::default() })
            .unwrap();
        assert_eq!(
            (own.memory, own.cpu_shares, own.pids_limit, own.cpuset_cpus.as_str()),
            (7, 6, Some(9), "0")
        );
    }

    #[test]
    fn contradictions_with_what_is_set_are_refused() {
        let refused = |mut own: Resources, new: Resources| merge(&mut own, &new).unwrap_err().message;
        let swap = refused(
            Resources { memory: 10 << 20, memory_swap: 20 << 20, ..Resources::default() },
            Resources { memory: 30 << 20, ..Resources::default() },
        );
        assert!(swap.starts_with("Memory limit should be smaller than already set memoryswap limit"));
        let cpu = refused(
            Resources { nano_cpus: 1, ..Resources::default() },
            Resources { cpu_quota: 5000, ..Resources::default() },
        );
        assert!(cpu.contains("NanoCPUs has already been set"));
    }
}
