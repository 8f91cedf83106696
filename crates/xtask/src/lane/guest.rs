//! The first process of the lane's machine: this same program, started by the kernel. It makes the world that tests expect, with
//! cgroup v2 as a host with systemd has it, runs the listed programs and switches the machine off.

use std::ffi::CStr;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use rustix::mount::{MountFlags, mount, mount_bind, mount_move};

/// The argument that makes this program the first process.
pub const ROLE: &str = "guest";
/// The same, to be followed by systemd.
pub const SYSTEMD_ROLE: &str = "guest-systemd";
/// What systemd starts.
const SERVICE_ROLE: &str = "guest-service";
/// Where it is in the guest.
pub const INIT: &str = "/init";
/// Where the modules are, numbered in the order of loading.
pub const MODULE_DIR: &str = "/lane/modules";
/// What is to be run, see [`super::suites::Suite::line`].
pub const LIST: &str = "/lane/list";
/// Said when the world is made.
pub const READY: &str = "LANE READY";
/// Said at the end, with the number of programs that failed.
pub const EXIT: &str = "EXIT ";

/// Modules that containers and their tests need.
pub const MODULES: &[&str] = &[
    "virtio_pci",
    "virtio_blk",
    "overlay",
    "lzo_rle",
    "zram",
    "bfq",
    "veth",
    "bridge",
    "dummy",
    "tun",
    "loop",
    "quota_v2",
    "xfs",
];

/// The machine's disk.
const DISK: &str = "/dev/vda";

/// Programs of this machine that tests start, besides busybox's.
pub const PROGRAMS: &[&str] = &["busybox", "strace", "mkfs.ext4", "mkfs.xfs"];

/// The service manager that most hosts have.
pub const SYSTEMD: &str = "/lib/systemd/systemd";

/// What it takes to run.
pub const SYSTEMD_PROGRAMS: &[&str] = &[SYSTEMD, "systemctl", "dbus-daemon"];

/// What it takes to be on a bus.
pub const SYSTEMD_FOLDERS: &[&str] = &["/usr/share/dbus-1"];

/// Our own units: the bus, and the tests, whose end is the machine's.
const UNITS: &[(&str, &str)] = &[
    ("dbus.socket", "[Unit]\nDefaultDependencies=no\n[Socket]\nListenStream=/run/dbus/system_bus_socket\n"),
    (
        "dbus.service",
        "[Unit]\nDefaultDependencies=no\nRequires=dbus.socket\n[Service]\nType=notify\nNotifyAccess=main\n\
         ExecStart=/usr/bin/dbus-daemon --system --address=systemd: --nofork --nopidfile --systemd-activation\n",
    ),
    (
        "lane.service",
        "[Unit]\nDefaultDependencies=no\nRequires=dbus.service\nAfter=dbus.service\n[Service]\n\
         ExecStart=/init guest-service\nStandardOutput=tty\nStandardError=tty\nTTYPath=/dev/console\nDelegate=yes\n",
    ),
    (
        // What user@.service is on a host with logind.
        "naru-user.service",
        "[Unit]\nDefaultDependencies=no\nRequires=dbus.service\nAfter=dbus.service\n[Service]\nType=notify\nUser=naru\n\
         Delegate=cpu memory pids\nRuntimeDirectory=user-54321\nRuntimeDirectoryMode=0700\n\
         Environment=XDG_RUNTIME_DIR=/run/user-54321\nExecStart=/lib/systemd/systemd --user\nKillMode=mixed\n",
    ),
    ("default.target", "[Unit]\nDefaultDependencies=no\nWants=lane.service\n"),
];

/// Those of the user's own manager.
const USER_UNITS: &[(&str, &str)] = &[
    ("dbus.socket", "[Unit]\nDefaultDependencies=no\n[Socket]\nListenStream=%t/bus\n"),
    (
        "dbus.service",
        "[Unit]\nDefaultDependencies=no\nRequires=dbus.socket\n[Service]\nType=notify\nNotifyAccess=main\n\
         ExecStart=/usr/bin/dbus-daemon --session --address=systemd: --nofork --nopidfile --systemd-activation\n",
    ),
    ("default.target", "[Unit]\nDefaultDependencies=no\nWants=dbus.service\nAfter=dbus.service\n"),
];

