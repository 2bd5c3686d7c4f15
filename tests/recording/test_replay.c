/* SPDX-License-Identifier: MIT */
/*
 * shmbus-replay: the bus that it makes is as the recorded one was, geometry, types, sequences and
 * gaps; and what it answers when it cannot be.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "json.h"
#include "recording.h"

static void note_lost(void *context, const struct shmbus_event *event)
{
    struct bytes *seen = context;
    char text[64];
    const int length = snprintf(text, sizeof(text), "%s%llu+%llu ",
                                event->kind == SHMBUS_EVENT_LOST ? "" : "other ",
                                (unsigned long long)event->first, (unsigned long long)event->count);
    bytes_add(seen, text, (size_t)length);
}

/* Everything of a kept bus as text: sequence:type:flags:payload, and what was lost. */
static struct bytes everything(const char *bus)
{
    struct bytes seen = {0};
    const struct shmbus_consumer_options options = {
        .struct_bytes = sizeof(options),
        .kind = SHMBUS_REQUIRED,
        .from = SHMBUS_FROM_OLDEST,
        .on_event = note_lost,
        .context = &seen,
    };
    struct shmbus_consumer *consumer = NULL;
    struct shmbus_message message;
    bytes_add(&seen, "", 0);
    ck_assert_int_eq(shmbus_consumer_open(bus, &options, &consumer), 0);
    while (shmbus_consumer_wait(consumer, 0) == 0) {
        while (shmbus_consumer_next(consumer, &message) == 1) {
            char text[64];
            const int length = snprintf(
                text, sizeof(text), "%llu:%u:%u:%.*s ", (unsigned long long)message.sequence,
                message.type, message.flags & SHMBUS_MESSAGE_USER_FLAGS,
                (int)(message.length < 9 ? message.length : 9), (const char *)message.data);
            bytes_add(&seen, text, (size_t)length);
        }
    }
    ck_assert_int_eq(shmbus_consumer_wait(consumer, 0), -EPIPE);
    shmbus_consumer_close(consumer);
    return seen;
}

static const struct shmbus_type types[] = {
    {.type = 1, .bytes = 0, .name = "small", .fields = NULL},
    {.type = 2, .bytes = 700, .name = "large", .fields = "a:V700"},
};

/* Gaps at the begin of a span, inside and at the end; two types; messages in slots and in slabs. */
static void make_bus(const char *name)
{
    const struct shmbus_bus_options bus = {
        .struct_bytes = sizeof(bus),
        .capacity = 128,
        .slot_bytes = 128,
        .max_consumers = 5,
        .class_count = 2,
        .classes = {{1024, 7}, {4096, 3}},
        .flags = SHMBUS_BUS_TIMESTAMPS,
        .first_sequence = 1000,
        .history = 100,
        .types = types,
        .type_count = 2,
    };
    static const char large[700] = "large";
    struct shmbus_producer *producer = NULL;
    ck_assert_int_eq(shmbus_producer_create(name, &bus, NULL, &producer), 0);
    ck_assert_int_eq(shmbus_producer_publish(producer, 1, 1, "a", 1), 0);
    ck_assert_int_eq(shmbus_producer_publish(producer, 2, 2, large, 700), 0);
    ck_assert_int_eq(shmbus_producer_skip(producer, 10), 0);
    ck_assert_int_eq(shmbus_producer_publish(producer, 1, 4, "b", 1), 0);
    ck_assert_int_eq(shmbus_producer_publish(producer, 300, 255, "c", 1), 0);
    ck_assert_int_eq(shmbus_producer_skip(producer, 3), 0);
    shmbus_producer_close(producer);
}

/* What shmbus-stat says of the bus without what differs from time to time. */
static void expect_equal_pictures(const char *one, const char *other)
{
    static const char *const names[] = {
        "capacity",      "slot_bytes",         "max_consumers", "tail",
        "timestamps",    "first_sequence",     "history",       "pools.0.slab_bytes",
        "pools.0.count", "pools.1.slab_bytes", "pools.1.count", "types.0.name",
        "types.1.name",  "types.1.bytes",      "types.1.fields"};
    const struct ending a = tool_run(ARGUMENTS(STAT, "--json", one), NULL, 0);
    const struct ending b = tool_run(ARGUMENTS(STAT, "--json", other), NULL, 0);
    assert_code(a, 0);
    assert_code(b, 0);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        const char *value = json_at(a.out.data, names[i]);
        const char *again = json_at(b.out.data, names[i]);
        ck_assert_msg(value != NULL, "no %s in: %s", names[i], a.out.data);
        ck_assert_msg(again && strncmp(value, again, strcspn(value, ",}]")) == 0,
                      "%s is not the same in: %s and: %s", names[i], a.out.data, b.out.data);
    }
}

