/* SPDX-License-Identifier: MIT */
/*
 * The kernel's list of locks, as far as one file goes. A file is known by its device and inode:
 * other file systems on the machine have locked files of the same small inode numbers. The list is
 * not read in one piece, and while others lock and unlock, a reading can miss a line or have it
 * twice: so it is read until two readings agree.
 */
#include "support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#define MOST_LOCKS 64 /* of a file; more in one reading are the same one again and again */
#define AGREEING   6
#define TRIES      10000

struct lines {
    char text[MOST_LOCKS][128];
    int count;
};

static int by_text(const void *left, const void *right)
{
    return strcmp(left, right);
}

static void read_once(const char *file, struct lines *lines)
{
    char line[256];
    FILE *list = fopen("/proc/locks", "re");
    ck_assert_ptr_nonnull(list);
    memset(lines, 0, sizeof *lines);
    while (fgets(line, sizeof line, list) != NULL) {
        const char *what = strchr(line, ':'); /* after the number that each lock has in the list */
        if (what == NULL || strstr(line, file) == NULL || lines->count == MOST_LOCKS)
            continue;
        snprintf(lines->text[lines->count++], sizeof lines->text[0], "%s", what);
    }
    fclose(list);
    qsort(lines->text, (size_t)lines->count, sizeof lines->text[0], by_text);
}

int support_locks(const char *path, char *text, size_t text_size)
{
    struct lines lines, again;
    struct stat status;
    char file[64];
    size_t used = 0;
    int agreeing = 0;
    ck_assert_int_eq(stat(path, &status), 0);
    snprintf(file, sizeof file, " %02x:%02x:%ju ", major(status.st_dev), minor(status.st_dev),
             (uintmax_t)status.st_ino);
    read_once(file, &lines);
    for (int tries = 0; agreeing < AGREEING && tries < TRIES; tries++) {
        read_once(file, &again);
        agreeing = memcmp(&lines, &again, sizeof lines) == 0 ? agreeing + 1 : 0;
        lines = again;
    }
    ck_assert_int_eq(agreeing, AGREEING);
    text[0] = '\0';
    for (int i = 0; i < lines.count; i++) {
        size_t length = strlen(lines.text[i]);
        ck_assert_uint_lt(used + length, text_size);
        memcpy(text + used, lines.text[i], length + 1);
        used += length;
    }
    return lines.count;
}
