/* SPDX-License-Identifier: MIT */
/*
 * shmbus-pub: creates a bus and publishes a file or standard input on it. Every whole record of a
 * read is published before the next read, so that nothing is kept back to fill a batch; and as many
 * as one read brought go out in few calls, so that a large file costs a few system calls for each
 * quarter of a megabyte. All waiting is in slices of SLICE_NS, or beside stop_fd(), so that a
 * signal is heeded wherever it comes.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "framing.h"
#include "pace.h"
#include "progress.h"
#include "pub_bus.h"
#include "pub_options.h"
#include "stop.h"

#define LOOK_MS     500
#define BATCH_COUNT 128

#define CAPACITY_DEFAULT 65536 /* of a bus */

struct pub {
    struct pub_options options;
    struct pub_bus bus;
    struct framing framing;
    struct pace pace;
    struct progress progress;
    const char *input_name;
    int input;
    uint64_t largest_slab; /* bytes; 0 without a pool */
    uint64_t sent;
    size_t batch_count;
    uint64_t batch_number; /* of the record that the batch begins with */
    struct shmbus_outgoing batch[BATCH_COUNT];
};

static const char *record_word(const struct pub *pub)
{
    return pub->options.framing == FRAMING_LINES ? "line" : "record";
}

static int input_failed(struct pub *pub, int error)
{
    progress_break(&pub->progress);
    return cli_failed("%s: %s", pub->input_name, strerror(-error));
}

/* `relation` says how the record's size relates to `size`. */
static int record_too_long(struct pub *pub, uint64_t number, const char *relation, uint64_t size)
{
    progress_break(&pub->progress);
    if (pub->largest_slab == 0) {
        return cli_failed("%s: %s %llu is %s%llu bytes long, which does not fit a slot, and the "
                          "bus has no pool (give it one with --pool SIZE:COUNT)",
                          pub->input_name, record_word(pub), (unsigned long long)number, relation,
                          (unsigned long long)size);
    }
    return cli_failed("%s: %s %llu is %s%llu bytes long, the largest slab has %llu (give --pool a "
                      "class of larger slabs)",
                      pub->input_name, record_word(pub), (unsigned long long)number, relation,
                      (unsigned long long)size, (unsigned long long)pub->largest_slab);
}

static int record_cut(struct pub *pub, const struct framing_record *record)
{
    progress_break(&pub->progress);
    return cli_failed("%s: the input ends inside record %llu, with %llu of its %llu%s bytes (is it "
                      "of the format that --format says?)",
                      pub->input_name, (unsigned long long)record->number,
                      (unsigned long long)record->part, (unsigned long long)record->size,
                      record->in_length ? " length" : "");
}

/* How many go out in one call: history gives way to a batch that does not fit beside it. */
static size_t batch_most(const struct shmbus_bus_options *bus)
{
    const uint64_t capacity = bus->capacity ? bus->capacity : CAPACITY_DEFAULT;
    const uint64_t room = capacity > bus->history ? capacity - bus->history : 1;
    return room < BATCH_COUNT ? (size_t)room : BATCH_COUNT;
}

/* Publishes the batch; CLI_OK also when a signal cut it short, which the caller sees itself. */
static int send_batch(struct pub *pub)
{
    const size_t most = batch_most(&pub->options.bus);
    size_t done = 0;
    while (done < pub->batch_count && stop_count() == 0) {
        int64_t wake_ns = 0;
        const int64_t now_ns = pub->pace.rate ? cli_now_ns() : 0;
        const size_t left = pub->batch_count - done;
        const size_t due = pace_due(&pub->pace, now_ns, left < most ? left : most, &wake_ns);
        if (due == 0) {
            progress_tick(&pub->progress, "paced", pub->bus.producer, pub->sent);
            pub_bus_look(&pub->bus);
            pace_sleep(wake_ns);
            continue;
        }
        const int count = shmbus_producer_publish_batch(pub->bus.producer, pub->batch + done, due);
        if (count > 0) {
            done += (size_t)count;
            pub->sent += (size_t)count;
            pace_sent(&pub->pace, (size_t)count);
        } else if (count == -EMSGSIZE) {
            return record_too_long(pub, pub->batch_number + done, "", pub->batch[done].length);
        } else if (count != -EAGAIN && count != -ENOBUFS) {
            return pub_bus_failed(&pub->bus, count);
        }
        progress_tick(&pub->progress, count > 0 ? "publishing" : "waiting for consumers",
                      pub->bus.producer, pub->sent);
        pub_bus_look(&pub->bus);
    }
    pub->batch_count = 0;
    return CLI_OK;
}

static void add_to_batch(struct pub *pub, const struct framing_record *record)
{
    if (pub->batch_count == 0) {
        pub->batch_number = record->number;
    }
    pub->batch[pub->batch_count++] = (struct shmbus_outgoing){
        .data = record->data,
        .length = (uint32_t)record->size,
        .type = pub->options.type,
    };
}

