/* SPDX-License-Identifier: MIT */
/*
 * A recorder that is killed at each call of the kernel that writes, cuts or syncs its file: before
 * it, after it, and in the middle of a write; and a disk that is full, or fails, there. What was
 * written is a recording: nothing is missing of the blocks that were whole, it is as lz4 likes it
 * unless it was cut in the middle, and a recorder goes on with it. After a loss of power it is what
 * the last sync left.
 *
 * The program is linked so that the library's calls come by here.
 */
#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define COUNT       300
#define BLOCK       4096
#define BLOCK_COUNT 73 /* messages in a block: 56 bytes each */
#define TIMES_MAX   64

/* What happens at one of the calls. */
enum mishap { BEFORE, AFTER, MIDDLE, FULL, FAILING, MISHAPS };

/* What the recorder's process tells, in memory that outlives it. */
struct told {
    uint32_t calls;
    uint32_t whole_writes;
    uint32_t is_done;
    int result;   /* of its last call */
    off_t synced; /* how long the file was when it was synced last */
};

static struct told *told;
static uint32_t mishap_at; /* the number of the call, from 0 */
static enum mishap mishap;

ssize_t __real_pwrite(int file, const void *data, size_t bytes, off_t at);
int __real_fdatasync(int file);
int __real_ftruncate(int file, off_t length);
ssize_t __wrap_pwrite(int file, const void *data, size_t bytes, off_t at);
int __wrap_fdatasync(int file);
int __wrap_ftruncate(int file, off_t length);

static int is_now(void)
{
    return told != NULL && told->calls++ == mishap_at;
}

static void die_if(int now)
{
    if (now)
        raise(SIGKILL);
}

ssize_t __wrap_pwrite(int file, const void *data, size_t bytes, off_t at)
{
    const int now = is_now();
    const size_t half = bytes / 2;
    die_if(now && mishap == BEFORE);
    if (now && (mishap == MIDDLE || mishap == FULL)) {
        ssize_t count = __real_pwrite(file, data, half, at);
        die_if(mishap == MIDDLE);
        /* The rest comes by here again. */
        mishap_at++;
        mishap = FAILING;
        return count;
    }
    if (now && mishap == FAILING) {
        errno = ENOSPC;
        return -1;
    }
    ssize_t count = __real_pwrite(file, data, bytes, at);
    if (told != NULL && count == (ssize_t)bytes)
        told->whole_writes++;
    die_if(now && mishap == AFTER);
    return count;
}

int __wrap_fdatasync(int file)
{
    const int now = is_now();
    struct stat found;
    die_if(now && mishap <= MIDDLE && mishap != AFTER);
    if (now && mishap >= FULL) {
        errno = EIO;
        return -1;
    }
    int result = __real_fdatasync(file);
    if (told != NULL && fstat(file, &found) == 0)
        told->synced = found.st_size;
    die_if(now && mishap == AFTER);
    return result;
}

int __wrap_ftruncate(int file, off_t length)
{
    const int now = is_now();
    die_if(now && mishap <= MIDDLE && mishap != AFTER);
    if (now && mishap >= FULL) {
        errno = EIO;
        return -1;
    }
    int result = __real_ftruncate(file, length);
    die_if(now && mishap == AFTER);
    return result;
}

static struct shmbus_recorder *go_on(const char *path)
{
    const struct shmbus_recorder_options options = {.struct_bytes = sizeof options,
                                                    .flags = SHMBUS_RECORD_APPEND,
                                                    .block_bytes = BLOCK,
                                                    .sync = SHMBUS_RECORD_SYNC_BLOCK};
    struct shmbus_recorder *recorder = NULL;
    int result = shmbus_recorder_open(path, &options, &recorder);
    return result == 0 ? recorder : NULL;
}

