/* SPDX-License-Identifier: MIT */
/*
 * What was published is what shmbus-dump prints and shmbus-replay publishes again, byte for byte:
 * every kind of recorder, every way to compress and write, every format.
 */
#include <stdio.h>
#include <string.h>

#include "recording.h"

#define COUNT_OF(all) (sizeof(all) / sizeof((all)[0]))

/* The recording gives that input back, by itself and through a bus. */
static void expect_same(const char *path, const struct bytes *input)
{
    const struct bytes lines = dump(path, NULL);
    assert_bytes(&lines, input->data, input->length);
    const struct bytes verified = dump(path, ARGUMENTS("--verify"));
    assert_in(verified, ": whole, ");
    const struct ending checked = tool_run(ARGUMENTS("/usr/bin/lz4", "-tq", path), NULL, 0);
    assert_code(checked, 0);
    const struct ending replay =
        tool_run(ARGUMENTS(REPLAY, "--speed", "max", "--keep", path, "again"), NULL, 0);
    assert_code(replay, 0);
    ck_assert_str_eq(replay.err.data, "");
    const struct bytes again = read_kept("again", "lines");
    assert_bytes(&again, input->data, input->length);
    ck_assert_int_eq(shmbus_unlink("again", NULL), 0);
}

START_TEST(every_kind)
{
    static const char *const kinds[] = {"--required", "--observe", NULL};
    const struct bytes input = numbered_lines(1000, 200);
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        const char *path = record_lines("kind", &input, ARGUMENTS(kinds[i]));
        expect_same(path, &input);
        ck_assert_int_eq(remove(path), 0);
    }
}
END_TEST

START_TEST(every_way_to_write)
{
    static const char *const ways[][6] = {
        {"--level", "12"},
        {"--level", "fast:9"},
        {"--sync", "block"},
        {"--sync", "0.001"},
        {"--block", "4K", "--queue", "2"},
        {"--wait-strategy", "park"},
        {"--block", "1M", "--cpu", "0"},
    };
    /* Also messages that are longer than a block. */
    const struct bytes input = numbered_lines(500, 9000);
    for (size_t i = 0; i < COUNT_OF(ways); i++) {
        const char *path = record_lines("way", &input, ways[i]);
        expect_same(path, &input);
        ck_assert_int_eq(remove(path), 0);
    }
}
END_TEST

START_TEST(harder_is_smaller)
{
    const struct bytes input = numbered_lines(20000, 30);
    const struct bytes fast =
        file_read(record_lines("fast", &input, ARGUMENTS("--level", "fast:50")));
    const struct bytes plain = file_read(record_lines("plain", &input, ARGUMENTS("--level", "1")));
    const struct bytes hard = file_read(record_lines("hard", &input, ARGUMENTS("--level", "12")));
    ck_assert_uint_lt(hard.length, plain.length);
    ck_assert_uint_lt(plain.length, fast.length);
}
END_TEST

START_TEST(nothing_at_all)
{
    const struct bytes input = numbered_lines(0, 0);
    const char *path = record_lines("empty", &input, NULL);
    expect_same(path, &input);
}
END_TEST

START_TEST(unpacked_by_lz4)
{
    const struct bytes input = numbered_lines(3, 0);
    const char *path = record_lines("unpacked", &input, NULL);
    const struct ending plain = tool_run(ARGUMENTS("/usr/bin/lz4", "-dcq", path), NULL, 0);
    assert_code(plain, 0);
    /* 48 bytes of head each, and 6 of payload padded to 8. */
    ck_assert_uint_eq(plain.out.length, 3 * 56);
    for (size_t i = 0; i < 3; i++) {
        char line[8];
        snprintf(line, sizeof(line), "line %zu", i);
        ck_assert_int_eq(memcmp(plain.out.data + i * 56 + 48, line, 6), 0);
    }
}
END_TEST