/*
 * Publishes every whole record that has been read. *out_more says whether to read on: not at the
 * end, after an error or when a signal came.
 */
static int publish_read(struct pub *pub, bool *out_more)
{
    struct framing_record record;
    enum framing_result found = FRAMING_RECORD;
    *out_more = false;
    while (found == FRAMING_RECORD) {
        found = framing_next(&pub->framing, &record);
        if (found == FRAMING_RECORD) {
            add_to_batch(pub, &record);
        }
        if (found != FRAMING_RECORD || pub->batch_count == BATCH_COUNT) {
            const int result = send_batch(pub);
            if (result != CLI_OK || stop_count() > 0) {
                return result;
            }
        }
    }
    if (found == FRAMING_TOO_LONG) {
        return record_too_long(pub, record.number, record.whole ? "" : "more than ", record.size);
    }
    if (found == FRAMING_CUT) {
        return record_cut(pub, &record);
    }
    *out_more = found == FRAMING_MORE;
    return CLI_OK;
}

/* Waits for input and reads it once; CLI_OK also when a signal came first. */
static int read_input(struct pub *pub)
{
    while (stop_count() == 0) {
        struct pollfd wanted[2] = {
            {.fd = pub->input, .events = POLLIN},
            {.fd = stop_fd(), .events = POLLIN},
        };
        /* Woken now and then: consumers may stall or die, and the rate fall to zero. */
        const int ready = poll(wanted, 2, LOOK_MS);
        progress_tick(&pub->progress, "reading", pub->bus.producer, pub->sent);
        pub_bus_look(&pub->bus);
        if (ready <= 0 || wanted[0].revents == 0) {
            continue;
        }
        const long count = framing_fill(&pub->framing, pub->input);
        if (count >= 0) {
            return CLI_OK;
        }
        if (count != -EINTR && count != -EAGAIN) {
            return input_failed(pub, (int)count);
        }
    }
    return CLI_OK;
}

static int publish_input(struct pub *pub)
{
    bool more = true;
    int result = CLI_OK;
    pace_begin(&pub->pace, pub->options.rate);
    while (result == CLI_OK && more && stop_count() == 0) {
        result = publish_read(pub, &more);
        if (result == CLI_OK && more) {
            result = read_input(pub);
        }
    }
    return result;
}

static int worse(int one, int other)
{
    return one > other ? one : other;
}

static int create(struct pub *pub)
{
    pub->bus = (struct pub_bus){.options = &pub->options, .progress = &pub->progress};
    const int result = pub_bus_create(&pub->bus);
    if (result != CLI_OK) {
        return result;
    }
    struct shmbus_pool_stats pool;
    for (uint32_t i = 0; shmbus_producer_pool_stats(pub->bus.producer, i, &pool) == 0; i++) {
        pub->largest_slab = pool.slab_bytes;
    }
    return CLI_OK;
}

/* The longest record that is worth keeping; the library refuses what is shorter and does not fit.
 */
static uint64_t longest_record(const struct pub *pub)
{
    return pub->largest_slab > SHMBUS_SLOT_BYTES_MAX ? pub->largest_slab : SHMBUS_SLOT_BYTES_MAX;
}

static int run(struct pub *pub)
{
    int result = create(pub);
    if (result != CLI_OK) {
        return result;
    }
    progress_begin(&pub->progress);
    if (framing_begin(&pub->framing, pub->options.framing, pub->options.record_bytes,
                      longest_record(pub)) != 0) {
        result = input_failed(pub, -ENOMEM);
    }
    if (result == CLI_OK) {
        result = pub_bus_wait_consumers(&pub->bus);
    }
    if (result == CLI_OK) {
        result = publish_input(pub);
    }
    result = worse(result, pub_bus_finish(&pub->bus, pub->sent));
    framing_end(&pub->framing);
    return result;
}

int main(int count, char **arguments)
{
    static struct pub pub;
    int result = CLI_OK;
    cli_begin("shmbus-pub");
    if (!pub_options_read(count, arguments, &pub.options, &result)) {
        return result;
    }
    pub.input_name = pub.options.file_name ? pub.options.file_name : "standard input";
    pub.input = STDIN_FILENO;
    /* Before the bus is made: a misspelt file leaves nothing behind. */
    if (pub.options.file_name) {
        pub.input = open(pub.options.file_name, O_RDONLY | O_CLOEXEC);
    }
    if (pub.input < 0) {
        return cli_failed("%s: %s", pub.input_name, strerror(errno));
    }
    const int error = stop_install();
    if (error != 0) {
        return cli_failed("signals: %s", strerror(-error));
    }
    return run(&pub);
}
