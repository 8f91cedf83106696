//! Processes that must not be looked into. A copy of the launcher in a pid namespace that others are in already could be traced,
//! and its memory, descriptors and folders taken, by any of them that the kernel thinks its equal (CVE-2016-9962).

use rustix::process::{DumpableBehavior, dumpable_behavior, set_dumpable_behavior};

use crate::error::{During, Result};

/// As long as this lives the calling process, and whatever it clones, cannot be traced or looked into by processes without
/// `CAP_SYS_PTRACE`. A clone stays so until its `execve`: there is no moment in which it is not.
pub struct Hidden(DumpableBehavior);

impl Hidden {
    /// Hides the caller.
    pub fn hide() -> Result<Self> {
        let what = || "make the process undumpable".to_owned();
        let before = dumpable_behavior().during("launch", what)?;
        set_dumpable_behavior(DumpableBehavior::NotDumpable).during("launch", what)?;
        Ok(Self(before))
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        // One who was undumpable for another reason (2, a setuid program's) cannot say so again, and stays hidden.
        let _ = set_dumpable_behavior(self.0);
    }
}