START_TEST(formats)
{
    struct bytes input = {0};
    bytes_add(&input, "a\n\nb\"\n", 6);
    const char *path = record_lines("formats", &input, NULL);
    const struct bytes raw = dump(path, ARGUMENTS("--format", "raw"));
    assert_bytes(&raw, "ab\"", 3);
    const struct bytes hex = dump(path, ARGUMENTS("--format", "hex"));
    ck_assert_str_eq(hex.data, "61\n\n6222\n");
    const struct bytes len32 = dump(path, ARGUMENTS("--format", "len32"));
    assert_bytes(&len32, "\1\0\0\0a\0\0\0\0\2\0\0\0b\"", 15);
    /* Its output breaks. */
    char script[2048];
    snprintf(script, sizeof(script), "%s %s >/dev/full", DUMP, path);
    const struct ending full = tool_run(ARGUMENTS("/bin/sh", "-c", script), NULL, 0);
    assert_code(full, 1);
    assert_in(full.err, "standard output: No space left");
}
END_TEST

START_TEST(parts_of_it)
{
    const struct bytes input = numbered_lines(10000, 0);
    const char *path = record_lines("parts", &input, ARGUMENTS("--block", "4K"));
    struct bytes part = dump(path, ARGUMENTS("--from", "7000", "--to", "7002"));
    ck_assert_str_eq(part.data, "line 7000\nline 7001\nline 7002\n");
    part = dump(path, ARGUMENTS("--from", "9998"));
    ck_assert_str_eq(part.data, "line 9998\nline 9999\n");
    part = dump(path, ARGUMENTS("--count", "1"));
    ck_assert_str_eq(part.data, "line 0\n");
    part = dump(path, ARGUMENTS("--from", "10000"));
    ck_assert_str_eq(part.data, "");
    part = dump(path, ARGUMENTS("--from", "+0", "--count", "1"));
    ck_assert_str_eq(part.data, "line 0\n");
    part = dump(path, ARGUMENTS("--from", "+1000"));
    ck_assert_str_eq(part.data, "");
    part = dump(path, ARGUMENTS("--to", "2001-02-03T04:05:06.7"));
    ck_assert_str_eq(part.data, "");
    part = dump(path, ARGUMENTS("--from", "2001-02-03T04:05:06Z", "--count", "1"));
    ck_assert_str_eq(part.data, "line 0\n");
    /* The same on a bus, whose sequences begin there. */
    const struct ending replay = tool_run(ARGUMENTS(REPLAY, "--speed", "max", "--from", "7000",
                                                    "--to", "7001", "--keep", path, "part"),
                                          NULL, 0);
    assert_code(replay, 0);
    part = read_kept("part", "json");
    ck_assert_str_eq(part.data,
                     "{\"sequence\":7000,\"type\":0,\"length\":9,\"data\":\"line 7000\"}\n"
                     "{\"sequence\":7001,\"type\":0,\"length\":9,\"data\":\"line 7001\"}\n");
    ck_assert_int_eq(shmbus_unlink("part", NULL), 0);
}
END_TEST

/* A byte that is changed anywhere is found out: nothing that was not published is printed. */
START_TEST(damage_is_found)
{
    const struct bytes input = numbered_lines(300, 7);
    const struct bytes whole = file_read(record_lines("whole", &input, NULL));
    char *damaged = memory(whole.length);
    for (size_t i = 0; i < whole.length; i += 1 + whole.length / 60) {
        memcpy(damaged, whole.data, whole.length);
        damaged[i] = (char)(damaged[i] ^ 0x10);
        const char *path = file_make("damaged", damaged, whole.length);
        const struct ending verify = tool_run(ARGUMENTS(DUMP, "--verify", path), NULL, 0);
        assert_code(verify, 1);
        assert_in(verify.err, "shmbus-dump: ");
        const struct ending lines = tool_run(ARGUMENTS(DUMP, path), NULL, 0);
        ck_assert_int_lt(lines.code, 2);
        ck_assert_uint_le(lines.out.length, input.length);
        ck_assert_int_eq(memcmp(lines.out.data, input.data, lines.out.length), 0);
    }
}
END_TEST

int main(void)
{
    return recording_run("recording_round_trip",
                         (const TTest *const[]){every_kind, every_way_to_write, harder_is_smaller,
                                                nothing_at_all, unpacked_by_lz4, formats,
                                                parts_of_it, damage_is_found, NULL});
}
