//! Overlay file systems by `mount(2)`, for kernels whose new mount calls can't be given a long list of layers: one option of
//! `fsconfig` holds 255 bytes, and giving layers one by one (`lowerdir+`) came late.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;

use rustix::mount::MountFlags;

/// The first kernel that is given layers one by one. An older one takes the option and fails at the end, so it is not asked.
const LAYER_BY_LAYER: (u32, u32) = (6, 8);

/// Whether `lowerdir+` works on this kernel.
pub fn takes_layers_one_by_one() -> bool {
    crate::process::kernel_version() >= LAYER_BY_LAYER
}

/// What an overlay is put together from; folders opened in the mount namespace that it will be mounted in.
///
/// Every folder is named by its descriptor: the page of options that `mount(2)` takes has room for some 180 layers then, and
/// no name needs escaping.
#[derive(Debug, Clone, Copy)]
pub struct Folders<'a> {
    /// Top-most first.
    pub lower: &'a [OwnedFd],
    /// Upper and work folder; read-only without them.
    pub upper: Option<(&'a OwnedFd, &'a OwnedFd)>,
    /// More options, as `name=value` or `name`.
    pub options: &'a [&'a str],
}

impl Folders<'_> {
    /// Mounts it over the folder `target`, in the calling thread's mount namespace.
    pub fn mount_over(&self, target: &Path) -> io::Result<()> {
        let name = |folder: &OwnedFd| format!("/proc/self/fd/{}", folder.as_raw_fd());
        let lower: Vec<String> = self.lower.iter().map(name).collect();
        let mut options = format!("lowerdir={}", lower.join(":"));
        let mut flags = MountFlags::RDONLY;
        if let Some((upper, work)) = self.upper {
            options.push_str(&format!(",upperdir={},workdir={}", name(upper), name(work)));
            flags = MountFlags::empty();
        }
        for option in self.options {
            options.push(',');
            options.push_str(option);
        }
        rustix::mount::mount("overlay", target, "overlay", flags, CString::new(options)?.as_c_str())?;
        Ok(())
    }
}
