//! Programs that were made before: containers mostly differ in nothing that a filter depends on.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Mutex, PoisonError};

use crate::{Error, Profile, Program};

/// Profiles come from users: the oldest goes when there are so many.
const ENTRIES: usize = 32;

struct Entry {
    digest: u64,
    profile: Profile,
    capabilities: u64,
    kernel: (u32, u32),
    program: Program,
}

static CACHE: Mutex<Vec<Entry>> = Mutex::new(Vec::new());

/// The program for a profile, from the cache if it is there.
pub(crate) fn compile(profile: &Profile, capabilities: u64, kernel: (u32, u32)) -> Result<Program, Error> {
    let mut hasher = DefaultHasher::new();
    (profile, capabilities, kernel).hash(&mut hasher);
    let digest = hasher.finish();
    let is_it = |entry: &&Entry| {
        entry.digest == digest
            && entry.capabilities == capabilities
            && entry.kernel == kernel
            && entry.profile == *profile
    };
    let lock = || CACHE.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(entry) = lock().iter().find(is_it) {
        return Ok(entry.program.clone());
    }
    let program = crate::compile_rules(&profile.resolve(capabilities, kernel)?)?;
    let entry = Entry { digest, profile: profile.clone(), capabilities, kernel, program: program.clone() };
    let mut entries = lock();
    if entries.len() >= ENTRIES {
        entries.remove(0);
    }
    entries.push(entry);
    Ok(program)
}
