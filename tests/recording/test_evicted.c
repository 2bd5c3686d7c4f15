/* SPDX-License-Identifier: MIT */
/*
 * A required recorder that is evicted: it says so, and what it may not have read in time is not in
 * its file. All that is in it is true, and a recorder goes on with it, the gap told to the
 * sequence.
 */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "json.h"
#include "recording.h"

#define BUS    "evicted"
#define TRIALS 6
#define BYTES  40

static void pause_ms(long ms)
{
    const struct timespec time = {0, ms * 1000000};
    nanosleep(&time, NULL);
}

/* Every byte follows from the sequence, as text. */
static int line_of(uint64_t sequence, char out[BYTES + 1])
{
    return snprintf(out, BYTES + 1, "%0*" PRIu64 "%0*" PRIu64, BYTES / 2, sequence, BYTES / 2,
                    sequence * 3);
}

/* Publishes at full speed until it is killed, and evicts who stops it for 10 ms. */
static void publish_on(void)
{
    const struct shmbus_bus_options bus = {.struct_bytes = sizeof(bus),
                                           .capacity = 4096,
                                           .max_consumers = 4,
                                           .stall_ns = 10000000,
                                           .flags = SHMBUS_BUS_EVICT | SHMBUS_BUS_NO_POOL};
    const struct shmbus_producer_options options = {.struct_bytes = sizeof(options),
                                                    .full_timeout_ns = -1};
    struct shmbus_producer *producer = NULL;
    char line[BYTES + 1];
    if (shmbus_producer_create(BUS, &bus, &options, &producer) != 0) {
        _exit(1);
    }
    for (;;) {
        line_of(shmbus_producer_next_sequence(producer), line);
        if (shmbus_producer_publish(producer, 0, 0, line, BYTES) != 0) {
            _exit(1);
        }
    }
}

/* Every message of the file is what was published. Returns the sequence after the last one. */
static uint64_t end_of(const char *path)
{
    const struct bytes json = dump(path, ARGUMENTS("--format", "json"));
    const char *at = json.data;
    char line[BYTES + 1];
    uint64_t next = 0;
    uint64_t count = 0;
    while ((at = strstr(at, "{\"sequence\":")) != NULL) {
        const uint64_t sequence = number_after(at, "\"sequence\":");
        ck_assert(count == 0 || sequence == next);
        line_of(sequence, line);
        at = strstr(at, "\"data\":\"");
        ck_assert_msg(at && strncmp(at + 8, line, BYTES) == 0, "message %" PRIu64, sequence);
        next = sequence + 1;
        count++;
    }
    ck_assert_uint_gt(count, 0);
    return next;
}

START_TEST(what_was_not_read_in_time_is_left_out)
{
    static const char note[] = "may have been overwritten while they were read";
    int left_out = 0;
    for (int i = 0; i < TRIALS; i++) {
        const char *path = path_in("evicted%d.lz4", i);
        const pid_t producer = fork();
        ck_assert_int_ge(producer, 0);
        if (producer == 0) {
            publish_on();
        }
        struct tool record = tool_start(
            ARGUMENTS(RECORD, "--required", "--wait", "20", "--block", "4K", "-o", path, BUS));
        await_consumers(BUS, 1);
        pause_ms(30);
        ck_assert_int_eq(kill(record.pid, SIGSTOP), 0);
        pause_ms(60);
        ck_assert_int_eq(kill(record.pid, SIGCONT), 0);
        const struct ending ended = tool_end(&record);
        ck_assert_int_eq(kill(producer, SIGKILL), 0);
        ck_assert_int_eq(waitpid(producer, NULL, 0), producer);
        assert_code(ended, 1);
        assert_in(ended.err, "evicted by the producer");
        const uint64_t end = end_of(path);
        if (strstr(ended.err.data, note)) {
            ck_assert_uint_eq(number_after(ended.err.data, "from sequence "), end);
            left_out++;
        }
        assert_in(dump(path, ARGUMENTS("--verify")), ": whole, ");
        ck_assert_int_eq(shmbus_unlink(BUS, NULL), 0);
    }
    /* It was stopped in the middle of a block, but for one in fifty. */
    ck_assert_int_gt(left_out, 0);
}
END_TEST

int main(void)
{
    return recording_run("recording_evicted",
                         (const TTest *const[]){what_was_not_read_in_time_is_left_out, NULL});
}
