/* SPDX-License-Identifier: MIT */
/* What the targets share: see bed.h. */
#include "bed.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define FILE_BYTES_MOST (4u << 20) /* an input that asks for more gets an error */

static char folder[4096];

static void remove_folder(void)
{
    rmdir(folder);
}

/* Real-time priority for a fuzzer would starve the machine. */
static void give_up_rights(void)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2];
    const struct rlimit none = {0, 0};
    const struct rlimit file = {FILE_BYTES_MOST, FILE_BYTES_MOST};
    if (syscall(SYS_capget, &head, data) != 0)
        bed_fail("capget");
    data[CAP_SYS_NICE / 32].effective &= ~(UINT32_C(1) << CAP_SYS_NICE % 32);
    if (syscall(SYS_capset, &head, data) != 0 || setrlimit(RLIMIT_RTPRIO, &none) != 0 ||
        setrlimit(RLIMIT_FSIZE, &file) != 0)
        bed_fail("giving up rights");
}

const char *bed_begin(void)
{
    if (folder[0] != 0)
        return folder;
    const char *given = getenv("SHMBUS_DIR");
    snprintf(folder, sizeof folder, "%s", given != NULL ? given : "/tmp/shmbus-fuzz.XXXXXX");
    if (given == NULL) {
        if (mkdtemp(folder) == NULL)
            bed_fail("no folder");
        atexit(remove_folder);
    }
    int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (nowhere < 0 || dup2(nowhere, STDOUT_FILENO) < 0 || setenv("SHMBUS_DIR", folder, 1) != 0)
        bed_fail("no folder");
    give_up_rights();
    return folder;
}

/* Time that was slept away: whoever sleeps finds at once that it has passed. The linker puts these
 * two in place of the system's. */
static int64_t slept_ns;

int __wrap_nanosleep(const struct timespec *time, struct timespec *out_left);
int __wrap_clock_gettime(clockid_t clock, struct timespec *out_time);
int __real_clock_gettime(clockid_t clock, struct timespec *out_time);

int __wrap_nanosleep(const struct timespec *time, struct timespec *out_left)
{
    (void)out_left;
    slept_ns += time->tv_sec * INT64_C(1000000000) + time->tv_nsec;
    return 0;
}

int __wrap_clock_gettime(clockid_t clock, struct timespec *out_time)
{
    int result = __real_clock_gettime(clock, out_time);
    int64_t sum = out_time->tv_nsec + slept_ns % 1000000000;
    out_time->tv_sec += slept_ns / 1000000000 + sum / 1000000000;
    out_time->tv_nsec = sum % 1000000000;
    return result;
}

_Noreturn void bed_fail(const char *what)
{
    fprintf(stderr, "fuzz: found: %s\n", what);
    abort();
}

void bed_touch(const void *data, size_t bytes)
{
    static volatile unsigned char sink;
    const unsigned char *byte = data;
    unsigned char all = 0;
    for (size_t i = 0; i < bytes; i++)
        all ^= byte[i];
    sink = all;
    (void)sink;
}

uint64_t bed_take(struct bed_input *input, size_t bytes)
{
    uint64_t value = 0;
    size_t taken = bytes < input->left ? bytes : input->left;
    memcpy(&value, input->at, taken);
    input->at += taken;
    input->left -= taken;
    return value;
}

char *bed_string(struct bed_input *input)
{
    size_t length = strnlen((const char *)input->at, input->left);
    char *copy = malloc(length + 1);
    if (copy == NULL)
        bed_fail("no memory");
    memcpy(copy, input->at, length);
    copy[length] = 0;
    input->at += length;
    input->left -= length;
    bed_take(input, 1);
    return copy;
}
