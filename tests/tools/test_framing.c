/* SPDX-License-Identifier: MIT */
/*
 * Input cut into records: whatever the pieces in which it comes, the records are the same; each is
 * there as soon as its bytes are; and what is wrong with a record is told exactly.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "framing.h"
#include "harness.h"

#define LIMIT 262144

static struct framing framing;
static int ends[2];

static void begin(enum framing_kind kind, uint64_t record_bytes, uint64_t limit)
{
    ck_assert_int_eq(pipe(ends), 0);
    ck_assert_int_eq(framing_begin(&framing, kind, record_bytes, limit), 0);
}

static void feed(const void *data, size_t length)
{
    ck_assert_int_eq(write(ends[1], data, length), (ssize_t)length);
    ck_assert_int_eq(framing_fill(&framing, ends[0]), (long)length);
}

static void feed_end(void)
{
    close(ends[1]);
    ck_assert_int_eq(framing_fill(&framing, ends[0]), 0);
}

static void expect(enum framing_result wanted)
{
    struct framing_record record;
    ck_assert_int_eq(framing_next(&framing, &record), wanted);
}

static void expect_record(uint64_t number, const void *data, size_t length)
{
    struct framing_record record;
    ck_assert_int_eq(framing_next(&framing, &record), FRAMING_RECORD);
    ck_assert_uint_eq(record.number, number);
    ck_assert_uint_eq(record.size, length);
    ck_assert(length == 0 || memcmp(record.data, data, length) == 0);
}

START_TEST(test_lines_at_once)
{
    begin(FRAMING_LINES, 0, LIMIT);
    expect(FRAMING_MORE);
    feed("one\n\ntwo\nth", 11);
    expect_record(1, "one", 3);
    expect_record(2, "", 0);
    expect_record(3, "two", 3);
    expect(FRAMING_MORE);
    feed("ree\r\n", 5);
    expect_record(4, "three\r", 6);
    feed("\0\n", 2);
    expect_record(5, "\0", 1);
    feed("last", 4);
    expect(FRAMING_MORE);
    feed_end();
    expect_record(6, "last", 4);
    expect(FRAMING_END);
    expect(FRAMING_END);
}
END_TEST

START_TEST(test_empty_input)
{
    static const enum framing_kind kinds[] = {FRAMING_LINES, FRAMING_RAW, FRAMING_LEN32};
    for (int i = 0; i < 3; i++) {
        begin(kinds[i], 5, LIMIT);
        feed_end();
        expect(FRAMING_END);
        framing_end(&framing);
        close(ends[0]);
    }
}
END_TEST

START_TEST(test_raw)
{
    begin(FRAMING_RAW, 4, LIMIT);
    feed("aaaabb", 6);
    expect_record(1, "aaaa", 4);
    expect(FRAMING_MORE);
    feed("bbcccc\n", 7);
    expect_record(2, "bbbb", 4);
    expect_record(3, "cccc", 4);
    expect(FRAMING_MORE);
    feed_end();
    struct framing_record record;
    ck_assert_int_eq(framing_next(&framing, &record), FRAMING_CUT);
    ck_assert_uint_eq(record.number, 4);
    ck_assert_uint_eq(record.size, 4);
    ck_assert_uint_eq(record.part, 1);
    ck_assert(!record.in_length);
}
END_TEST

START_TEST(test_len32)
{
    begin(FRAMING_LEN32, 0, LIMIT);
    feed("\3\0\0\0abc\0\0\0\0\1\0", 13);
    expect_record(1, "abc", 3);
    expect_record(2, "", 0);
    expect(FRAMING_MORE);
    feed("\0\0", 2);
    expect(FRAMING_MORE);
    feed("x", 1);
    expect_record(3, "x", 1);
}
END_TEST

START_TEST(test_len32_cut)
{
    struct framing_record record;
    begin(FRAMING_LEN32, 0, LIMIT);
    feed("\1\0\0", 3);
    feed_end();
    ck_assert_int_eq(framing_next(&framing, &record), FRAMING_CUT);
    ck_assert(record.in_length && record.part == 3 && record.size == 4 && record.number == 1);
    framing_end(&framing);
    begin(FRAMING_LEN32, 0, LIMIT);
    feed("\5\0\0\0abc", 7);
    feed_end();
    ck_assert_int_eq(framing_next(&framing, &record), FRAMING_CUT);
    ck_assert(!record.in_length && record.part == 3 && record.size == 5 && record.number == 1);
}
END_TEST

START_TEST(test_sized_too_long)
{
    struct framing_record record;
    begin(FRAMING_LEN32, 0, 100);
    feed("\x65\0\0\0", 4);
    ck_assert_int_eq(framing_next(&framing, &record), FRAMING_TOO_LONG);
    ck_assert(record.size == 101 && record.whole && record.number == 1);
    framing_end(&framing);
    begin(FRAMING_LEN32, 0, 100);
    feed("\xff\xff\xff\xff", 4);
    ck_assert_int_eq(framing_next(&framing, &record), FRAMING_TOO_LONG);
    ck_assert_uint_eq(record.size, UINT32_MAX);
    framing_end(&framing);
    begin(FRAMING_RAW, 101, 100);
    feed("a", 1);
    ck_assert_int_eq(framing_next(&framing, &record), FRAMING_TOO_LONG);
    ck_assert_uint_eq(record.size, 101);
}
END_TEST

/* Reads records out of a file of one line of so many bytes, with or without a newline. */
static enum framing_result long_line(size_t length, bool newline, struct framing_record *out_record)
{
    FILE *file = tmpfile();
    char *line = malloc(length + 1);
    ck_assert_ptr_nonnull(line);
    memset(line, 'x', length);
    line[length] = '\n';
    fwrite(line, 1, length + newline, file);
    rewind(file);
    ck_assert_int_eq(framing_begin(&framing, FRAMING_LINES, 0, LIMIT), 0);
    enum framing_result result;
    while ((result = framing_next(&framing, out_record)) == FRAMING_MORE) {
        ck_assert_int_ge(framing_fill(&framing, fileno(file)), 0);
    }
    if (result == FRAMING_RECORD) {
        ck_assert_mem_eq(out_record->data, line, length);
        ck_assert_uint_le(framing.room, (size_t)4 * LIMIT);
    }
    fclose(file);
    free(line);
    framing_end(&framing);
    return result;
}