/// Whether the argument is one of ours.
pub fn is_role(argument: &str) -> bool {
    [ROLE, SYSTEMD_ROLE, SERVICE_ROLE].contains(&argument)
}

/// Never returns: the machine is switched off.
pub fn main(role: &str) -> ! {
    let made = match role {
        SERVICE_ROLE => Ok(()),
        SYSTEMD_ROLE => make_world().and_then(|()| become_systemd()),
        _ => make_world().and_then(|()| control_groups()),
    };
    let failed = match made {
        Ok(()) => {
            println!("{READY}");
            run_all().unwrap_or_else(|error| {
                println!("lane: {error:#}");
                1
            })
        }
        Err(error) => {
            println!("lane: {error:#}");
            1
        }
    };
    println!("{EXIT}{failed}");
    rustix::fs::sync();
    let _ = rustix::system::reboot(rustix::system::RebootCommand::PowerOff);
    // The kernel panics when its first process ends, which ends the emulator as well.
    std::process::exit(1)
}

fn make_world() -> Result<()> {
    // The kernel's first root file system cannot be left by pivot_root, a mount of it can.
    fs::create_dir_all("/lane/root").context("create /lane/root")?;
    mount_bind("/", "/lane/root").context("mount the root once more")?;
    std::env::set_current_dir("/lane/root").context("enter the root")?;
    mount_move(".", "/").context("move the root")?;
    rustix::process::chroot(".").context("change the root")?;
    std::env::set_current_dir("/").context("enter the root")?;

    let plain = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    file_system("proc", "/proc", plain, c"")?;
    file_system("sysfs", "/sys", plain, c"")?;
    file_system("devtmpfs", "/dev", MountFlags::NOSUID, c"")?;
    file_system(
        "devpts",
        "/dev/pts",
        MountFlags::NOSUID | MountFlags::NOEXEC,
        c"gid=5,mode=620,ptmxmode=666",
    )?;
    for folder in ["/dev/shm", "/run", "/var"] {
        file_system("tmpfs", folder, MountFlags::NOSUID, c"mode=1777")?;
    }
    file_system("cgroup2", "/sys/fs/cgroup", plain, c"nsdelegate,memory_recursiveprot")?;
    // As systemd does; runtimes must cope.
    rustix::mount::mount_change(
        "/",
        rustix::mount::MountPropagationFlags::SHARED | rustix::mount::MountPropagationFlags::REC,
    )
    .context("share the mounts")?;
    busybox(&["--install", "-s", "/bin"])?;
    load_modules()?;
    // Temporary files are on a disk: old kernels can't map the owners of a tmpfs, and the io controller wants to see a device.
    busybox(&["mke2fs", DISK])?;
    file_system("ext4", "/tmp", MountFlags::NOSUID, c"")?;
    fs::create_dir_all("/etc").context("create /etc")?;
    for (file, text) in [
        ("/etc/passwd", "root:x:0:0:root:/root:/bin/sh\n"),
        ("/etc/group", "root:x:0:\n"),
        ("/etc/hostname", "lane\n"),
        ("/etc/hosts", "127.0.0.1 localhost\n"),
        ("/etc/resolv.conf", "nameserver 127.0.0.1\n"),
    ] {
        write(file, text)?;
    }
    rustix::system::sethostname(b"lane").context("set the host's name")?;
    busybox(&["ip", "link", "set", "lo", "up"])?;
    // What some limits need to be seen at work: huge pages, and somewhere to swap to.
    write("/proc/sys/vm/nr_hugepages", "16")?;
    write("/sys/block/zram0/disksize", "64M")?;
    busybox(&["mkswap", "/dev/zram0"])?;
    busybox(&["swapon", "/dev/zram0"])
}