START_TEST(geometry_and_gaps)
{
    make_bus("made");
    const char *path = record_kept("made", "made.lz4", NULL);
    const struct ending replay =
        tool_run(ARGUMENTS(REPLAY, "--speed", "max", "--keep", path, "again"), NULL, 0);
    assert_code(replay, 0);
    expect_equal_pictures("made", "again");
    const struct bytes before = everything("made");
    const struct bytes after = everything("again");
    ck_assert_str_eq(before.data, "1000:1:1:a 1001:2:2:large 1002+10 1012:1:4:b 1013:300:255:c "
                                  "1014+3 ");
    ck_assert_str_eq(after.data, before.data);
    ck_assert_int_eq(shmbus_unlink("again", NULL), 0);
    /* Of one type only: the others are gaps. The end is that of the recording all the same. */
    const struct ending typed = tool_run(
        ARGUMENTS(REPLAY, "--speed", "max", "--keep", "--type", "small", path, "again"), NULL, 0);
    assert_code(typed, 0);
    ck_assert_str_eq(everything("again").data, "1000:1:1:a 1001+11 1012:1:4:b 1013+4 ");
    ck_assert_int_eq(shmbus_unlink("again", NULL), 0);
    /* What is left out right before a message, with no range between them. */
    const struct ending others = tool_run(
        ARGUMENTS(REPLAY, "--speed", "max", "--keep", "--type", "large,300", path, "again"), NULL,
        0);
    assert_code(others, 0);
    ck_assert_str_eq(everything("again").data,
                     "1001:2:2:large 1002+10 1012+1 1013:300:255:c 1014+3 ");
    ck_assert_int_eq(shmbus_unlink("again", NULL), 0);
    /* The same when the recorder left them out. */
    const char *typed_path = record_kept("made", "typed.lz4", ARGUMENTS("--type", "large,300"));
    const struct ending filtered =
        tool_run(ARGUMENTS(REPLAY, "--speed", "max", "--keep", typed_path, "again"), NULL, 0);
    assert_code(filtered, 0);
    ck_assert_str_eq(everything("again").data,
                     "1001:2:2:large 1002+10 1012+1 1013:300:255:c 1014+3 ");
    ck_assert_int_eq(shmbus_unlink("again", NULL), 0);
    /* Beginning and ending inside of a gap. */
    const struct ending part = tool_run(ARGUMENTS(REPLAY, "--speed", "max", "--keep", "--from",
                                                  "1005", "--to", "1015", path, "again"),
                                        NULL, 0);
    assert_code(part, 0);
    ck_assert_str_eq(everything("again").data, "1005+7 1012:1:4:b 1013:300:255:c 1014+2 ");
    ck_assert_int_eq(shmbus_unlink("again", NULL), 0);
    const struct ending unknown =
        tool_run(ARGUMENTS(REPLAY, "--type", "quote", path, "again"), NULL, 0);
    assert_code(unknown, 1);
    assert_in(unknown.err, "made.lz4: no type is called 'quote' (there are: small, large)");
    ck_assert(!bus_exists("again"));
    ck_assert_int_eq(shmbus_unlink("made", NULL), 0);
}
END_TEST

