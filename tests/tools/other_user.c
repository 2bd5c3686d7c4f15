/* SPDX-License-Identifier: MIT */
/* Runs the tools as somebody without privileges: see other_user.h. */
#include "other_user.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATH_BYTES     512
#define ARGUMENTS_MOST 32

static char copies[64];

static const char *const copied[] = {SHMBUS_LIBRARY, tool_pub, tool_sub, tool_stat};

#define COPIED (sizeof(copied) / sizeof(copied[0]))

static const char *copy_of(const char *path)
{
    static char paths[2][PATH_BYTES];
    static unsigned next;
    char *copy = paths[next++ % 2];
    snprintf(copy, PATH_BYTES, "%s/%s", copies, strrchr(path, '/') + 1);
    return copy;
}

/* Copies a file to where everybody may run it; the memory folder may forbid that. */
static void copy_for_all(const char *from)
{
    static char block[1 << 16];
    const char *to = copy_of(from);
    size_t count = 0;
    FILE *in = fopen(from, "r");
    FILE *out = fopen(to, "w");
    ck_assert(in && out);
    while ((count = fread(block, 1, sizeof(block), in)) > 0) {
        ck_assert_uint_eq(fwrite(block, 1, count, out), count);
    }
    fclose(in);
    ck_assert_int_eq(fclose(out), 0);
    ck_assert_int_eq(chmod(to, 0755), 0);
}

void other_user_make(void)
{
    folder_make();
    snprintf(copies, sizeof(copies), "/tmp/shmbus-tools.XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(copies));
    ck_assert_int_eq(chmod(copies, 0755), 0);
    ck_assert_int_eq(chmod(folder_path(), 0755), 0);
    for (size_t i = 0; i < COPIED; i++) {
        copy_for_all(copied[i]);
    }
}

void other_user_remove(void)
{
    for (size_t i = 0; i < COPIED; i++) {
        unlink(copy_of(copied[i]));
    }
    rmdir(copies);
    folder_remove();
}

struct tool tool_start_as_other(const char *const *arguments)
{
    static const char *const become[] = {"/usr/bin/setpriv", "--reuid=65534", "--regid=65534",
                                         "--clear-groups", "--"};
    const char *all[ARGUMENTS_MOST] = {NULL};
    size_t count = 0;
    if (getuid() == 0) {
        for (; count < sizeof(become) / sizeof(become[0]); count++) {
            all[count] = become[count];
        }
    }
    setenv("LD_LIBRARY_PATH", copies, 1);
    all[count++] = copy_of(arguments[0]);
    for (size_t i = 1; arguments[i]; i++) {
        ck_assert_uint_lt(count, ARGUMENTS_MOST - 1);
        all[count++] = arguments[i];
    }
    const struct tool tool = tool_start(all);
    unsetenv("LD_LIBRARY_PATH");
    return tool;
}

struct ending tool_run_as_other(const char *const *arguments)
{
    struct tool tool = tool_start_as_other(arguments);
    return tool_end(&tool);
}
