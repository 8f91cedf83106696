//! Registries that this process speaks to itself, without an engine: the engine's own settings for them, the user's
//! credentials.

use distribution::{Purpose, Registries, Repository, hosts_in_place};
use image::Reference;

use super::{Context, registry_auth};
use crate::role::engine;

/// Registries as the user and the machine's settings have them.
pub struct Access<'a> {
    context: &'a Context,
    registries: Registries,
}

impl<'a> Access<'a> {
    /// `insecure` are names of registries that may be spoken to without a valid certificate, or in plain HTTP.
    pub fn new(context: &'a Context, insecure: Vec<String>) -> anyhow::Result<Self> {
        let mut config = engine::registries()?;
        config.insecure.extend(insecure);
        Ok(Self { context, registries: Registries::new(config) })
    }

    /// Opens a reference's repository.
    pub async fn open(&self, reference: &Reference, purpose: &Purpose) -> anyhow::Result<Repository> {
        let needed = if purpose.write { registry_auth::Purpose::Write } else { registry_auth::Purpose::Read };
        let auth = registry_auth::find(self.context, &reference.registry, needed).await?;
        let mut purpose = purpose.clone();
        for host in self.mirrors(reference, &purpose).await? {
            let login = registry_auth::find(self.context, &host, registry_auth::Purpose::Read).await?;
            purpose.logins.extend(login);
        }
        let opened = Repository::open(&self.registries, reference, auth.as_ref(), &purpose).await;
        opened.map_err(|error| anyhow::Error::msg(error.message()))
    }

    async fn mirrors(&self, reference: &Reference, purpose: &Purpose) -> anyhow::Result<Vec<String>> {
        if purpose.write {
            return Ok(Vec::new());
        }
        let hosts = hosts_in_place(&self.registries, reference).await;
        hosts.map_err(|error| anyhow::Error::msg(error.message()))
    }
}