START_TEST(options_of_the_bus)
{
    const struct bytes input = numbered_lines(5, 0);
    const char *path = record_lines("options", &input, NULL);
    const char *other = path_in("elsewhere");
    char group[16];
    ck_assert_int_eq(mkdir(other, 0700), 0);
    snprintf(group, sizeof(group), "%u", (unsigned)getgid());
    const struct ending replay = tool_run(
        ARGUMENTS(REPLAY, "--speed", "max", "--keep", "--mode", "640", "--group", group, "--folder",
                  other, "--evict", "3", "--cpu", "0", "--wait-strategy", "yield", path, "options"),
        NULL, 0);
    assert_code(replay, 0);
    assert_in(replay.err, "runs on CPU 0");
    ck_assert(!bus_exists("options"));
    const struct ending stat =
        tool_run(ARGUMENTS(STAT, "--json", "--folder", other, "options"), NULL, 0);
    assert_code(stat, 0);
    ck_assert(json_is(stat.out.data, "mode", "\"0640\""));
    ck_assert_uint_eq(json_number(stat.out.data, "tail"), 5);
    /* One that is beyond the recording is not gone back on; another geometry is replaced if asked.
     */
    const struct ending beyond =
        tool_run(ARGUMENTS(REPLAY, "--speed", "max", "--folder", other, "--keep", "--mode", "640",
                           "--evict", "3", path, "options"),
                 NULL, 0);
    assert_code(beyond, 1);
    assert_in(beyond.err, "is at sequence 5 already, and the recording begins at 0");
    const struct bytes few = numbered_lines(2, 0);
    keep_bus("small", &few, ARGUMENTS("--capacity", "64"));
    const struct ending differs = tool_run(ARGUMENTS(REPLAY, path, "small"), NULL, 0);
    assert_code(differs, 1);
    const struct ending replaced = tool_run(
        ARGUMENTS(REPLAY, "--speed", "max", "--replace", "--keep", path, "small"), NULL, 0);
    assert_code(replaced, 0);
    const struct bytes lines = read_kept("small", "lines");
    assert_bytes(&lines, input.data, input.length);
    ck_assert_int_eq(shmbus_unlink("small", NULL), 0);
    ck_assert_int_eq(shmbus_unlink("options", other), 0);
}
END_TEST

/* As shmbus-pub: begins with its consumers, waits until they have read all, and removes the bus. */
START_TEST(begin_and_end)
{
    /* No more than a pipe takes: only one of them is read at a time. */
    const struct bytes input = numbered_lines(3000, 0);
    const char *path = record_lines("large", &input, NULL);
    struct tool replay =
        tool_start(ARGUMENTS(REPLAY, "--speed", "max", "--wait-consumers", "2", path, "end"));
    struct tool first =
        tool_start(ARGUMENTS(SUB, "--required", "--from", "oldest", "--wait", "50", "end"));
    await_consumers("end", 1);
    struct tool second =
        tool_start(ARGUMENTS(SUB, "--required", "--from", "oldest", "--wait", "50", "end"));
    const struct ending one = tool_end(&first);
    const struct ending two = tool_end(&second);
    const struct ending replayed = tool_end(&replay);
    assert_code(replayed, 0);
    assert_bytes(&one.out, input.data, input.length);
    assert_bytes(&two.out, input.data, input.length);
    ck_assert(!bus_exists("end"));
}
END_TEST

START_TEST(loops)
{
    make_bus("loop");
    const char *path = record_kept("loop", "loop.lz4", NULL);
    ck_assert_int_eq(shmbus_unlink("loop", NULL), 0);
    const struct ending replay = tool_run(
        ARGUMENTS(REPLAY, "--speed", "max", "--loop", "3", "--keep", path, "loop"), NULL, 0);
    assert_code(replay, 0);
    ck_assert_str_eq(everything("loop").data,
                     "1000:1:1:a 1001:2:2:large 1002+10 1012:1:4:b 1013:300:255:c 1014+3 "
                     "1017:1:1:a 1018:2:2:large 1019+10 1029:1:4:b 1030:300:255:c 1031+3 "
                     "1034:1:1:a 1035:2:2:large 1036+10 1046:1:4:b 1047:300:255:c 1048+3 ");
    ck_assert_int_eq(shmbus_unlink("loop", NULL), 0);
    /* Without end, until a signal. */
    struct tool endless =
        tool_start(ARGUMENTS(REPLAY, "--speed", "max", "--loop", "0", "--keep", path, "loop"));
    await_tail("loop", 100000);
    ck_assert_int_eq(kill(endless.pid, SIGTERM), 0);
    const struct ending ended = tool_end(&endless);
    assert_code(ended, 0);
    ck_assert_int_eq(shmbus_unlink("loop", NULL), 0);
}
END_TEST

