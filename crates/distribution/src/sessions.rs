//! The places that stand for one repository: mirrors first, the registry last. Whoever fails is left for good, and the next one
//! goes on where it stopped, as in a pull.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use image::Reference;
use tokio::sync::OnceCell;

use crate::auth::Auth;
use crate::config::{Registries, Retry};
use crate::credentials::hostname;
use crate::endpoint::{Endpoint, Purpose, endpoints_for};
use crate::error::{Error, Result};
use crate::pull::may_fall_back;
use crate::session::{Access, Session};

/// Sessions at each place, opened when they are needed.
pub(crate) struct Sessions {
    registries: Registries,
    repository: String,
    access: Access,
    /// Credentials for the registry, then the user's own ones for hosts in its place.
    auths: (Option<Auth>, Vec<Auth>),
    also_pull: Vec<String>,
    places: Vec<(Endpoint, OnceCell<Arc<Session>>)>,
    /// The first place that has not failed.
    first: AtomicUsize,
}

impl Sessions {
    /// Makes contact with the first place that answers. A push stays with it.
    pub async fn open(
        registries: &Registries,
        reference: &Reference,
        auths: (Option<Auth>, Vec<Auth>),
        access: Access,
        also_pull: &[String],
    ) -> Result<Sessions> {
        let purpose = match access {
            Access::Pull => Purpose::Pull,
            Access::PullPush => Purpose::Push,
        };
        let endpoints = endpoints_for(registries, reference, purpose).await?;
        let mut sessions = Sessions {
            registries: registries.clone(),
            repository: reference.repository.clone(),
            access,
            auths,
            also_pull: also_pull.to_vec(),
            places: endpoints.into_iter().map(|endpoint| (endpoint, OnceCell::new())).collect(),
            first: AtomicUsize::new(0),
        };
        let at =
            sessions.with(false, |session| async move { Ok(session) }).await.map(|_| sessions.first())?;
        if access == Access::PullPush {
            sessions.places = vec![sessions.places.swap_remove(at)];
            sessions.first = AtomicUsize::new(0);
        }
        Ok(sessions)
    }

    pub fn retry(&self) -> Retry {
        self.registries.config().retry
    }

    fn first(&self) -> usize {
        self.first.load(Ordering::Acquire)
    }

    /// The place that is asked for content now.
    pub async fn current(&self) -> Result<(usize, Arc<Session>)> {
        loop {
            let at = self.first();
            match self.session(at).await {
                Ok(session) => return Ok((at, session)),
                Err(error) if self.leave(at, &error) => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// After a failure at a place: whether there is another one to go on with.
    pub fn leave(&self, at: usize, error: &Error) -> bool {
        let (endpoint, opened) = &self.places[at];
        // What an open connection says counts, unless somebody else may know better.
        if !may_fall_back(endpoint, error) || (opened.initialized() && !endpoint.mirror) {
            return false;
        }
        if at + 1 == self.places.len() {
            return false;
        }
        tracing::info!(endpoint = endpoint.base, error = error.message(), "going on at the next endpoint");
        let _ = self.first.compare_exchange(at, at + 1, Ordering::AcqRel, Ordering::Acquire);
        true
    }

    /// Does something at the first place where it works. `by_tag`: some may be asked for content only.
    pub async fn with<T, F>(&self, by_tag: bool, work: impl Fn(Arc<Session>) -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        let mut last = None;
        for at in self.first()..self.places.len() {
            if by_tag && !self.places[at].0.resolves {
                continue;
            }
            let outcome = match self.session(at).await {
                Ok(session) => work(session).await,
                Err(error) => Err(error),
            };
            match outcome {
                Err(error) if self.leave(at, &error) => last = Some(error),
                outcome => return outcome,
            }
        }
        let none = || Error::Configuration(format!("no host may resolve tags of {}", self.repository));
        Err(last.unwrap_or_else(none))
    }

    async fn session(&self, at: usize) -> Result<Arc<Session>> {
        let (endpoint, cell) = &self.places[at];
        let (own, others) = &self.auths;
        let auth = match endpoint.own {
            true => own.as_ref(),
            false => others.iter().find(|auth| hostname(&auth.server_address) == endpoint.host),
        };
        let opened = cell.get_or_try_init(|| async {
            let opened =
                Session::open(&self.registries, endpoint.clone(), &self.repository, auth, self.access);
            let mut session = opened.await?;
            session.also_pull(self.also_pull.iter().cloned());
            Ok(Arc::new(session))
        });
        opened.await.cloned()
    }
}

/// The hosts that may be asked in a registry's place when an image is read, for which the user may have logins.
pub async fn hosts_in_place(registries: &Registries, reference: &Reference) -> Result<Vec<String>> {
    let endpoints = endpoints_for(registries, reference, Purpose::Pull).await?;
    let mut hosts: Vec<String> =
        endpoints.into_iter().filter(|endpoint| !endpoint.own).map(|endpoint| endpoint.host).collect();
    hosts.dedup();
    Ok(hosts)
}
