/* SPDX-License-Identifier: MIT */
/* Folders and processes for tests of whole programs: see rig.h. */
#include "rig.h"

#include <check.h>
#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static char folder[64];

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *where)
{
    (void)status;
    (void)kind;
    (void)where;
    return remove(path);
}

void rig_setup(void)
{
    snprintf(folder, sizeof(folder), "/dev/shm/shmbus-test.XXXXXX");
    if (mkdtemp(folder) == NULL || setenv("SHMBUS_DIR", folder, 1) != 0) {
        perror("a folder for the test");
        exit(EXIT_FAILURE);
    }
}

void rig_teardown(void)
{
    if (nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS) != 0)
        perror(folder);
}

const char *rig_path(const char *name)
{
    static char paths[32][256];
    static unsigned next;
    char *path = paths[next++ % 32];
    ck_assert_int_lt(snprintf(path, sizeof(paths[0]), "%s/%s", folder, name), sizeof(paths[0]));
    return path;
}

static void redirect(int descriptor, const char *name, const char *ending)
{
    char path[256];
    snprintf(path, sizeof(path), "%s/%s%s", folder, name, ending);
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (file < 0 || dup2(file, descriptor) < 0)
        _exit(126);
}

pid_t rig_start(const char *name, const char *const *arguments)
{
    pid_t parent = getpid();
    pid_t process = fork();
    ck_assert_int_ge(process, 0);
    if (process > 0)
        return process;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent || arguments[0] == NULL)
        _exit(126);
    int nothing = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (nothing < 0 || dup2(nothing, STDIN_FILENO) < 0)
        _exit(126);
    redirect(STDOUT_FILENO, name, ".out");
    redirect(STDERR_FILENO, name, ".err");

    char *copies[16] = {NULL};
    for (size_t i = 0; arguments[i] != NULL && i < 15; i++)
        copies[i] = strdup(arguments[i]);
    execv(arguments[0], copies);
    _exit(127);
}

char *rig_read(const char *path, size_t *out_bytes)
{
    FILE *file = fopen(path, "r");
    ck_assert_msg(file != NULL, "%s cannot be opened", path);
    char *text = NULL;
    size_t room = 0;
    ssize_t bytes = getdelim(&text, &room, EOF, file);
    fclose(file);
    if (bytes < 0) {
        bytes = 0;
        text = realloc(text, 1);
        ck_assert_ptr_nonnull(text);
    }
    text[bytes] = '\0';
    *out_bytes = (size_t)bytes;
    return text;
}

void rig_ends(pid_t process, const char *name, int code)
{
    int status;
    size_t bytes;
    char path[128];
    ck_assert_int_eq(waitpid(process, &status, 0), process);
    int ended = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
    snprintf(path, sizeof(path), "%s.err", name);
    char *error = rig_read(rig_path(path), &bytes);
    ck_assert_msg(ended == code, "%s ended with %d, not %d: %s", name, ended, code, error);
    free(error);
}

void rig_run(const char *name, const char *const *arguments, int code)
{
    rig_ends(rig_start(name, arguments), name, code);
}

const char *rig_write(const char *name, const char *text)
{
    const char *path = rig_path(name);
    FILE *file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    ck_assert_int_ge(fputs(text, file), 0);
    ck_assert_int_eq(fclose(file), 0);
    return path;
}

void rig_same(const char *path, const char *other)
{
    size_t bytes, other_bytes;
    char *text = rig_read(path, &bytes);
    char *other_text = rig_read(other, &other_bytes);
    ck_assert_msg(bytes == other_bytes, "%s has %zu bytes, %s has %zu", path, bytes, other,
                  other_bytes);
    ck_assert_msg(memcmp(text, other_text, bytes) == 0, "%s and %s differ", path, other);
    free(text);
    free(other_text);
}

void rig_contains(const char *path, const char *text)
{
    size_t bytes;
    char *content = rig_read(path, &bytes);
    ck_assert_msg(strstr(content, text) != NULL, "%s has no '%s':\n%s", path, text, content);
    free(content);
}

void rig_no_bus(void)
{
    DIR *listing = opendir(folder);
    ck_assert_ptr_nonnull(listing);
    for (const struct dirent *entry; (entry = readdir(listing)) != NULL;)
        ck_assert_msg(strncmp(entry->d_name, "shmbus.", 7) != 0 &&
                          strncmp(entry->d_name, ".shmbus", 7) != 0,
                      "%s was left behind", entry->d_name);
    closedir(listing);
}
