// In the container: tries to trace, and to look into, every process that is not of the container's own program, again and again
// until /stop appears. /caught appears, with what could be done, when one could. Argument: the inode of the container's program.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static int refused;

static void caught(pid_t pid, const char *how) {
    FILE *file = fopen("/caught", "a");
    fprintf(file, "%s of %d\n", how, pid);
    fclose(file);
}

static void attack(pid_t pid, ino_t own) {
    char path[64];
    struct stat exe;
    snprintf(path, sizeof path, "/proc/%d/mem", pid);
    int memory = open(path, O_RDWR);
    if (memory < 0 && errno == EACCES) refused++;
    snprintf(path, sizeof path, "/proc/%d/root", pid);
    int root = open(path, O_RDONLY);
    snprintf(path, sizeof path, "/proc/%d/exe", pid);
    // Whose program it is can be told only by one who may look: then the memory opened before was that program's, or its maker's.
    if (memory >= 0 && !stat(path, &exe) && exe.st_ino != own) caught(pid, "memory");
    if (root >= 0 && faccessat(root, "bin/tracer", F_OK, 0)) caught(pid, "root");
    if (!ptrace(PTRACE_SEIZE, pid, 0, 0)) {
        ptrace(PTRACE_INTERRUPT, pid, 0, 0);
        waitpid(pid, 0, __WALL);
        if (!stat(path, &exe) && exe.st_ino != own) caught(pid, "trace");
        ptrace(PTRACE_DETACH, pid, 0, 0);
    } else if (errno == EPERM) {
        refused++;
    }
    close(memory);
    close(root);
}

int main(int argc, char **argv) {
    ino_t own = strtoull(argv[1], 0, 10);
    while (access("/stop", F_OK)) {
        DIR *proc = opendir("/proc");
        for (struct dirent *entry; proc && (entry = readdir(proc));) {
            pid_t pid = atoi(entry->d_name);
            if (pid > 1 && pid != getpid()) attack(pid, own);
        }
        closedir(proc);
        if (refused && access("/refused", F_OK)) close(open("/refused", O_CREAT | O_WRONLY, 0666));
    }
    close(open("/stopped", O_CREAT | O_WRONLY, 0666));
    for (;;) pause();
}
