/* SPDX-License-Identifier: MIT */
/* Bytes as text: the check of UTF-8 against a count of all there is, and what is written of them.
 */
#include <stdlib.h>
#include <string.h>

#include "harness.h"
#include "text.h"

/* How many of all strings of this length over bytes from a set are valid. */
static uint64_t count_valid(const unsigned char *set, unsigned size, unsigned length)
{
    unsigned char text[8] = {0};
    unsigned at[8] = {0};
    uint64_t valid = 0;
    unsigned place = 0;
    while (place < length) {
        for (unsigned i = 0; i < length; i++) {
            text[i] = set[at[i]];
        }
        valid += text_is_utf8(text, length);
        for (place = 0; place < length && ++at[place] == size; place++) {
            at[place] = 0;
        }
    }
    return valid;
}

START_TEST(test_utf8_counts)
{
    /* Code points of one, two and three bytes; the surrogates are none. */
    const uint64_t one = 128;
    const uint64_t two = 0x800 - 0x80;
    const uint64_t three = 0x10000 - 0x800 - 0x800;
    unsigned char all[256];
    for (unsigned i = 0; i < 256; i++) {
        all[i] = (unsigned char)i;
    }
    ck_assert_uint_eq(count_valid(all, 256, 1), one);
    ck_assert_uint_eq(count_valid(all, 256, 2), one * one + two);
    ck_assert_uint_eq(count_valid(all, 256, 3), one * one * one + 2 * one * two + three);
}
END_TEST

START_TEST(test_utf8_four)
{
    /* Each code point above U+FFFF, written by the rule; and the same rule beyond the last one. */
    for (uint32_t point = 0x10000; point < 0x200000; point++) {
        const unsigned char text[4] = {
            (unsigned char)(0xf0 | point >> 18), (unsigned char)(0x80 | (point >> 12 & 63)),
            (unsigned char)(0x80 | (point >> 6 & 63)), (unsigned char)(0x80 | (point & 63))};
        if (text_is_utf8(text, 4) != (point <= 0x10ffff)) {
            ck_abort_msg("U+%X", point);
        }
    }
    ck_assert(!text_is_utf8("\xf0\x8f\xbf\xbf", 4)); /* U+FFFF, overlong */
    ck_assert(!text_is_utf8("\xf0\x90\x80", 3));
    ck_assert(!text_is_utf8("\xf0\x90\x80\x41", 4));
    ck_assert(!text_is_utf8("\xf8\x88\x80\x80\x80", 5));
}
END_TEST

START_TEST(test_utf8_anywhere)
{
    /* One bad byte, or a good pair, at each place of a text that is looked at by the word. */
    char text[40];
    ck_assert(text_is_utf8("", 0));
    for (size_t at = 0; at < sizeof(text); at++) {
        memset(text, 'a', sizeof(text));
        ck_assert(text_is_utf8(text, sizeof(text)));
        text[at] = '\x80';
        ck_assert(!text_is_utf8(text, sizeof(text)));
        if (at + 1 < sizeof(text)) {
            text[at] = '\xc3';
            text[at + 1] = '\xa9';
            ck_assert(text_is_utf8(text, sizeof(text)));
            ck_assert(!text_is_utf8(text, at + 1));
        }
    }
}
END_TEST

START_TEST(test_json)
{
    static const char in[] = "a\"b\\c\b\f\n\r\t\x01\x1f\x7f/\xc3\xa9";
    static const char expected[] = "a\\\"b\\\\c\\b\\f\\n\\r\\t\\u0001\\u001f\\u007f/\xc3\xa9";
    char out[sizeof(in) * TEXT_JSON_GROWTH];
    size_t length = text_json(in, sizeof(in), out);
    ck_assert_uint_eq(length, sizeof(expected) - 1 + 6);
    ck_assert_mem_eq(out, expected, sizeof(expected) - 1);
    ck_assert_mem_eq(out + sizeof(expected) - 1, "\\u0000", 6);
    /* Piece by piece is the same, even through the middle of a character. */
    size_t pieces = 0;
    char piecewise[sizeof(out)];
    for (size_t i = 0; i < sizeof(in); i++) {
        pieces += text_json(in + i, 1, piecewise + pieces);
    }
    ck_assert_uint_eq(pieces, length);
    ck_assert_mem_eq(piecewise, out, length);
}
END_TEST

START_TEST(test_base64)
{
    /* The vectors of RFC 4648. */
    static const char *const pairs[][2] = {
        {"", ""},
        {"f", "Zg=="},
        {"fo", "Zm8="},
        {"foo", "Zm9v"},
        {"foob", "Zm9vYg=="},
        {"fooba", "Zm9vYmE="},
        {"foobar", "Zm9vYmFy"},
        {"\xff\xef\xbe", "/+++"},
    };
    char out[16];
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        const size_t length = strlen(pairs[i][0]);
        ck_assert_uint_eq(text_base64(pairs[i][0], length, out), strlen(pairs[i][1]));
        ck_assert_uint_eq(TEXT_BASE64_BYTES(length), strlen(pairs[i][1]));
        ck_assert_mem_eq(out, pairs[i][1], strlen(pairs[i][1]));
    }
}
END_TEST

START_TEST(test_hex)
{
    char out[10];
    ck_assert_uint_eq(text_hex("\x00\x7f\x80\xab\xff", 5, out), 10);
    ck_assert_mem_eq(out, "007f80abff", 10);
}
END_TEST

START_TEST(test_printable)
{
    static const char *const pairs[][2] = {
        {"", ""},
        {"plain name", "plain name"},
        {"a\\b", "a\\\\b"},
        {"\x1b[31mred\n\x7f", "\\x1b[31mred\\x0a\\x7f"},
        {"caf\xc3\xa9", "caf\xc3\xa9"},
        {"csi\xc2\x9b!", "csi\\xc2\\x9b!"},
        {"bad\xff\xc3\xa9", "bad\\xff\\xc3\\xa9"},
    };
    char out[64];
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        ck_assert_str_eq(text_printable(pairs[i][0], out), pairs[i][1]);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("tools_text");
    TCase *tcase = tcase_create("text");
    tcase_add_test(tcase, test_utf8_counts);
    tcase_add_test(tcase, test_utf8_four);
    tcase_add_test(tcase, test_utf8_anywhere);
    tcase_add_test(tcase, test_json);
    tcase_add_test(tcase, test_base64);
    tcase_add_test(tcase, test_hex);
    tcase_add_test(tcase, test_printable);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
