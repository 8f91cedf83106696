// The floor under a container's start and under a process that joins one: the same namespaces and mounts as Docker's default, by
// a loop that does nothing else. Every line on standard input is one round; the answer is the nanoseconds until the program ran,
// which says so by its own clock: /bin/stamp, the same that containers run.
//   floor launch LOWER UPPER WORK     overlay, /proc, /dev with nodes, /dev/pts, /dev/shm, /dev/mqueue, /sys, cgroups, three
//                                     files, read-only and masked paths, pivot_root; a fresh network namespace waits for each
//                                     round, made after the one before, as an engine's pool has it
//   floor exec PID                    joins the namespaces of PID
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <linux/sched.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MUST(call) must((long)(call), #call)

static long must(long result, const char *what) {
    if (result < 0) {
        dprintf(2, "floor: %s: %s\n", what, strerror(errno));
        _exit(100);
    }
    return result;
}

static int made(const char *type, unsigned attributes, const char *const *options) {
    int context = MUST(syscall(SYS_fsopen, type, 1));
    for (; options && *options; options += 2) MUST(syscall(SYS_fsconfig, context, 1, options[0], options[1], 0));
    MUST(syscall(SYS_fsconfig, context, 6, 0, 0, 0));
    return MUST(syscall(SYS_fsmount, context, 1, attributes));
}

static void put(int mount, int root, const char *target) { MUST(syscall(SYS_move_mount, mount, "", root, target, 4)); }

static int copy(const char *path) { return MUST(syscall(SYS_open_tree, AT_FDCWD, path, 1 | O_CLOEXEC)); }

static void read_only(int root, const char *path) {
    int tree = syscall(SYS_open_tree, root, path, 1 | O_CLOEXEC | 0x8000);
    if (tree < 0) return;
    struct mount_attr attributes = {.attr_set = MOUNT_ATTR_RDONLY};
    MUST(syscall(SYS_mount_setattr, tree, "", 0x1000 | 0x8000, &attributes, sizeof attributes));
    put(tree, root, path);
}

static void masked(int root, const char *path, int folder) {
    struct stat file;
    if (fstatat(root, path, &file, 0)) return;
    if (S_ISDIR(file.st_mode)) {
        put(MUST(syscall(SYS_open_tree, folder, "", 1 | 0x1000)), root, path);
    } else {
        put(MUST(syscall(SYS_open_tree, root, "dev/null", 1)), root, path);
    }
}

static void container(char **folders) {
    MUST(mount(0, "/", 0, MS_REC | MS_PRIVATE, 0));
    const char *layers[] = {"source", "overlay", "lowerdir", folders[0], "upperdir", folders[1], "workdir", folders[2], 0};
    int root = made("overlay", 0, layers);
    put(root, AT_FDCWD, "/");
    put(made("proc", 14, 0), root, "proc");
    const char *dev_options[] = {"mode", "755", "size", "65536k", 0};
    int dev = made("tmpfs", 2, dev_options);
    struct { const char *name; int major, minor; } nodes[] = {
        {"null", 1, 3}, {"zero", 1, 5}, {"full", 1, 7}, {"random", 1, 8}, {"urandom", 1, 9}, {"tty", 5, 0}};
    for (int i = 0; i < 6; i++) MUST(mknodat(dev, nodes[i].name, S_IFCHR | 0666, makedev(nodes[i].major, nodes[i].minor)));
    const char *links[] = {"fd", "/proc/self/fd", "stdin", "/proc/self/fd/0", "stdout", "/proc/self/fd/1", "stderr", "/proc/self/fd/2", "ptmx", "pts/ptmx"};
    for (int i = 0; i < 10; i += 2) MUST(symlinkat(links[i + 1], dev, links[i]));
    const char *names[] = {"pts", "shm", "mqueue"};
    for (int i = 0; i < 3; i++) MUST(mkdirat(dev, names[i], 0755));
    put(dev, root, "dev");
    const char *pts_options[] = {"ptmxmode", "0666", "mode", "0620", "gid", "5", 0};
    put(made("devpts", 10, pts_options), dev, "pts");
    const char *shm_options[] = {"mode", "1777", "size", "65536k", 0};
    put(made("tmpfs", 14, shm_options), dev, "shm");
    put(made("mqueue", 14, 0), dev, "mqueue");
    put(made("sysfs", 15, 0), root, "sys");
    int cgroups = copy("/sys/fs/cgroup");
    put(cgroups, root, "sys/fs/cgroup");
    const char *files[] = {"etc/hostname", "etc/hosts", "etc/resolv.conf"};
    for (int i = 0; i < 3; i++) put(copy("/etc/hostname"), root, files[i]);
    const char *ro[] = {"proc/bus", "proc/fs", "proc/irq", "proc/sys", "proc/sysrq-trigger"};
    for (int i = 0; i < 5; i++) read_only(root, ro[i]);
    const char *empty_options[] = {"nr_blocks", "1", "nr_inodes", "1", 0};
    int empty = made("tmpfs", 15, empty_options);
    const char *masks[] = {"proc/acpi", "proc/asound", "proc/interrupts", "proc/kcore", "proc/keys", "proc/latency_stats",
        "proc/sched_debug", "proc/scsi", "proc/timer_list", "proc/timer_stats", "sys/devices/virtual/powercap", "sys/firmware"};
    for (int i = 0; i < 12; i++) masked(root, masks[i], empty);
    MUST(fchdir(root));
    MUST(syscall(SYS_pivot_root, ".", "."));
    MUST(umount2(".", MNT_DETACH));
    MUST(sethostname("floor", 5));
    MUST(setsid());
}

static void member(int pidfd) {
    MUST(setns(pidfd, CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWCGROUP));
}

// A network namespace that nobody is in.
static int network(void) {
    int home = MUST(open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC));
    MUST(unshare(CLONE_NEWNET));
    int made = MUST(open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC));
    MUST(setns(home, CLONE_NEWNET));
    close(home);
    return made;
}