/* Two buses that were recorded together come back in the order in which they were received. */
START_TEST(in_step)
{
    struct tool pub[2];
    struct tool record[2];
    static const char *const names[] = {"left", "right"};
    for (int i = 0; i < 2; i++) {
        pub[i] = tool_start(ARGUMENTS(PUB, "--timestamps", names[i]));
        record[i] =
            tool_start(ARGUMENTS(RECORD, "--required", "--name", "r", "--from", "oldest", "--wait",
                                 "50", "-o", path_in("%s.lz4", names[i]), names[i]));
        await_consumers(names[i], 1);
    }
    for (uint64_t i = 0; i < 40; i++) {
        char line[16];
        const int length = snprintf(line, sizeof(line), "%llu\n", (unsigned long long)i);
        /* Runs of one and the other, of three. */
        const int to = i / 3 % 2;
        tool_write(&pub[to], line, (size_t)length);
        await_received(names[to], "r", i / 6 * 3 + (i % 6) % 3 + 1);
    }
    for (int i = 0; i < 2; i++) {
        const struct ending published = tool_end(&pub[i]);
        assert_code(published, 0);
        const struct ending recorded = tool_end(&record[i]);
        assert_code(recorded, 0);
    }
    const struct ending replay =
        tool_run(ARGUMENTS(REPLAY, "--speed", "max", "--keep", path_in("left.lz4"), "left", "+",
                           path_in("right.lz4"), "right"),
                 NULL, 0);
    assert_code(replay, 0);
    /* In which order they were published again, by their timestamps. */
    struct shmbus_consumer *consumers[2] = {attach("left", "a"), attach("right", "b")};
    struct shmbus_message next[2];
    int has[2];
    for (int i = 0; i < 2; i++) {
        has[i] = shmbus_consumer_next(consumers[i], &next[i]);
    }
    for (int i = 0; i < 40; i++) {
        const int at =
            has[0] == 1 && (has[1] != 1 || next[0].timestamp_ns <= next[1].timestamp_ns) ? 0 : 1;
        char line[16];
        ck_assert_int_eq(has[at], 1);
        ck_assert_int_eq(snprintf(line, sizeof(line), "%d", i), (int)next[at].length);
        ck_assert_int_eq(memcmp(next[at].data, line, next[at].length), 0);
        has[at] = shmbus_consumer_next(consumers[at], &next[at]);
    }
    for (int i = 0; i < 2; i++) {
        shmbus_consumer_close(consumers[i]);
        ck_assert_int_eq(shmbus_unlink(names[i], NULL), 0);
    }
    const struct ending mixed =
        tool_run(ARGUMENTS(REPLAY, path_in("left.lz4"), path_in("right.lz4"), "both"), NULL, 0);
    assert_code(mixed, 1);
    assert_in(mixed.err, "right.lz4: is of another bus than ");
    assert_in(mixed.err, "FILE... BUS + FILE... BUS");
}
END_TEST

/* A recording that is damaged is replayed as far as it is whole, which is a failure all the same.
 */
START_TEST(damaged)
{
    const struct bytes input = numbered_lines(5000, 0);
    struct bytes whole = file_read(record_lines("whole", &input, ARGUMENTS("--block", "4K")));
    whole.data[whole.length / 2] = (char)(whole.data[whole.length / 2] ^ 1);
    const char *path = file_make("damaged.lz4", whole.data, whole.length);
    const struct ending replay =
        tool_run(ARGUMENTS(REPLAY, "--speed", "max", "--keep", path, "damaged"), NULL, 0);
    assert_code(replay, 1);
    assert_in(replay.err, "damaged.lz4: damaged at byte ");
    const struct bytes lines = read_kept("damaged", "lines");
    ck_assert_uint_gt(lines.length, 10000);
    ck_assert_uint_lt(lines.length, input.length);
    ck_assert_int_eq(memcmp(lines.data, input.data, lines.length), 0);
    ck_assert_int_eq(shmbus_unlink("damaged", NULL), 0);
}
END_TEST

int main(void)
{
    return recording_run("recording_replay",
                         (const TTest *const[]){geometry_and_gaps, options_of_the_bus,
                                                begin_and_end, loops, in_step, damaged, NULL});
}
