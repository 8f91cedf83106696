// System calls that lead out of a container or to code of the kernel that it has no business with, each tried in every way there
// is to call it: natively, by the x32 and the 32-bit table, in a new user namespace if one can be had. Prints one line for each
// that was not refused, and "tried N" at the end.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static int tried;

static void told(const char *how, const char *what, long result) {
    tried++;
    // Only clone3, whose arguments no filter can see, does not exist (ENOSYS). Of all others a kernel without the x32 or the
    // 32-bit table would say that too, but the filter comes before.
    if (result != (strcmp(how, "clone3") ? -EPERM : -ENOSYS)) printf("%s %s: %ld\n", how, what, result);
}

static long native(long number, long a, long b, long c, long d, long e) {
    long result = syscall(number, a, b, c, d, e);
    return result < 0 ? -errno : result;
}

#ifdef __x86_64__
// The calls of 32-bit programs, which a 64-bit one can make too.
static long old(long number, long a, long b, long c) {
    long result;
    __asm__ volatile("int $0x80" : "=a"(result) : "a"(number), "b"(a), "c"(b), "d"(c) : "memory", "r8", "r9", "r10", "r11");
    return result;
}
#endif

// A call that makes a process: the child of one that was not refused must not go on here.
static long born(long result) {
    if (result == 0) _exit(0);
    return result;
}

int main(void) {
    struct { const char *name; long flag; } kinds[] = {
        {"user", CLONE_NEWUSER}, {"mount", CLONE_NEWNS},   {"net", CLONE_NEWNET},       {"pid", CLONE_NEWPID},
        {"ipc", CLONE_NEWIPC},   {"uts", CLONE_NEWUTS},    {"cgroup", CLONE_NEWCGROUP}, {"user and mount", CLONE_NEWUSER | CLONE_NEWNS},
    };
    for (unsigned i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        long flag = kinds[i].flag;
        unsigned long long arguments[8] = {flag, 0, 0, 0, 17};
        told("unshare", kinds[i].name, native(SYS_unshare, flag, 0, 0, 0, 0));
        told("clone", kinds[i].name, born(native(SYS_clone, flag | 17, 0, 0, 0, 0)));
        told("clone3", kinds[i].name, born(native(SYS_clone3, (long)arguments, sizeof arguments, 0, 0, 0)));
#ifdef __x86_64__
        told("x32 unshare", kinds[i].name, native(0x40000000 | SYS_unshare, flag, 0, 0, 0, 0));
        told("x32 clone", kinds[i].name, born(native(0x40000000 | SYS_clone, flag | 17, 0, 0, 0, 0)));
        told("32-bit unshare", kinds[i].name, old(310, flag, 0, 0));
        told("32-bit clone", kinds[i].name, born(old(120, flag | 17, 0, 0)));
#endif
    }
    int root = open("/proc/1/ns/mnt", O_RDONLY);
    told("setns", "mount", native(SYS_setns, root, 0, 0, 0, 0));
    told("mount", "tmpfs", native(SYS_mount, (long)"none", (long)"/proc", (long)"tmpfs", 0, 0));
    told("umount", "/proc", native(SYS_umount2, (long)"/proc", 2, 0, 0, 0));
    told("pivot_root", "/", native(SYS_pivot_root, (long)"/", (long)"/", 0, 0, 0));
    told("open_tree", "/", native(SYS_open_tree, -100, (long)"/", 1, 0, 0));
    told("fsopen", "proc", native(SYS_fsopen, (long)"proc", 0, 0, 0, 0));
    told("keyctl", "session", native(SYS_keyctl, 0, -3, 0, 0, 0));
    told("add_key", "user", native(SYS_add_key, (long)"user", (long)"naru", (long)"x", 1, -3));
    told("request_key", "user", native(SYS_request_key, (long)"user", (long)"naru", 0, 0, 0));
    told("bpf", "program", native(SYS_bpf, 5, 0, 0, 0, 0));
    told("perf_event_open", "", native(SYS_perf_event_open, 0, 0, -1, -1, 0));
    told("userfaultfd", "", native(SYS_userfaultfd, 0, 0, 0, 0, 0));
    told("io_uring_setup", "", native(SYS_io_uring_setup, 1, 0, 0, 0, 0));
    told("open_by_handle_at", "", native(SYS_open_by_handle_at, -100, 0, 0, 0, 0));
    told("init_module", "", native(SYS_init_module, 0, 0, 0, 0, 0));
    told("kexec_load", "", native(SYS_kexec_load, 0, 0, 0, 0, 0));
    told("reboot", "", native(SYS_reboot, 0, 0, 0, 0, 0));
#ifdef __x86_64__
    told("32-bit keyctl", "session", old(288, 0, -3, 0));
    told("32-bit mount", "tmpfs", old(21, 0, 0, 0));
    told("x32 keyctl", "session", native(0x40000000 | SYS_keyctl, 0, -3, 0, 0, 0));
#endif
    while (wait(0) > 0) {}
    printf("tried %d\n", tried);
    return 0;
}
