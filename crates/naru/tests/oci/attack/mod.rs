//! Attacks on the runtime from inside a container, from its image, its volumes and its configuration. Each test does what the
//! attack does, shows that it got as far as it can, and that it was stopped; without the defence it fails. Each has been seen to
//! fail with what the right column names taken out of the runtime, and nothing else:
//!
//! | tests | CVE | defence |
//! |---|---|---|
//! | `binds` | 2021-30465 | `RESOLVE_IN_ROOT` of every path (`runtime::root`) |
//! | `descriptors::are_not_the_programs` | 2024-21626 | all are closed at `execve` (`process`) |
//! | `descriptors::do_not_wait…` | 2024-21626 | the caller's are closed when the runtime executes itself again (`seal`) |
//! | `descriptors::that_are_the_programs…` | 2024-21626 | the look at the current folder (`process::check_cwd`) |
//! | `devices::paths_are_masked…` | 2025-31133 | the host's null device, by descriptor (`masks`) |
//! | `devices::the_console…` | 2025-52565 | no link on the way to /dev/console (`devices::console`) |
//! | `devices::the_terminal…` | 2025-52565 | no link on the way to /dev/pts/ptmx (`terminal`) |
//! | `devices::a_file…`, `…has_no_name` | 2025-52565 | devpts alone makes terminals; the other end by ioctl (`terminal`) |
//! | `exe` | 2019-5736 | a read-only mount of our own program (`seal`) |
//! | `kernel::the_core_dump…` | | read-only paths; the bounding set |
//! | `kernel::no_release_agent…` | | read-only cgroups (`cgroup_view`); the bounding set |
//! | `kernel::the_filter…` | | the filter; its look at arguments; its tables for x32 and 32-bit calls |
//! | `keys` | | a new session keyring; masked paths |
//! | `loot` | (2016-9962) | a forerunner outside of the pid namespace (`birth`); an environment of known variables (`seal`) |
//! | `privileges` | 2022-24769, 2022-29162 | nothing inheritable but what was given (`process::confine`) |
//! | `proc::as_a_link…` | 2019-19921, 2023-27561 | proc and sysfs on ordinary folders only (`child::target`) |
//! | `proc::as_a_volume…` | 2019-16884, 2025-52881 | no mounts inside /proc; writes go to the host's procfs (`process::write_proc`) |
//! | `trace` | 2016-9962 | undumpable from before its birth (`hidden`) |

mod binds;
mod descriptors;
mod devices;
mod exe;
mod kernel;
mod keys;
mod loot;
mod privileges;
mod proc;
mod races;
mod trace;
