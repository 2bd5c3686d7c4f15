/* SPDX-License-Identifier: MIT */
/* The forms in which shmbus-sub writes messages, and the blocks in which it writes them out. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "format.h"
#include "harness.h"
#include "json.h"

static struct output output;
static int file;

static void begin(void)
{
    file = memfd_create("output", MFD_CLOEXEC);
    ck_assert_int_ge(file, 0);
    output_begin(&output, file);
}

static void put(enum format format, uint64_t sequence, const void *data, size_t length)
{
    const struct shmbus_message message = {
        .data = data,
        .sequence = sequence,
        .length = (uint32_t)length,
        .type = 42,
    };
    ck_assert_int_eq(format_message(format, &message, &output), 0);
}

/* All that was written. */
static struct bytes written(void)
{
    struct bytes bytes = {0};
    ck_assert_int_eq(output_flush(&output), 0);
    const off_t size = lseek(file, 0, SEEK_END);
    bytes.data = memory((size_t)size + 1);
    bytes.length = (size_t)size;
    ck_assert_int_eq(pread(file, bytes.data, bytes.length, 0), size);
    return bytes;
}

START_TEST(test_bytes_as_they_are)
{
    begin();
    put(FORMAT_LINES, 0, "a\0b", 3);
    put(FORMAT_LINES, 1, "", 0);
    put(FORMAT_RAW, 2, "raw", 3);
    put(FORMAT_RAW, 3, "", 0);
    put(FORMAT_LEN32, 4, "xy", 2);
    put(FORMAT_LEN32, 5, "", 0);
    put(FORMAT_HEX, 6, "\x00\xff", 2);
    put(FORMAT_HEX, 7, "", 0);
    const struct bytes all = written();
    assert_bytes(&all,
                 "a\0b\n\nraw\2\0\0\0xy\0\0\0\0"
                 "00ff\n\n",
                 24);
}
END_TEST

START_TEST(test_json_text)
{
    static const char text[] = "say \"h\xc3\xa9\" \\ \t\n\x01\x7f";
    begin();
    put(FORMAT_JSON, UINT64_MAX, text, sizeof(text));
    const struct bytes line = written();
    ck_assert(json_valid(line.data, line.length));
    ck_assert_ptr_eq(strchr(line.data, '\n'), line.data + line.length - 1);
    ck_assert(json_is(line.data, "sequence", "18446744073709551615"));
    ck_assert(json_is(line.data, "type", "42"));
    ck_assert_uint_eq(json_number(line.data, "length"), sizeof(text));
    const struct bytes data = json_string(line.data, "data");
    assert_bytes(&data, text, sizeof(text));
    ck_assert_ptr_null(json_at(line.data, "data_base64"));
}
END_TEST

START_TEST(test_json_binary)
{
    static const char binary[] = "\xff\xfe\0\x80 and text";
    begin();
    put(FORMAT_JSON, 3, binary, sizeof(binary));
    const struct bytes line = written();
    ck_assert(json_valid(line.data, line.length));
    const struct bytes text = json_string(line.data, "data_base64");
    const struct bytes data = base64_decode(&text);
    assert_bytes(&data, binary, sizeof(binary));
    ck_assert_ptr_null(json_at(line.data, "data"));
}
END_TEST

START_TEST(test_larger_than_a_block)
{
    /* Around the edges of pieces and blocks, each format, text and not: nothing lost or doubled. */
    static const size_t lengths[] = {3071,
                                     3072,
                                     3073,
                                     OUTPUT_BLOCK_BYTES - 1,
                                     OUTPUT_BLOCK_BYTES,
                                     OUTPUT_BLOCK_BYTES + 1,
                                     3 * OUTPUT_BLOCK_BYTES + 5};
    const size_t length = lengths[_i];
    char *data = memory(length);
    for (size_t i = 0; i < length; i++) {
        data[i] = (char)(i * 7 + i / 251);
    }
    begin();
    put(FORMAT_LEN32, 0, data, length);
    put(FORMAT_JSON, 1, data, length);
    char *binary = memory(length);
    memcpy(binary, data, length);
    for (size_t i = 0; i < length; i++) {
        data[i] &= 0x7f;
    }
    put(FORMAT_JSON, 2, data, length);
    put(FORMAT_HEX, 3, data, length);
    const struct bytes all = written();
    ck_assert_mem_eq(all.data + 4, binary, length);
    char *first = all.data + 4 + length;
    char *second = strchr(first, '\n') + 1;
    char *third = strchr(second, '\n') + 1;
    second[-1] = '\0';
    third[-1] = '\0';
    ck_assert(json_valid(first, (size_t)(second - first) - 1));
    ck_assert(json_valid(second, (size_t)(third - second) - 1));
    const struct bytes text = json_string(first, "data_base64");
    const struct bytes decoded = base64_decode(&text);
    assert_bytes(&decoded, binary, length);
    const struct bytes ascii = json_string(second, "data");
    assert_bytes(&ascii, data, length);
    ck_assert_uint_eq(all.data + all.length - third, 2 * length + 1);
}
END_TEST

START_TEST(test_find)
{
    enum format format = FORMAT_RAW;
    ck_assert_int_eq(format_find("json", &format), 0);
    ck_assert_int_eq(format, FORMAT_JSON);
    ck_assert_int_eq(format_find("xml", &format), -EINVAL);
    ck_assert_int_eq(format_find("", &format), -EINVAL);
    ck_assert_int_eq(format, FORMAT_JSON);
}
END_TEST

START_TEST(test_full_device)
{
    /* What cannot be written is an error that stays, whatever comes after it. */
    char large[1000] = {0};
    const struct shmbus_message message = {.data = large, .length = sizeof(large)};
    output_begin(&output, open("/dev/full", O_WRONLY));
    ck_assert_int_eq(format_message(FORMAT_LINES, &message, &output), 0);
    ck_assert_int_eq(output_flush(&output), -ENOSPC);
    ck_assert_int_eq(format_message(FORMAT_LINES, &message, &output), -ENOSPC);
    ck_assert_int_eq(format_message(FORMAT_JSON, &message, &output), -ENOSPC);
    ck_assert_int_eq(format_message(FORMAT_HEX, &message, &output), -ENOSPC);
    ck_assert_int_eq(output_flush(&output), -ENOSPC);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("tools_format");
    TCase *tcase = tcase_create("format");
    tcase_add_test(tcase, test_bytes_as_they_are);
    tcase_add_test(tcase, test_json_text);
    tcase_add_test(tcase, test_json_binary);
    tcase_add_loop_test(tcase, test_larger_than_a_block, 0, 7);
    tcase_add_test(tcase, test_find);
    tcase_add_test(tcase, test_full_device);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
