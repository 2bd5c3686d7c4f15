/* SPDX-License-Identifier: MIT */
/* Folders, skips, children, mounts and counts for the tests of segments: see rig.h. */
#include "rig.h"

#include "support/support.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <grp.h>
#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char program_folder[64];
static char test_folder[128];

/* What the tests' processes share with the one that runs them. */
static struct {
    _Atomic int skipped;
    int count;
    struct {
        char path[128];
        char value[64];
    } settings[4];
} * shared;

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *where)
{
    (void)status;
    (void)kind;
    (void)where;
    remove(path);
    return 0;
}

void rig_remove(const char *path)
{
    nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void make_test_folder(void)
{
    snprintf(test_folder, sizeof test_folder, "%s/XXXXXX", program_folder);
    if (mkdtemp(test_folder) == NULL || chmod(test_folder, 0755) < 0 ||
        setenv("SHMBUS_DIR", test_folder, 1) < 0)
        ck_abort_msg("%s: %s", test_folder, strerror(errno));
}

static int write_setting(const char *path, const char *value)
{
    FILE *file = fopen(path, "we");
    if (file == NULL)
        return -1;
    int written = fputs(value, file) >= 0;
    return fclose(file) == 0 && written ? 0 : -1;
}

int rig_setting(const char *path, const char *value)
{
    char line[128] = "";
    FILE *file = fopen(path, "re");
    if (file == NULL || fgets(line, sizeof line, file) == NULL)
        line[0] = 0;
    if (file != NULL)
        fclose(file);
    /* Of several words, the one in brackets is set. */
    char *old = strchr(line, '[') != NULL ? strchr(line, '[') + 1 : line;
    old[strcspn(old, "]\n")] = 0;
    int known = 0;
    for (int i = 0; i < shared->count; i++)
        known |= strcmp(shared->settings[i].path, path) == 0;
    if (old[0] == 0 || (!known && shared->count == 4))
        return -1;
    if (!known) {
        snprintf(shared->settings[shared->count].path, sizeof shared->settings[0].path, "%s", path);
        snprintf(shared->settings[shared->count].value, sizeof shared->settings[0].value, "%s",
                 old);
        shared->count++;
    }
    return write_setting(path, value);
}

int rig_run(const char *name, rig_test *tests, size_t count)
{
    snprintf(program_folder, sizeof program_folder, "/dev/shm/shmbus-test.XXXXXX");
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (mkdtemp(program_folder) == NULL || chmod(program_folder, 0755) < 0 ||
        shared == MAP_FAILED) {
        perror("a folder for the tests");
        return 1;
    }
    Suite *suite = suite_create(name);
    TCase *tcase = tcase_create(name);
    tcase_set_timeout(tcase, 240); /* hundreds of processes, on a machine that may be busy */
    tcase_add_checked_fixture(tcase, make_test_folder, NULL);
    for (size_t i = 0; i < count; i++)
        tcase_add_test(tcase, tests[i]);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_set_fork_status(runner, CK_FORK);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    int all_skipped = shared->skipped > 0 && shared->skipped == srunner_ntests_run(runner);
    srunner_free(runner);
    rig_remove(program_folder);
    while (shared->count-- > 0)
        write_setting(shared->settings[shared->count].path, shared->settings[shared->count].value);
    if (failed > 0)
        return 1;
    return all_skipped ? 77 : 0;
}

void rig_skip(const char *test, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    printf("SKIP %s: ", test);
    vprintf(format, arguments);
    printf("\n");
    fflush(stdout);
    va_end(arguments);
    shared->skipped++;
}

int rig_needs_root(const char *test)
{
    if (geteuid() == 0)
        return 1;
    rig_skip(test, "not root");
    return 0;
}

int rig_needs_mlock(const char *test)
{
    if (!rig_needs_root(test))
        return 0;
    if (RIG_SANITIZED)
        rig_skip(test, "sanitizers make mlock() do nothing");
    return !RIG_SANITIZED;
}

const char *rig_folder(void)
{
    return test_folder;
}

const char *rig_path(const char *format, ...)
{
    static char paths[16][512];
    static unsigned next;
    char *path = paths[next++ % 16];
    int used = snprintf(path, sizeof paths[0], "%s/", test_folder);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(path + used, sizeof paths[0] - (size_t)used, format, arguments);
    va_end(arguments);
    return path;
}

int rig_count_names(const char *path)
{
    int count = 0;
    DIR *listing = opendir(path);
    ck_assert_msg(listing != NULL, "%s: %s", path, strerror(errno));
    while (readdir(listing) != NULL)
        count++;
    closedir(listing);
    return count - 2;
}

static void list_folder(const char *path, char *text, size_t room)
{
    struct dirent **names;
    int count = scandir(path, &names, NULL, alphasort);
    ck_assert_msg(count >= 0, "%s: %s", path, strerror(errno));
    for (int i = 0; i < count; i++) {
        char full[768];
        struct stat found;
        size_t used = strlen(text);
        snprintf(full, sizeof full, "%s/%s", path, names[i]->d_name);
        if (strcmp(names[i]->d_name, "..") != 0 && lstat(full, &found) == 0) {
            snprintf(
                text + used, room - used, "%s %ju %o %u:%u %jd %jd.%09ld %jd.%09ld links %ju\n",
                full, (uintmax_t)found.st_ino, found.st_mode, found.st_uid, found.st_gid,
                (intmax_t)found.st_size, (intmax_t)found.st_mtim.tv_sec, found.st_mtim.tv_nsec,
                (intmax_t)found.st_ctim.tv_sec, found.st_ctim.tv_nsec, (uintmax_t)found.st_nlink);
            if (names[i]->d_name[0] != '.' && S_ISDIR(found.st_mode))
                list_folder(full, text, room);
        }
        free(names[i]);
    }
    free(names);
}

void rig_listing(char *text, size_t room)
{
    text[0] = 0;
    list_folder(test_folder, text, room);
}

long long rig_number(const char *path)
{
    long long number = -1;
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return -1;
    if (fscanf(file, "%lld", &number) != 1)
        number = -1;
    fclose(file);
    return number;
}

struct rig_answer rig_as(uid_t uid, gid_t gid, rig_call *call, void *context)
{
    struct rig_answer *heard =
        mmap(NULL, sizeof *heard, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(heard, MAP_FAILED);
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (uid != geteuid() || gid != getegid())
            if (setgroups(0, NULL) < 0 || setgid(gid) < 0 || setuid(uid) < 0)
                _exit(99);
        heard->result = call(context);
        snprintf(heard->text, sizeof heard->text, "%s", shmbus_error_text());
        _exit(0);
    }
    int status;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "the child ended with 0x%x",
                  (unsigned)status);
    struct rig_answer answer = *heard;
    munmap(heard, sizeof *heard);
    return answer;
}