/// Returns only if it fails.
fn become_systemd() -> Result<()> {
    use std::os::unix::process::CommandExt;
    for (folder, units) in [("/etc/systemd/system", UNITS), ("/etc/systemd/user", USER_UNITS)] {
        fs::create_dir_all(folder).with_context(|| format!("create {folder}"))?;
        for (name, text) in units {
            write(Path::new(folder).join(name), text)?;
        }
    }
    write("/etc/machine-id", "00000000000000000000000000000001\n")?;
    let users = "root:x:0:0:root:/root:/bin/sh\nmessagebus:x:100:100::/nonexistent:/bin/false\nnaru:x:54321:54321::/tmp:/bin/sh\n";
    write("/etc/passwd", users)?;
    write("/etc/group", "root:x:0:\nmessagebus:x:100:\nnaru:x:54321:\n")?;
    Err(Command::new(SYSTEMD).exec()).context("run systemd")
}

/// All processes in a leaf, so that the root may hand out every controller it has.
fn control_groups() -> Result<()> {
    let root = Path::new("/sys/fs/cgroup");
    let own = root.join("init.scope");
    fs::create_dir(&own).with_context(|| format!("create {}", own.display()))?;
    write(own.join("cgroup.procs"), "0")?;
    let controllers = fs::read_to_string(root.join("cgroup.controllers")).context("read the controllers")?;
    for controller in controllers.split_ascii_whitespace() {
        write(root.join("cgroup.subtree_control"), &format!("+{controller}"))?;
    }
    println!("lane: controllers {}", controllers.trim());
    Ok(())
}

fn file_system(kind: &str, place: &str, flags: MountFlags, options: &CStr) -> Result<()> {
    fs::create_dir_all(place).with_context(|| format!("create {place}"))?;
    let source = if kind == "ext4" { DISK } else { kind };
    mount(source, place, kind, flags, options).with_context(|| format!("mount {kind} on {place}"))
}

fn write(file: impl AsRef<Path>, text: &str) -> Result<()> {
    let file = file.as_ref();
    fs::write(file, text).with_context(|| format!("write {text} to {}", file.display()))
}

fn busybox(arguments: &[&str]) -> Result<()> {
    let status = Command::new("/bin/busybox").args(arguments).stdout(Stdio::null()).status();
    ensure!(status.context("run busybox")?.success(), "busybox {arguments:?} failed");
    Ok(())
}

fn load_modules() -> Result<()> {
    let entries = fs::read_dir(MODULE_DIR).context("list the modules")?;
    let mut files: Vec<_> = entries.filter_map(|entry| entry.ok()).map(|entry| entry.path()).collect();
    files.sort();
    for file in files {
        let module = fs::File::open(&file).with_context(|| format!("open {}", file.display()))?;
        match rustix::system::finit_module(&module, c"", 0) {
            Ok(()) | Err(rustix::io::Errno::EXIST) => {}
            Err(error) => return Err(error).with_context(|| format!("load {}", file.display())),
        }
        drop(module);
        fs::remove_file(&file).with_context(|| format!("remove {}", file.display()))?;
    }
    Ok(())
}

/// Runs every listed program and returns how many failed.
fn run_all() -> Result<usize> {
    let list = fs::read_to_string(LIST).context("read the list")?;
    let mut failed = 0;
    for line in list.lines() {
        let mut words = line.split('\t');
        let (Some(name), Some(program)) = (words.next(), words.next()) else { continue };
        println!("== {name}");
        let start = Instant::now();
        let child = Command::new(program)
            .args(words)
            .env_clear()
            .envs([("PATH", "/usr/bin:/bin:/usr/sbin:/sbin"), ("HOME", "/"), ("RUST_BACKTRACE", "0")])
            .stdin(Stdio::null())
            .spawn()
            .with_context(|| format!("run {program}"))?;
        let code = wait_for(child.id())?;
        println!("== {name}: exit code {code} after {:.1} s", start.elapsed().as_secs_f64());
        failed += usize::from(code != 0);
    }
    Ok(failed)
}

/// Waits for a child and reaps every orphan meanwhile, as the first process has to: a pid namespace does not end before all its
/// processes are reaped.
fn wait_for(child: u32) -> Result<i32> {
    loop {
        let ended =
            rustix::process::wait(rustix::process::WaitOptions::empty()).context("wait for children")?;
        if let Some((pid, status)) = ended
            && pid.as_raw_nonzero().get().unsigned_abs() == child
        {
            let signal = status.terminating_signal().map(|signal| 128 + signal);
            return status.exit_status().or(signal).context("a child that neither exited nor died");
        }
    }
}
