/* SPDX-License-Identifier: MIT */
/* Runs the real tools as processes of their own: see harness.h. */
#include "harness.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PATHS       8
#define PATH_BYTES  512
#define MEMORY_HEAD 16

const char tool_pub[] = SHMBUS_TOOLS_DIR "/shmbus-pub";
const char tool_sub[] = SHMBUS_TOOLS_DIR "/shmbus-sub";
const char tool_stat[] = SHMBUS_TOOLS_DIR "/shmbus-stat";
const char tool_record[] = SHMBUS_TOOLS_DIR "/shmbus-record";
const char tool_replay[] = SHMBUS_TOOLS_DIR "/shmbus-replay";
const char tool_dump[] = SHMBUS_TOOLS_DIR "/shmbus-dump";

static char folder[64];
static pid_t folder_owner;

static int remove_one(const char *path, const struct stat *info, int kind, struct FTW *walk)
{
    (void)info;
    (void)kind;
    (void)walk;
    return remove(path);
}

void folder_remove(void)
{
    /* libcheck's children leave through the same exit handlers, and the folder is not theirs. */
    if (folder_owner == getpid() && folder[0] != '\0') {
        nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
        folder[0] = '\0';
    }
}

void folder_make(void)
{
    static bool registered;
    snprintf(folder, sizeof(folder), "/dev/shm/shmbus-test.XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    folder_owner = getpid();
    setenv("SHMBUS_DIR", folder, 1);
    signal(SIGPIPE, SIG_IGN);
    if (!registered) {
        atexit(folder_remove);
        registered = true;
    }
}

const char *folder_path(void)
{
    return folder;
}

const char *path_in(const char *format, ...)
{
    static char paths[PATHS][PATH_BYTES];
    static unsigned next;
    char *path = paths[next++ % PATHS];
    const int length = snprintf(path, PATH_BYTES, "%s/", folder);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(path + length, PATH_BYTES - (size_t)length, format, arguments);
    va_end(arguments);
    return path;
}

const char *file_make(const char *name, const void *data, size_t length)
{
    const char *path = path_in("%s", name);
    FILE *file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(data, 1, length, file), length);
    ck_assert_int_eq(fclose(file), 0);
    return path;
}

bool bus_exists(const char *name)
{
    return access(path_in("shmbus.%s", name), F_OK) == 0;
}

void *memory(size_t length)
{
    /* Each block begins with where the one before it is, so that all of them can be reached. */
    static char *last;
    char *block = calloc(1, MEMORY_HEAD + length);
    ck_assert_ptr_nonnull(block);
    memcpy(block, &last, sizeof(last));
    last = block;
    return block + MEMORY_HEAD;
}

void bytes_add(struct bytes *bytes, const void *data, size_t length)
{
    if (bytes->length + length >= bytes->room) {
        bytes->room = (bytes->length + length + 64) * 2;
        char *larger = memory(bytes->room);
        if (bytes->length > 0) {
            memcpy(larger, bytes->data, bytes->length);
        }
        bytes->data = larger;
    }
    if (length > 0) {
        memcpy(bytes->data + bytes->length, data, length);
    }
    bytes->length += length;
    bytes->data[bytes->length] = '\0';
}

struct bytes file_read(const char *path)
{
    char block[65536];
    struct bytes bytes = {0};
    size_t count = 0;
    FILE *file = fopen(path, "r");
    ck_assert_ptr_nonnull(file);
    bytes_add(&bytes, "", 0);
    while ((count = fread(block, 1, sizeof(block), file)) > 0) {
        bytes_add(&bytes, block, count);
    }
    fclose(file);
    return bytes;
}

uint64_t number_after(const char *text, const char *before)
{
    const char *at = strstr(text, before);
    char *end = NULL;
    ck_assert_msg(at != NULL, "no \"%s\" in: %s", before, text);
    at += strlen(before);
    const uint64_t number = strtoull(at, &end, 10);
    ck_assert_msg(end > at, "no number after \"%s\" in: %s", before, text);
    return number;
}

/* In the child: never returns. */
static void become(const char *const *arguments, int in, int out, int err)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGPIPE, SIG_DFL);
    dup2(in, STDIN_FILENO);
    dup2(out, STDOUT_FILENO);
    dup2(err, STDERR_FILENO);
    /* execv() takes what it does not change as if it did. */
    execv(arguments[0], (char *const *)(uintptr_t)arguments);
    fprintf(stderr, "%s: %s\n", arguments[0], strerror(errno));
    _exit(127);
}