/* One message; returns as shmbus_recorder_put(). */
static int put(struct shmbus_recorder *recorder, uint64_t sequence)
{
    const struct shmbus_record record = {
        .kind = SHMBUS_RECORD_MESSAGE,
        .length = sizeof sequence,
        .sequence = sequence,
        .count = 1,
        .publish_ns = (int64_t)sequence + 5,
        .receive_ns = (int64_t)sequence + 7,
        .type = 1,
        .data = &sequence,
    };
    int result;
    while ((result = shmbus_recorder_put(recorder, &record)) == -EAGAIN) {
        result = shmbus_recorder_wait(recorder, GUARD_NS);
        if (result != 0)
            break;
    }
    return result;
}

/* In a process of its own: records until it is killed, fails or is done. */
static void record_from(const char *path, uint64_t first)
{
    struct shmbus_recorder *recorder = first == 0 ? NULL : go_on(path);
    if (first == 0) {
        const struct shmbus_bus_options bus = {.struct_bytes = sizeof bus, .capacity = 1024};
        const struct shmbus_recorder_options options = {.struct_bytes = sizeof options,
                                                        .bus_name = "bus",
                                                        .bus = &bus,
                                                        .block_bytes = BLOCK,
                                                        .sync = SHMBUS_RECORD_SYNC_BLOCK};
        told->result = shmbus_recorder_open(path, &options, &recorder);
    }
    if (recorder == NULL)
        _exit(1);
    for (uint64_t sequence = first; sequence < COUNT && told->result == 0; sequence++)
        told->result = put(recorder, sequence);
    int result = shmbus_recorder_close(recorder);
    if (told->result == 0)
        told->result = result;
    told->is_done = 1;
    _exit(0);
}

/* How many messages it has; each is looked at. *out_is_whole: it was closed. -1: no recording. */
static int64_t count_of(const char *path, int *out_is_whole)
{
    struct shmbus_recording *recording = NULL;
    struct shmbus_record record;
    uint64_t count = 0;
    int result = shmbus_recording_open(path, &recording);
    if (result != 0)
        return -1;
    *out_is_whole = (int)shmbus_recording_info(recording)->whole;
    while ((result = shmbus_recording_next(recording, &record)) == 1) {
        ck_assert_uint_eq(record.sequence, count);
        ck_assert(file_is(&record));
        count++;
    }
    ck_assert_int_eq(result, 0);
    shmbus_recording_close(recording);
    return (int64_t)count;
}

static void expect_lz4_likes_it(const char *path)
{
    char command[512];
    snprintf(command, sizeof command, "lz4 -tq %s", path);
    ck_assert_int_eq(system(command), 0);
}

/* Goes on with it to the end, in this process. */
static void expect_goes_on(const char *path, uint64_t first)
{
    int is_whole = 0;
    struct shmbus_recorder *recorder = go_on(path);
    ck_assert_msg(recorder != NULL, "%s", shmbus_record_error_text());
    for (uint64_t sequence = first; sequence < COUNT; sequence++)
        ck_assert_int_eq(put(recorder, sequence), 0);
    ck_assert_int_eq(shmbus_recorder_close(recorder), 0);
    ck_assert_int_eq(count_of(path, &is_whole), COUNT);
    ck_assert(is_whole);
    expect_lz4_likes_it(path);
}

/* Runs a recorder of a file from a message on, with the mishap of this test at that call. Returns
 * whether it came by it. */
static int run(const char *path, uint64_t first, uint32_t at, enum mishap which)
{
    int status = 0;
    memset(told, 0, sizeof *told);
    mishap_at = at;
    mishap = which;
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0)
        record_from(path, first);
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    const int was_killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
    ck_assert_msg(was_killed || WIFEXITED(status), "status 0x%x", (unsigned)status);
    ck_assert_int_eq(was_killed, which <= MIDDLE && told->calls > at);
    return told->calls > at;
}

