/* SPDX-License-Identifier: MIT */
/*
 * Runs the real tools as processes of their own, over a private folder of buses, and catches what
 * they print and how they end. Nothing here measures time: a limit only guards against hanging.
 * A tool that is still running when its test ends, however it ends, is killed by the kernel.
 */
#ifndef SHMBUS_TESTS_TOOLS_HARNESS_H
#define SHMBUS_TESTS_TOOLS_HARNESS_H

#include <check.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <shmbus/shmbus.h>

/* Where the tools are. */
#define PUB    tool_pub
#define SUB    tool_sub
#define STAT   tool_stat
#define RECORD tool_record
#define REPLAY tool_replay
#define DUMP   tool_dump
extern const char tool_pub[];
extern const char tool_sub[];
extern const char tool_stat[];
extern const char tool_record[];
extern const char tool_replay[];
extern const char tool_dump[];

/* The arguments of a tool: ARGUMENTS(PUB, "--keep", "bus"). */
#define ARGUMENTS(...) ((const char *const[]){__VA_ARGS__, NULL})

/* Bytes that grow; a NUL stands behind them, so that text can be searched. */
struct bytes {
    char *data;
    size_t length;
    size_t room;
};

/* A tool that runs. */
struct tool {
    pid_t pid;
    int in; /* its standard input, output and error; -1 when closed or not piped */
    int out;
    int err;
    struct bytes out_read; /* what has come so far */
    struct bytes err_read;
};

/* How a tool ended. */
struct ending {
    int code; /* its exit code, or 128 and the signal that ended it */
    struct bytes out;
    struct bytes err;
};

/* Fixtures of a test case: make the folder and SHMBUS_DIR; remove the folder with all in it. */
void folder_make(void);
void folder_remove(void);

/* The folder's path; and that of a file in it, in one of a few static buffers. */
const char *folder_path(void);
const char *path_in(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Makes a file in the folder; returns its path as path_in() does. */
const char *file_make(const char *name, const void *data, size_t length);

/* All of a file's bytes. */
struct bytes file_read(const char *path);

/* Is there a bus of that name in the folder? */
bool bus_exists(const char *name);

/* Zeroed memory that lasts as long as this test's process: nobody frees it, and it is no leak. */
void *memory(size_t length);

void bytes_add(struct bytes *bytes, const void *data, size_t length);

/* The number behind the first place where this stands in a text; fails the test without one. */
uint64_t number_after(const char *text, const char *before);

/* Starts a tool with all three of its streams piped. */
struct tool tool_start(const char *const *arguments);

/* The same with standard output or error going to this descriptor instead, if it is not -1. */
struct tool tool_start_to(const char *const *arguments, int out, int err);

/* Writes to its input; closes its input. */
void tool_write(struct tool *tool, const void *data, size_t length);
void tool_close_input(struct tool *tool);

/* Reads its output, or error, until this text is in it. */
void tool_await_out(struct tool *tool, const char *text);
void tool_await_err(struct tool *tool, const char *text);

/* Stops it with SIGSTOP, and waits until it stands still; SIGCONT lets it go on. */
void tool_stop(const struct tool *tool);

/* Closes its input, reads the rest of what it prints, and waits for its end. */
struct ending tool_end(struct tool *tool);

/* Starts a tool, gives it that input (NULL: none) and waits for its end. */
struct ending tool_run(const char *const *arguments, const void *input, size_t length);

/*
 * Waits until so many consumers are attached and alive, so much was published, a consumer of that
 * name has received so much, or a pool's class was found empty.
 */
void await_consumers(const char *bus, uint32_t count);
void await_tail(const char *bus, uint64_t tail);
void await_received(const char *bus, const char *name, uint64_t received);
void await_exhausted(const char *bus, uint32_t class_index);

/* Waits until a process catches a signal; before that it would just end of it. */
void await_handler(pid_t pid, int signal);

/* Attaches this process as a required consumer, from the oldest message on. */
struct shmbus_consumer *attach(const char *bus, const char *name);

/* Fails the test unless it ended so; prints what it said on standard error. */
#define assert_code(ending, expected)                                                              \
    ck_assert_msg((ending).code == (expected), "exit code %d, not %d; it said: %s", (ending).code, \
                  (expected), (ending).err.data)

/* Fails the test unless this text is in those bytes. */
#define assert_in(bytes, text)                                                                     \
    ck_assert_msg(strstr((bytes).data, (text)) != NULL, "no \"%s\" in: %s", (text), (bytes).data)

#define assert_not_in(bytes, text)                                                                 \
    ck_assert_msg(strstr((bytes).data, (text)) == NULL, "\"%s\" in: %s", (text), (bytes).data)

/* Fails the test unless the bytes are exactly these. */
void assert_bytes(const struct bytes *bytes, const void *data, size_t length);

#endif