struct tool tool_start_to(const char *const *arguments, int out, int err)
{
    struct tool tool = {0};
    int pipes[3][2];
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(pipe2(pipes[i], O_CLOEXEC), 0);
    }
    /* libcheck's handlers of these end all its processes; between fork and exec they would run. */
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    tool.pid = fork();
    ck_assert_int_ge(tool.pid, 0);
    if (tool.pid == 0) {
        become(arguments, pipes[0][0], out >= 0 ? out : pipes[1][1], err >= 0 ? err : pipes[2][1]);
    }
    close(pipes[0][0]);
    close(pipes[1][1]);
    close(pipes[2][1]);
    tool.in = pipes[0][1];
    tool.out = pipes[1][0];
    tool.err = pipes[2][0];
    bytes_add(&tool.out_read, "", 0);
    bytes_add(&tool.err_read, "", 0);
    return tool;
}

struct tool tool_start(const char *const *arguments)
{
    return tool_start_to(arguments, -1, -1);
}

void tool_write(struct tool *tool, const void *data, size_t length)
{
    const char *at = data;
    while (length > 0) {
        const ssize_t written = write(tool->in, at, length);
        if (written < 0 && errno == EPIPE) {
            return; /* it has ended: what it said tells why */
        }
        ck_assert_int_gt(written, 0);
        at += written;
        length -= (size_t)written;
    }
}

void tool_close_input(struct tool *tool)
{
    if (tool->in >= 0) {
        close(tool->in);
        tool->in = -1;
    }
}

/* Reads what there is of one stream; closes it at its end. */
static void drain(int *fd, struct bytes *bytes)
{
    char block[65536];
    const ssize_t count = read(*fd, block, sizeof(block));
    ck_assert_int_ge(count, 0);
    bytes_add(bytes, block, (size_t)count);
    if (count == 0) {
        close(*fd);
        *fd = -1;
    }
}

/* Waits for either stream and reads from it; false once both have ended. */
static bool drain_either(struct tool *tool)
{
    struct pollfd ready[2] = {
        {.fd = tool->out, .events = POLLIN},
        {.fd = tool->err, .events = POLLIN},
    };
    if (tool->out < 0 && tool->err < 0) {
        return false;
    }
    ck_assert_int_gt(poll(ready, 2, -1), 0);
    if (ready[0].revents != 0) {
        drain(&tool->out, &tool->out_read);
    }
    if (ready[1].revents != 0) {
        drain(&tool->err, &tool->err_read);
    }
    return true;
}

static void await_text(struct tool *tool, const struct bytes *bytes, const char *text)
{
    while (strstr(bytes->data, text) == NULL) {
        ck_assert_msg(drain_either(tool), "it ended before it said \"%s\"; out: %s; error: %s",
                      text, tool->out_read.data, tool->err_read.data);
    }
}

void tool_await_out(struct tool *tool, const char *text)
{
    await_text(tool, &tool->out_read, text);
}

void tool_await_err(struct tool *tool, const char *text)
{
    await_text(tool, &tool->err_read, text);
}

struct ending tool_end(struct tool *tool)
{
    int status = 0;
    tool_close_input(tool);
    while (drain_either(tool)) {
    }
    ck_assert_int_eq(waitpid(tool->pid, &status, 0), tool->pid);
    return (struct ending){
        .code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status),
        .out = tool->out_read,
        .err = tool->err_read,
    };
}

void tool_stop(const struct tool *tool)
{
    int status = 0;
    ck_assert_int_eq(kill(tool->pid, SIGSTOP), 0);
    ck_assert_int_eq(waitpid(tool->pid, &status, WUNTRACED), tool->pid);
    ck_assert_msg(WIFSTOPPED(status), "it ended in place of stopping");
}

struct ending tool_run(const char *const *arguments, const void *input, size_t length)
{
    struct tool tool = tool_start(arguments);
    tool_write(&tool, input, length);
    return tool_end(&tool);
}

static void pause_a_little(void)
{
    const struct timespec pause = {.tv_nsec = 5000000};
    nanosleep(&pause, NULL);
}

