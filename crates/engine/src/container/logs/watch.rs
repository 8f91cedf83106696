//! Waiting for changes in a folder: inotify, or looking again and again where the user's instances are used up (there are 128
//! by default, and a follower needs one). A folder, because a file that is rotated gets another name.

use std::path::Path;
use std::time::Duration;

use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use tokio::net::unix::pipe::Receiver;

const PERIOD: Duration = Duration::from_millis(200);

pub(super) enum FolderWatch {
    /// Not a pipe, but what is asked of one is a descriptor that becomes readable.
    Inotify(Receiver),
    Periodic,
}

impl FolderWatch {
    /// Changes from now on are noticed.
    pub(super) fn new(folder: &Path) -> Self {
        Self::inotify(folder).map_or(Self::Periodic, Self::Inotify)
    }

    fn inotify(folder: &Path) -> Option<Receiver> {
        let fd = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).ok()?;
        let flags = WatchFlags::MODIFY | WatchFlags::CREATE | WatchFlags::MOVED_TO | WatchFlags::ONLYDIR;
        inotify::add_watch(&fd, folder, flags).ok()?;
        Receiver::from_owned_fd_unchecked(fd).ok()
    }

    /// Returns after the next change; several may be one.
    pub(super) async fn changed(&mut self) {
        let Self::Inotify(events) = self else { return tokio::time::sleep(PERIOD).await };
        if events.readable().await.is_err() {
            return tokio::time::sleep(PERIOD).await;
        }
        // What changed is found by looking.
        let mut space = [0; 4096];
        while events.try_read(&mut space).is_ok_and(|count| count > 0) {}
    }
}
