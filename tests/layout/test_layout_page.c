/* SPDX-License-Identifier: MIT */
/*
 * docs/layout.md against the code: each field of layout_fields.h stands in the page's table of its
 * struct with its offset and size, and the page has no row beyond those.
 */
#include "layout/layout.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct row {
    char type[64];
    char field[64];
    unsigned long offset;
    unsigned long bytes;
};

#define ROW(type, field, at, size) {#type, #field, at, size},

static const struct row code_rows[] = {LAYOUT_FIELDS(ROW)};

#define CODE_ROWS (sizeof code_rows / sizeof code_rows[0])
#define PAGE_ROWS 256

static struct row page_rows[PAGE_ROWS];
static size_t page_count;

static void read_page(const char *path)
{
    char line[512];
    char type[64] = "";
    FILE *page = fopen(path, "r");
    ck_assert_msg(page != NULL, "cannot read %s", path);
    page_count = 0;
    while (fgets(line, sizeof line, page) != NULL) {
        struct row row;
        if (sscanf(line, "### %63s", type) == 1)
            continue;
        if (type[0] != 0 &&
            sscanf(line, "| %lu | %lu | %63[a-z_0-9] |", &row.offset, &row.bytes, row.field) == 3) {
            ck_assert_uint_lt(page_count, PAGE_ROWS);
            memcpy(row.type, type, sizeof row.type);
            page_rows[page_count++] = row;
        }
    }
    fclose(page);
}

static const struct row *find(const struct row *rows, size_t count, const struct row *wanted)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(rows[i].type, wanted->type) == 0 && strcmp(rows[i].field, wanted->field) == 0)
            return &rows[i];
    return NULL;
}

START_TEST(page_has_every_field_where_it_is)
{
    read_page(SHMBUS_SOURCE_FOLDER "/docs/layout.md");
    for (size_t i = 0; i < CODE_ROWS; i++) {
        const struct row *wanted = &code_rows[i];
        const struct row *found = find(page_rows, page_count, wanted);
        ck_assert_msg(found != NULL, "%s.%s is not on the page", wanted->type, wanted->field);
        ck_assert_msg(found->offset == wanted->offset && found->bytes == wanted->bytes,
                      "%s.%s: the page says %lu, %lu bytes; the code %lu, %lu", wanted->type,
                      wanted->field, found->offset, found->bytes, wanted->offset, wanted->bytes);
    }
}
END_TEST

START_TEST(page_has_nothing_else)
{
    read_page(SHMBUS_SOURCE_FOLDER "/docs/layout.md");
    ck_assert_uint_eq(page_count, CODE_ROWS);
    for (size_t i = 0; i < page_count; i++)
        ck_assert_msg(find(code_rows, CODE_ROWS, &page_rows[i]) != NULL,
                      "%s.%s is on the page and not in the code", page_rows[i].type,
                      page_rows[i].field);
}
END_TEST

/* The fields of a struct cover all of its bytes but the gaps between writers. */
START_TEST(fields_do_not_overlap)
{
    for (size_t i = 1; i < CODE_ROWS; i++)
        if (strcmp(code_rows[i].type, code_rows[i - 1].type) == 0)
            ck_assert_msg(code_rows[i].offset >= code_rows[i - 1].offset + code_rows[i - 1].bytes,
                          "%s.%s overlaps %s", code_rows[i].type, code_rows[i].field,
                          code_rows[i - 1].field);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("layout page");
    TCase *test_case = tcase_create("page");
    tcase_add_test(test_case, page_has_every_field_where_it_is);
    tcase_add_test(test_case, page_has_nothing_else);
    tcase_add_test(test_case, fields_do_not_overlap);
    suite_add_tcase(suite, test_case);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