START_TEST(test_long_lines)
{
    struct framing_record record;
    const bool newline = _i != 0;
    ck_assert_int_eq(long_line(LIMIT - 1, newline, &record), FRAMING_RECORD);
    ck_assert_uint_eq(record.size, LIMIT - 1);
    ck_assert_int_eq(long_line(LIMIT, newline, &record), FRAMING_RECORD);
    ck_assert_uint_eq(record.size, LIMIT);
    static const size_t more[] = {LIMIT + 1, (size_t)2 * LIMIT, (size_t)10 * LIMIT + 7};
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(long_line(more[i], newline, &record), FRAMING_TOO_LONG);
        ck_assert(record.whole);
        ck_assert_uint_eq(record.size, more[i]);
        ck_assert_uint_eq(record.number, 1);
        ck_assert_uint_le(framing.room, (size_t)4 * LIMIT);
    }
}
END_TEST

START_TEST(test_records_in_random_pieces)
{
    /* 3,000 records of random length and content, in pieces of random length. */
    enum { RECORDS = 3000, MOST = 900 };
    static unsigned char all[RECORDS * (MOST + 4)];
    static size_t lengths[RECORDS];
    static size_t starts[RECORDS];
    const bool lines = _i == 0;
    size_t total = 0;
    unsigned seed = 4711;
    for (int i = 0; i < RECORDS; i++) {
        lengths[i] = (size_t)rand_r(&seed) % (rand_r(&seed) % 8 == 0 ? MOST : 20);
        if (!lines) {
            const unsigned char head[4] = {lengths[i] & 0xff, (unsigned char)(lengths[i] >> 8)};
            memcpy(all + total, head, 4);
            total += 4;
        }
        starts[i] = total;
        for (size_t k = 0; k < lengths[i]; k++) {
            const unsigned char byte = (unsigned char)rand_r(&seed);
            all[total++] = lines && byte == '\n' ? 'n' : byte;
        }
        if (lines) {
            all[total++] = '\n';
        }
    }
    begin(lines ? FRAMING_LINES : FRAMING_LEN32, 0, MOST);
    int next = 0;
    for (size_t fed = 0; fed < total;) {
        size_t piece = 1 + (size_t)rand_r(&seed) % (rand_r(&seed) % 4 == 0 ? 30000 : 100);
        piece = piece < total - fed ? piece : total - fed;
        feed(all + fed, piece);
        fed += piece;
        /* All that is whole is there now, and not a record later. */
        for (; next < RECORDS && starts[next] + lengths[next] + lines <= fed; next++) {
            expect_record((uint64_t)next + 1, all + starts[next], lengths[next]);
        }
        expect(FRAMING_MORE);
    }
    ck_assert_int_eq(next, RECORDS);
    feed_end();
    expect(FRAMING_END);
}
END_TEST

START_TEST(test_read_error)
{
    begin(FRAMING_LINES, 0, LIMIT);
    ck_assert_int_eq(framing_fill(&framing, -1), -EBADF);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("tools_framing");
    TCase *tcase = tcase_create("framing");
    tcase_add_test(tcase, test_lines_at_once);
    tcase_add_test(tcase, test_empty_input);
    tcase_add_test(tcase, test_raw);
    tcase_add_test(tcase, test_len32);
    tcase_add_test(tcase, test_len32_cut);
    tcase_add_test(tcase, test_sized_too_long);
    tcase_add_loop_test(tcase, test_long_lines, 0, 2);
    tcase_add_loop_test(tcase, test_records_in_random_pieces, 0, 2);
    tcase_add_test(tcase, test_read_error);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
