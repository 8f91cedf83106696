//! Giving back and finding again: what a container had when it ends, what live containers have when an engine starts, and
//! everything when the engine is taken off the host. Teardown goes on to the end and returns what failed.

use std::collections::BTreeSet;

use crate::error::Error;
use crate::firewall::{self, Elements};
use crate::options::BridgeOptions;
use crate::record::Attachment;
use crate::{Inner, lock};

impl Inner {
    /// See [`crate::Networks::release`].
    pub(crate) fn release(&self, container_id: &str) -> Vec<Error> {
        let mut errors = Vec::new();
        let attachment = {
            let mut state = lock(&self.state);
            let Some(attachment) = state.attachments.remove(container_id) else { return errors };
            for endpoint in &attachment.endpoints {
                state.drop_endpoint(endpoint);
            }
            attachment
        };
        errors.extend(self.unpublish(&attachment).err());
        errors.extend(self.unlink(&attachment.endpoints).err());
        errors.extend(self.folders.save_attachment(container_id, &Attachment::default()).err());
        for endpoint in &attachment.endpoints {
            errors.extend(self.write_zone(&endpoint.network_id).err());
        }
        errors
    }

    /// Takes a container's published ports and links out of the rules; its record is gone from the state already.
    fn unpublish(&self, attachment: &Attachment) -> Result<(), Error> {
        let mut elements = Elements::new();
        for binding in &attachment.bindings {
            firewall::merge(&mut elements, firewall::of_binding(binding, ""));
        }
        for link in &attachment.links {
            firewall::merge(&mut elements, firewall::of_link(link));
        }
        if elements.is_empty() {
            return Ok(());
        }
        lock(&self.firewall).remove(&elements, &|| self.wanted())
    }

    /// See [`crate::Networks::adopt`].
    pub(crate) fn adopt(&self, live: &[String]) -> Vec<Error> {
        let live: BTreeSet<&str> = live.iter().map(String::as_str).collect();
        let known: Vec<String> = lock(&self.state).attachments.keys().cloned().collect();
        let mut errors = Vec::new();
        let mut in_use = BTreeSet::new();
        for container_id in known {
            if !live.contains(container_id.as_str()) {
                // Only the records: the rules are put right once, below.
                let mut state = lock(&self.state);
                let attachment = state.attachments.remove(&container_id).unwrap_or_default();
                for endpoint in &attachment.endpoints {
                    state.drop_endpoint(endpoint);
                }
                drop(state);
                errors.extend(self.forget_links(&attachment.endpoints).err());
                errors.extend(self.folders.save_attachment(&container_id, &Attachment::default()).err());
                continue;
            }
            let state = lock(&self.state);
            let attachment = state.attachments.get(&container_id);
            in_use.extend(attachment.into_iter().flat_map(|attachment| {
                attachment.endpoints.iter().map(|endpoint| endpoint.network_id.clone())
            }));
        }
        let known: Vec<String> = lock(&self.state).networks.keys().cloned().collect();
        for network_id in known {
            errors.extend(self.write_zone(&network_id).err());
        }
        for network_id in in_use {
            let Some(network) = lock(&self.state).networks.get(&network_id).cloned() else { continue };
            if let Some(options) = BridgeOptions::of(&network) {
                errors.extend(self.ensure_network(&network, &options, true).err());
            }
        }
        errors
    }

    /// See [`crate::Networks::rename`].
    pub(crate) fn rename(&self, container_id: &str, name: &str) -> Vec<Error> {
        let mut state = lock(&self.state);
        let Some(attachment) = state.attachments.get_mut(container_id) else { return Vec::new() };
        for endpoint in &mut attachment.endpoints {
            for known in &mut endpoint.dns_names {
                if *known == endpoint.container_name {
                    name.clone_into(known);
                }
            }
            name.clone_into(&mut endpoint.container_name);
        }
        let attachment = attachment.clone();
        for endpoint in &attachment.endpoints {
            state.place(endpoint);
        }
        drop(state);
        let mut errors: Vec<Error> =
            self.folders.save_attachment(container_id, &attachment).err().into_iter().collect();
        for endpoint in &attachment.endpoints {
            errors.extend(self.write_zone(&endpoint.network_id).err());
        }
        errors
    }

    /// See [`crate::Networks::teardown`].
    pub(crate) fn teardown(&self) -> Vec<Error> {
        self.pool.close();
        let mut errors = Vec::new();
        if matches!(self.home.enter_if_there(|| ()), Ok(None)) {
            return errors;
        }
        let bridges: Vec<String> = {
            let state = lock(&self.state);
            state.networks.values().filter_map(BridgeOptions::of).map(|options| options.bridge).collect()
        };
        lock(&self.bridges).clear();
        for bridge in bridges {
            errors.extend(self.host.delete_link(&bridge).err());
        }
        errors.extend(lock(&self.firewall).clear().err());
        errors
    }
}
