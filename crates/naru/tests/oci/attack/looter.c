// In the container, with CAP_SYS_PTRACE: stops every new process of its pid namespace, as early as it can, and looks for what
// belongs to the host. In its folder: writes a line to looted for each find, and one to held for each process that it had before
// that ran a program of the container. Ends when stop appears; then there is stopped. Arguments: a path of the host, a text that
// only the host's processes know (in two halves, since they know this container's arguments too), the capabilities that the
// container may have (hexadecimal).
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *secret;
static char text[256];
static unsigned long long own;

static void note(const char *file, pid_t pid, const char *what) {
    int fd = open(file, O_CREAT | O_WRONLY | O_APPEND, 0666);
    char line[512];
    write(fd, line, snprintf(line, sizeof line, "%s of %d\n", what, pid));
    close(fd);
}

static size_t slurp(const char *path, char *buffer, size_t size) {
    int fd = open(path, O_RDONLY);
    if (fd < 0) return 0;
    size_t all = 0;
    for (ssize_t count; all < size - 1 && (count = read(fd, buffer + all, size - 1 - all)) > 0;) all += count;
    close(fd);
    buffer[all] = 0;
    return all;
}

// Whether the host's file can be reached from here.
static void leads_out(pid_t pid, const char *from, const char *name) {
    static const char *const ways[] = {"", "/..", "/../../../../../../../..", "/1/root", "/self/root"};
    char path[4600], what[300];
    for (unsigned i = 0; i < sizeof ways / sizeof *ways; i++) {
        snprintf(path, sizeof path, "%s%s%s", from, ways[i], secret);
        if (!access(path, F_OK)) {
            snprintf(what, sizeof what, "%s%s", name, ways[i]);
            note("looted", pid, what);
        }
    }
}

static void search_memory(pid_t pid) {
    static char maps[1 << 18], page[1 << 16];
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/maps", pid);
    slurp(path, maps, sizeof maps);
    snprintf(path, sizeof path, "/proc/%d/mem", pid);
    int memory = open(path, O_RDWR);
    for (char *line = strtok(maps, "\n"); line && memory >= 0; line = strtok(0, "\n")) {
        unsigned long start, end;
        if (sscanf(line, "%lx-%lx rw", &start, &end) != 2 || !strstr(line, " rw")) continue;
        for (unsigned long at = start; at < end; at += sizeof page / 2) {
            size_t want = end - at < sizeof page ? end - at : sizeof page;
            ssize_t count = pread(memory, page, want, at);
            if (count > 0 && memmem(page, count, text, strlen(text))) {
                note("looted", pid, strstr(line, "[stack]") ? "memory (stack)" : "memory");
                break;
            }
        }
    }
    close(memory);
}

static void loot(pid_t pid) {
    static char buffer[1 << 18];
    char path[320], name[300];
    snprintf(path, sizeof path, "/proc/%d/root", pid);
    leads_out(pid, path, "root");
    snprintf(path, sizeof path, "/proc/%d/cwd", pid);
    leads_out(pid, path, "cwd");
    snprintf(path, sizeof path, "/proc/%d/fd", pid);
    DIR *fds = opendir(path);
    for (struct dirent *entry; fds && (entry = readdir(fds));) {
        if (entry->d_name[0] == '.') continue;
        char target[256] = "";
        snprintf(path, sizeof path, "/proc/%d/fd/%s", pid, entry->d_name);
        readlink(path, target, sizeof target - 1);
        snprintf(name, sizeof name, "fd %s (%.200s)", entry->d_name, target);
        leads_out(pid, path, name);
    }
    if (fds) closedir(fds);
    snprintf(path, sizeof path, "/proc/%d/environ", pid);
    size_t size = slurp(path, buffer, sizeof buffer);
    if (memmem(buffer, size, text, strlen(text))) note("looted", pid, "environment");
    search_memory(pid);
    snprintf(path, sizeof path, "/proc/%d/status", pid);
    slurp(path, buffer, sizeof buffer);
    char *line = strstr(buffer, "CapPrm:");
    unsigned long long held = line ? strtoull(line + 7, 0, 16) : 0;
    snprintf(name, sizeof name, "capabilities %llx", held & ~own);
    if (held & ~own) note("looted", pid, name);
    snprintf(path, sizeof path, "/proc/%d/exe", pid);
    struct statvfs place;
    if (!statvfs(path, &place) && !(place.f_flag & ST_RDONLY)) note("looted", pid, "program");
    note("held", pid, "a process");
}

// Whether it runs a program of the container.
static int is_ours(pid_t pid) {
    char path[64], target[256] = "";
    struct stat theirs, here;
    snprintf(path, sizeof path, "/proc/%d/exe", pid);
    readlink(path, target, sizeof target - 1);
    return !stat(path, &theirs) && !stat(target, &here) && theirs.st_ino == here.st_ino && theirs.st_dev == here.st_dev;
}

static int hold(pid_t pid) {
    if (ptrace(PTRACE_SEIZE, pid, 0, 0)) return 0;
    ptrace(PTRACE_INTERRUPT, pid, 0, 0);
    waitpid(pid, 0, __WALL);
    if (!is_ours(pid)) loot(pid);
    ptrace(PTRACE_DETACH, pid, 0, 0);
    return 1;
}

int main(int argc, char **argv) {
    secret = argv[1], own = strtoull(argv[4], 0, 16);
    snprintf(text, sizeof text, "%s%s", argv[2], argv[3]);
    int last = open("/proc/sys/kernel/ns_last_pid", O_RDONLY);
    pid_t done = getpid();
    while (access("stop", F_OK)) {
        char number[16] = "";
        for (int turn = 0; turn < 1000; turn++) {
            if (hold(done + 1)) {
                done++;
                continue;
            }
            if (turn % 8) continue;
            pread(last, number, sizeof number - 1, 0);
            // One that came and went.
            if (atoi(number) > done && !hold(done + 1)) done++;
        }
    }
    close(open("stopped", O_CREAT | O_WRONLY, 0666));
    for (;;) pause();
}
