/* SPDX-License-Identifier: MIT */
/*
 * What the tests of segments share: a folder of buses for each test, small buses, processes of
 * other users, the bytes of a header to spoil, and counts of what a process has open.
 *
 * Every program makes one folder before its first test and removes it after its last one, however
 * they ended; each test has a folder of its own in there, which SHMBUS_DIR names.
 */
#ifndef SHMBUS_TESTS_SEGMENT_RIG_H
#define SHMBUS_TESTS_SEGMENT_RIG_H

#include "layout/layout.h"

#include <check.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Runs a suite of one test case. Returns what main() is to return. */
typedef const TTest *const rig_test;
int rig_run(const char *name, rig_test *tests, size_t count);
#define RIG_MAIN(name, ...)                                                                        \
    int main(void)                                                                                 \
    {                                                                                              \
        rig_test tests[] = {__VA_ARGS__};                                                          \
        return rig_run(name, tests, sizeof tests / sizeof tests[0]);                               \
    }

/* Says aloud that a test is skipped. The caller returns. */
void rig_skip(const char *test, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Returns 1 as root; else skips the test and returns 0. */
int rig_needs_root(const char *test);

/* The test's folder, and a path in it, in one of a few static buffers. */
const char *rig_folder(void);
const char *rig_path(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Sanitizers make mlock() do nothing. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define RIG_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) ||                         \
    __has_feature(memory_sanitizer)
#define RIG_SANITIZED 1
#endif
#endif
#ifndef RIG_SANITIZED
#define RIG_SANITIZED 0
#endif

/* Returns 1 where memory can be locked; else skips the test and returns 0. */
int rig_needs_mlock(const char *test);

/* How many names a folder has, but for those of the two dots. */
int rig_count_names(const char *path);
/* Names, kinds, owners, modes, sizes and times of all that is in the test's folder. */
void rig_listing(char *text, size_t room);
void rig_remove(const char *path);
/* Reads a number out of a file of the kernel; -1 when it cannot. */
long long rig_number(const char *path);

/* Writes a setting of the kernel, which gets its old value back when the program ends, however the
 * tests end. Returns 0, or -1 when it may not be written. */
int rig_setting(const char *path, const char *value);

/* A bus that costs next to nothing: 16 slots, 2 consumers, two classes of slabs. */
struct shmbus_bus_options rig_small(void);
struct shmbus_consumer_options rig_required(void);

/* Create, which must succeed; with close: the bus stays, closed. */
struct shmbus_producer *rig_create(const char *bus, const struct shmbus_bus_options *options);
void rig_make(const char *bus, const struct shmbus_bus_options *options);
/* Create, open and attach once, and close again. Each returns what the library said. */
int rig_try_create(const char *bus, const struct shmbus_bus_options *options);
int rig_try_open(const char *bus);
int rig_try_join(const char *bus);
/* A picture of a bus, and why it is damaged. Returns what the library said. */
int rig_look(const char *bus, struct shmbus_bus_info *out_bus, char *why, size_t room);

/* Publishes count numbered messages and reads each at once, checking sequence and payload. */
void rig_stream(const char *bus, struct shmbus_producer *producer, uint32_t count);

/* The header of a bus's feed; writing repairs the checksum. */
void rig_read_header(const char *bus, struct feed_header *out_header);
void rig_write_header(const char *bus, const struct feed_header *header, int repair);

/* What a child process came to. */
struct rig_answer {
    int result;
    char text[512];
};

typedef int rig_call(void *context);

/* Calls in a child process, as that user and group with no others. A crash there fails the test. */
struct rig_answer rig_as(uid_t uid, gid_t gid, rig_call *call, void *context);
/* The same as whoever this is. */
struct rig_answer rig_elsewhere(rig_call *call, void *context);

/* How many descriptors and mappings of buses this process has; how many locks there are on files of
 * a folder of a bus, by anybody. */
int rig_count_descriptors(void);
int rig_count_mappings(void);
int rig_count_locks(const char *bus);

/* Mounts a file system at path, in a mount namespace of its own. Returns 0, or skips and returns
 * -1.
 */
int rig_mount(const char *test, const char *path, const char *kind, const char *options);

/* Fails unless result is code, and the library's text has all of the texts, ended by NULL. */
void rig_expect(const char *file, int line, const char *what, int result, int code,
                const char *said, const char *const *texts);

#define assert_error(expression, code, ...)                                                        \
    do {                                                                                           \
        int rig_result = (expression);                                                             \
        rig_expect(__FILE__, __LINE__, #expression, rig_result, (code), shmbus_error_text(),       \
                   (const char *const[]){__VA_ARGS__, NULL});                                      \
    } while (0)
#define assert_ok(expression)                                                                      \
    do {                                                                                           \
        int rig_result = (expression);                                                             \
        ck_assert_msg(rig_result == 0, "%s: %d, %s", #expression, rig_result,                      \
                      shmbus_error_text());                                                        \
    } while (0)
#define assert_answer(expression, code, ...)                                                       \
    do {                                                                                           \
        struct rig_answer rig_said = (expression);                                                 \
        rig_expect(__FILE__, __LINE__, #expression, rig_said.result, (code), rig_said.text,        \
                   (const char *const[]){__VA_ARGS__, NULL});                                      \
    } while (0)

#endif