/* The bus's picture, once there is a bus; to be closed. */
static struct shmbus_snapshot *await_bus(const char *bus)
{
    struct shmbus_snapshot *snapshot = NULL;
    while (shmbus_snapshot_open(bus, NULL, &snapshot) != 0) {
        pause_a_little();
    }
    return snapshot;
}

/* Is what is waited for to be seen in this picture? */
typedef bool condition(const struct shmbus_snapshot *snapshot, const char *name, uint64_t wanted);

static void await(const char *bus, condition *seen, const char *name, uint64_t wanted)
{
    struct shmbus_snapshot *snapshot = await_bus(bus);
    while (!seen(snapshot, name, wanted)) {
        pause_a_little();
        ck_assert_int_eq(shmbus_snapshot_update(snapshot), 0);
    }
    shmbus_snapshot_close(snapshot);
}

static bool consumers_alive(const struct shmbus_snapshot *snapshot, const char *name,
                            uint64_t wanted)
{
    uint32_t alive = 0;
    (void)name;
    for (uint32_t i = 0; i < shmbus_snapshot_bus(snapshot)->consumer_count; i++) {
        alive += shmbus_snapshot_consumer(snapshot, i)->life == SHMBUS_LIFE_ALIVE;
    }
    return alive >= wanted;
}

static bool tail_reached(const struct shmbus_snapshot *snapshot, const char *name, uint64_t wanted)
{
    (void)name;
    return shmbus_snapshot_bus(snapshot)->tail >= wanted;
}

static bool consumer_received(const struct shmbus_snapshot *snapshot, const char *name,
                              uint64_t wanted)
{
    const struct shmbus_consumer_info *consumer = NULL;
    for (uint32_t i = 0; (consumer = shmbus_snapshot_consumer(snapshot, i)); i++) {
        if (strcmp(consumer->name, name) == 0 && consumer->received >= wanted) {
            return true;
        }
    }
    return false;
}

static bool class_exhausted(const struct shmbus_snapshot *snapshot, const char *name,
                            uint64_t wanted)
{
    (void)name;
    return shmbus_snapshot_pool(snapshot, (uint32_t)wanted)->exhausted > 0;
}

void await_consumers(const char *bus, uint32_t count)
{
    await(bus, consumers_alive, NULL, count);
}

void await_tail(const char *bus, uint64_t tail)
{
    await(bus, tail_reached, NULL, tail);
}

void await_received(const char *bus, const char *name, uint64_t received)
{
    await(bus, consumer_received, name, received);
}

void await_exhausted(const char *bus, uint32_t class_index)
{
    await(bus, class_exhausted, NULL, class_index);
}

void await_handler(pid_t pid, int signal)
{
    char path[64];
    snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
    for (;;) {
        char line[256];
        uint64_t caught = 0;
        FILE *status = fopen(path, "r");
        ck_assert_ptr_nonnull(status);
        while (fgets(line, sizeof(line), status)) {
            if (strncmp(line, "SigCgt:", 7) == 0) {
                caught = strtoull(line + 7, NULL, 16);
            }
        }
        fclose(status);
        if (caught >> (signal - 1) & 1) {
            return;
        }
        pause_a_little();
    }
}

struct shmbus_consumer *attach(const char *bus, const char *name)
{
    struct shmbus_consumer *consumer = NULL;
    const struct shmbus_consumer_options options = {
        .struct_bytes = sizeof(options),
        .name = name,
        .kind = SHMBUS_REQUIRED,
        .from = SHMBUS_FROM_OLDEST,
        .wait_ns = SHMBUS_FOREVER,
    };
    const int error = shmbus_consumer_open(bus, &options, &consumer);
    ck_assert_msg(error == 0, "attach: %s", shmbus_error_text());
    return consumer;
}

void assert_bytes(const struct bytes *bytes, const void *data, size_t length)
{
    const char *wanted = data;
    const size_t both = bytes->length < length ? bytes->length : length;
    size_t same = 0;
    while (same < both && bytes->data[same] == wanted[same]) {
        same++;
    }
    ck_assert_msg(same == length && bytes->length == length,
                  "%zu bytes, not %zu; the first that differs is number %zu", bytes->length, length,
                  same);
}
