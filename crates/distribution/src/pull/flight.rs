//! Who is working on what: two pulls that need the same layer do the work once.
//!
//! The first to claim a piece of work owns it until the claim is dropped (done, failed or cancelled); the others follow: they see
//! the owner's steps, and when it ends they look again, and take over if the work is not done.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use image::Digest;
use tokio::sync::watch;

use crate::progress::LayerStep;

/// What can be claimed. The two must not be confused: the lowest layer of an image, stored without compression, has the same
/// digest as chain id and as blob.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Work {
    /// Download and unpacking of a layer, by chain id.
    Layer(Digest),
    /// The download alone.
    Blob(Digest),
}

/// The claims that are held.
#[derive(Default, Clone)]
pub(crate) struct Downloads(Arc<Mutex<HashMap<Work, watch::Receiver<LayerStep>>>>);

pub(super) enum Claim {
    Mine(Flight),
    Theirs(watch::Receiver<LayerStep>),
}

/// An owned claim; tells its followers about each step.
pub(super) struct Flight {
    work: Work,
    downloads: Downloads,
    steps: watch::Sender<LayerStep>,
}

impl Downloads {
    pub(super) fn claim(&self, work: Work) -> Claim {
        let mut flights = self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some(steps) = flights.get(&work) {
            return Claim::Theirs(steps.clone());
        }
        let (sender, receiver) = watch::channel(LayerStep::Waiting);
        flights.insert(work.clone(), receiver);
        Claim::Mine(Flight { work, downloads: self.clone(), steps: sender })
    }
}

impl Flight {
    pub fn step(&self, step: LayerStep) {
        self.steps.send_replace(step);
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        let mut flights = self.downloads.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        flights.remove(&self.work);
    }
}

/// Shows the owner's steps until it is done or gone.
pub(super) async fn follow(mut steps: watch::Receiver<LayerStep>, show: impl Fn(LayerStep)) {
    while steps.changed().await.is_ok() {
        let step = steps.borrow_and_update().clone();
        show(step);
    }
}