/* What is left after a mishap. */
static void check(const char *path, uint64_t first, uint32_t writes_before, enum mishap which)
{
    int is_whole = 0;
    const int64_t count = count_of(path, &is_whole);
    /* A new file that could not be begun is taken away, or has no header. */
    if (count < 0) {
        ck_assert_uint_eq(first, 0);
        ck_assert_uint_eq(told->whole_writes, 0);
        return;
    }
    const uint64_t blocks = told->whole_writes - writes_before;
    const uint64_t least = first + blocks * BLOCK_COUNT;
    ck_assert_msg((uint64_t)count >= (least < COUNT ? least : COUNT),
                  "%lld messages, and %u writes from %u on", (long long)count, told->whole_writes,
                  (unsigned)first);
    /* What was cut before stays so if it could not be opened. */
    if (which >= FULL && told->is_done)
        expect_lz4_likes_it(path);
    expect_goes_on(path, (uint64_t)count);
}

static void begin(void)
{
    told = mmap(NULL, sizeof *told, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(told, MAP_FAILED);
    mishap_at = UINT32_MAX;
}

/* A new file. The header is the first write. */
START_TEST(a_new_file)
{
    const char *path = file_path("killed");
    uint32_t at = 0;
    begin();
    for (;; at++) {
        ck_assert_uint_lt(at, TIMES_MAX);
        unlink(path);
        if (!run(path, 0, at, (enum mishap)_i))
            break;
        if (_i >= FULL)
            ck_assert_int_eq(told->result, told->result == -EIO ? -EIO : -ENOSPC);
        check(path, 0, 1, (enum mishap)_i);
    }
    /* A header, five blocks with a sync each, the index with one. */
    ck_assert_uint_ge(at, 13);
    ck_assert(told->is_done && told->result == 0);
}
END_TEST

/* One that was cut is gone on with, and that is killed. */
START_TEST(one_that_is_gone_on_with)
{
    const char *path = file_path("again");
    struct stat found;
    int is_whole = 0;
    uint32_t at = 0;
    begin();
    for (;; at++) {
        ck_assert_uint_lt(at, TIMES_MAX);
        struct shmbus_recorder *recorder = file_record(path, "bus", 0, 0, BLOCK);
        file_put(recorder, 0, 100);
        ck_assert_int_eq(shmbus_recorder_close(recorder), 0);
        ck_assert_int_eq(stat(path, &found), 0);
        ck_assert_int_eq(truncate(path, found.st_size - 300), 0);
        const int64_t first = count_of(path, &is_whole);
        ck_assert_int_eq(first, BLOCK_COUNT);
        if (!run(path, (uint64_t)first, at, (enum mishap)_i))
            break;
        check(path, (uint64_t)first, 0, (enum mishap)_i);
    }
    ck_assert_uint_ge(at, 10);
    ck_assert(told->is_done && told->result == 0);
}
END_TEST

/* Whatever was written after the last sync is gone. */
START_TEST(power_is_lost)
{
    const char *path = file_path("power");
    int is_whole = 0;
    uint32_t at = 0;
    begin();
    for (;; at++) {
        ck_assert_uint_lt(at, TIMES_MAX);
        unlink(path);
        if (!run(path, 0, at, AFTER))
            break;
        const off_t synced = told->synced;
        if (synced == 0)
            continue;
        const uint32_t calls = told->calls;
        ck_assert_int_eq(truncate(path, synced), 0);
        const int64_t count = count_of(path, &is_whole);
        /* Of the header's write and those of the blocks each is followed by a sync. */
        const uint64_t blocks = (calls - 1) / 2;
        const uint64_t least = blocks * BLOCK_COUNT;
        ck_assert_int_ge(count, (int64_t)(least < COUNT ? least : COUNT));
        expect_goes_on(path, (uint64_t)count);
    }
    ck_assert_uint_ge(at, 13);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("killed");
    TCase *tcase = support_case(suite, "killed", 120);
    tcase_add_loop_test(tcase, a_new_file, 0, MISHAPS);
    tcase_add_loop_test(tcase, one_that_is_gone_on_with, 0, MISHAPS);
    tcase_add_test(tcase, power_is_lost);
    return support_run(suite);
}
