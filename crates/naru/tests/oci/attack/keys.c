// Arguments: "keep PROGRAM…" adds a key with a secret to the session keyring and runs the program; "look" looks for it, and
// prints what it finds.
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(int argc, char **argv) {
    // -3 is the session keyring; 10 is KEYCTL_SEARCH, 11 is KEYCTL_READ.
    if (argc > 2 && !strcmp(argv[1], "keep")) {
        syscall(SYS_keyctl, 1, 0, 0, 0, 0);
        if (syscall(SYS_add_key, "user", "naru-secret", "secret", 6, -3) < 0) return 3;
        execv(argv[2], argv + 2);
        return 4;
    }
    long key = syscall(SYS_keyctl, 10, -3, "user", "naru-secret", 0);
    char secret[64] = "";
    if (key >= 0 && syscall(SYS_keyctl, 11, key, secret, sizeof secret - 1, 0) >= 0) printf("found: %s\n", secret);
    char line[256];
    FILE *keys = fopen("/proc/keys", "r");
    while (keys && fgets(line, sizeof line, keys))
        if (strstr(line, "naru-secret")) printf("listed: %s", line);
    puts("looked");
    return 0;
}