struct rig_answer rig_elsewhere(rig_call *call, void *context)
{
    return rig_as(geteuid(), getegid(), call, context);
}

int rig_count_descriptors(void)
{
    return rig_count_names("/proc/self/fd");
}

int rig_count_mappings(void)
{
    char line[1024];
    int count = 0;
    FILE *maps = fopen("/proc/self/maps", "re");
    ck_assert_ptr_nonnull(maps);
    while (fgets(line, sizeof line, maps) != NULL)
        count += strstr(line, "shmbus") != NULL && strstr(line, "/dev/shm/") != NULL;
    fclose(maps);
    return count;
}

int rig_count_locks(const char *bus)
{
    static const char *const files[] = {"feed", "control", "owner"};
    char text[4096];
    int count = 0;
    for (size_t i = 0; i < 3; i++) {
        const char *path = rig_path("shmbus.%s/%s", bus, files[i]);
        if (access(path, F_OK) == 0)
            count += support_locks(path, text, sizeof text);
    }
    return count;
}

int rig_mount(const char *test, const char *path, const char *kind, const char *options)
{
    if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) {
        rig_skip(test, "no mount namespace of its own: %s", strerror(errno));
        return -1;
    }
    if (mkdir(path, 0755) < 0 || mount("none", path, kind, 0, options) < 0) {
        rig_skip(test, "mount of a %s: %s", kind, strerror(errno));
        return -1;
    }
    return 0;
}

void rig_expect(const char *file, int line, const char *what, int result, int code,
                const char *said, const char *const *texts)
{
    ck_assert_msg(result == code, "%s:%d: %s: %d (%s), not %d; it said \"%s\"", file, line, what,
                  result, shmbus_strerror(result), code, said);
    for (; *texts != NULL; texts++)
        ck_assert_msg(strstr(said, *texts) != NULL, "%s:%d: %s: no \"%s\" in \"%s\"", file, line,
                      what, *texts, said);
}
