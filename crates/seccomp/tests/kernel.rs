//! The kernel takes the programs and does what they say: a child installs one and makes real calls.

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketType};
use rustix::process::{PidfdFlags, WaitId, WaitIdOptions};
use seccomp::{Profile, Program};

/// The capabilities that Docker gives.
const DOCKER: u64 = 0xa804_25fb;

/// Runs `body` in a child under the filter; its result is the child's exit code, 100 where the filter could not be installed.
/// The child has its parent's other threads' locks: `body` must not allocate.
fn under(program: &Program, body: impl FnOnce() -> i32) -> i32 {
    let child = sys::clone3(0, None, || {
        let installed = rustix::thread::set_no_new_privs(true).map_err(std::io::Error::from);
        match installed.and_then(|()| sys::seccomp::install(&program.instructions, program.flags)) {
            Ok(None) => body(),
            _ => 100,
        }
    })
    .unwrap();
    let status =
        rustix::process::waitid(WaitId::PidFd(std::os::fd::AsFd::as_fd(&child.pidfd)), WaitIdOptions::EXITED);
    let status = status.unwrap().unwrap();
    status.exit_status().unwrap_or_else(|| 128 + status.terminating_signal().unwrap())
}

fn socket(family: u16) -> Result<(), Errno> {
    rustix::net::socket(AddressFamily::from_raw(family), SocketType::SEQPACKET, None).map(drop)
}

/// The number of the first answer that is not as expected.
fn first_wrong<const N: usize>(answers: [bool; N]) -> i32 {
    answers.iter().position(|right| !right).map_or(0, |index| index as i32 + 1)
}

#[test]
fn an_ordinary_container_may_what_docker_lets_it() {
    let program = seccomp::compile(Profile::docker_default(), DOCKER, (6, 1)).unwrap();
    let code = under(&program, || {
        let mount = rustix::mount::mount(c"", c"/nonexistent", c"", rustix::mount::MountFlags::empty(), None);
        let pidfd = rustix::process::pidfd_open(rustix::process::getpid(), PidfdFlags::empty());
        // Without something that only clone3 can do, the wrapper would fall back to clone.
        let clone = sys::clone3(sys::clone::NEWTIME, None, || 0);
        first_wrong([
            mount == Err(Errno::PERM),
            pidfd.is_ok(),
            clone.is_err_and(|error| error.raw_os_error() == Some(Errno::NOSYS.raw_os_error())),
            socket(1).is_ok(),
            socket(38) == Err(Errno::PERM),
            socket(40) == Err(Errno::PERM),
            // Of a family that does not exist the kernel itself says so.
            socket(100) == Err(Errno::AFNOSUPPORT),
            sys::process::set_personality(0xffff_ffff).is_ok(),
            sys::process::set_personality(0x0040_0000).is_err(),
        ])
    });
    assert_eq!(code, 0);
}

#[test]
fn a_capability_opens_its_calls() {
    let program = seccomp::compile(Profile::docker_default(), sys::caps::ALL, (6, 1)).unwrap();
    let code = under(&program, || {
        let mount = rustix::mount::mount(c"", c"/nonexistent", c"", rustix::mount::MountFlags::empty(), None);
        first_wrong([mount != Err(Errno::NOSYS), sys::clone3(0, None, || 0).is_ok()])
    });
    assert_eq!(code, 0);
}

#[test]
fn every_action_is_the_kernels() {
    let under = |action: &str| {
        let json = format!(
            r#"{{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{{"names": ["getppid"], "action": "{action}"}}]}}"#
        );
        let profile = Profile::parse(json.as_bytes()).unwrap();
        let program = seccomp::compile(&profile, 0, (6, 1)).unwrap();
        // With an errno for an answer the call has no parent to tell of.
        under(&program, || i32::from(rustix::process::getppid().is_none()))
    };
    assert_eq!(under("SCMP_ACT_ALLOW"), 0);
    assert_eq!(under("SCMP_ACT_LOG"), 0);
    for signal in ["SCMP_ACT_TRAP", "SCMP_ACT_KILL", "SCMP_ACT_KILL_THREAD", "SCMP_ACT_KILL_PROCESS"] {
        assert_eq!(under(signal), 128 + 31, "{signal}");
    }
}