int main(int argc, char **argv) {
    int launch = !strcmp(argv[1], "launch"), target = launch ? 0 : atoi(argv[2]);
    int home = MUST(open("/proc/self/ns/pid", O_RDONLY | O_CLOEXEC));
    int net = launch ? network() : -1;
    char line[16];
    while (fgets(line, sizeof line, stdin)) {
        struct timespec start;
        clock_gettime(CLOCK_MONOTONIC, &start);
        int said[2];
        MUST(pipe2(said, O_CLOEXEC));
        uint64_t flags = launch ? CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS : 0;
        int pidfd = -1;
        if (!launch) {
            pidfd = MUST(syscall(SYS_pidfd_open, target, 0));
            MUST(setns(pidfd, CLONE_NEWPID));
        }
        struct clone_args arguments = {.flags = flags, .exit_signal = SIGCHLD};
        long pid = MUST(syscall(SYS_clone3, &arguments, sizeof arguments));
        if (pid == 0) {
            if (launch) {
                MUST(setns(net, CLONE_NEWNET));
                container(argv + 2);
            } else {
                member(pidfd);
            }
            MUST(dup2(said[1], 1));
            char *words[] = {"stamp", 0}, *variables[] = {"PATH=/bin", 0};
            MUST(execve("/bin/stamp", words, variables));
        }
        if (!launch) {
            MUST(setns(home, CLONE_NEWPID));
            close(pidfd);
        }
        close(said[1]);
        char text[32] = {0};
        MUST(read(said[0], text, sizeof text - 1));
        close(said[0]);
        int status;
        MUST(waitpid(pid, &status, 0));
        if (status) return 101;
        printf("%lld\n", atoll(text) - start.tv_sec * 1000000000LL - start.tv_nsec);
        fflush(stdout);
        if (launch) {
            close(net);
            net = network();
        }
    }
    return 0;
}
