// The filter that libseccomp makes of rules by name, in its default (linear) form: one name a line on standard input, the first
// line's number the errno for all others; the program on standard output.
#include <errno.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(void) {
    char name[128];
    if (!fgets(name, sizeof name, stdin)) return 1;
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(atoi(name)));
    if (seccomp_arch_native() == SCMP_ARCH_X86_64) {
        seccomp_arch_add(filter, SCMP_ARCH_X86);
        seccomp_arch_add(filter, SCMP_ARCH_X32);
    }
    while (fgets(name, sizeof name, stdin)) {
        name[strcspn(name, "\n")] = 0;
        int number = seccomp_syscall_resolve_name(name);
        // A name that this version does not know yet, as runc does it.
        if (number != __NR_SCMP_ERROR) seccomp_rule_add(filter, SCMP_ACT_ALLOW, number, 0);
    }
    return seccomp_export_bpf(filter, 1) ? 2 : 0;
}
