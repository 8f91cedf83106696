// The program that is started: writes the monotonic clock, in nanoseconds, as the first thing it does, to standard output or to the
// file that its argument names. No C library: what that does before `main` is no part of a launch.
#include <linux/time.h>
#include <asm/unistd.h>

static long call(long number, long a, long b, long c, long d) {
#if defined(__x86_64__)
    register long r10 __asm__("r10") = d;
    long result;
    __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10) : "rcx", "r11", "memory");
    return result;
#elif defined(__aarch64__)
    register long x8 __asm__("x8") = number;
    register long x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c;
    register long x3 __asm__("x3") = d;
    __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3) : "memory");
    return x0;
#endif
}

__attribute__((used)) void begin(long *stack) {
    struct { long seconds, nanoseconds; } time;
    call(__NR_clock_gettime, 1, (long)&time, 0, 0);
    char text[24];
    int at = sizeof text;
    text[--at] = '\n';
    for (long left = time.seconds * 1000000000 + time.nanoseconds; left; left /= 10) text[--at] = '0' + left % 10;
    const char *file = stack[0] > 1 ? (const char *)stack[2] : 0;
    // O_WRONLY | O_CREAT, in the current folder's view.
    long out = file ? call(__NR_openat, -100, (long)file, 0101, 0644) : 1;
    long wrote = call(__NR_write, out, (long)(text + at), sizeof text - at, 0);
    call(__NR_exit_group, wrote < 0, 0, 0, 0);
    for (;;) {}
}

#if defined(__x86_64__)
__asm__(".global _start\n_start: mov %rsp, %rdi\n and $-16, %rsp\n call begin\n");
#elif defined(__aarch64__)
__asm__(".global _start\n_start: mov x0, sp\n bl begin\n");
#endif
