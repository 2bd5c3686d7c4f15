/* SPDX-License-Identifier: MIT */
/* The bus's shared memory, as it was when it was last looked at. See run.h. */
#include "run.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

struct file {
    const char *name;
    struct stat found; /* st_ino 0: there was none */
    void *mapping;
    void *before;
    size_t bytes;
};

static void forget(struct file *file)
{
    if (file->mapping != NULL)
        munmap(file->mapping, file->bytes);
    free(file->before);
    *file = (struct file){.name = file->name};
}

/* It is another file than before, or there is none any more. */
static void look_anew(struct file *file, const char *path, const struct stat *found)
{
    forget(file);
    int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    if (descriptor < 0 || found->st_size == 0)
        return;
    void *mapping = mmap(NULL, (size_t)found->st_size, PROT_READ, MAP_SHARED, descriptor, 0);
    close(descriptor);
    if (mapping == MAP_FAILED)
        return;
    file->found = *found;
    file->mapping = mapping;
    file->bytes = (size_t)found->st_size;
    file->before = malloc(file->bytes);
    if (file->before == NULL)
        forget(file);
    else
        memcpy(file->before, mapping, file->bytes);
}

static int has_changed(struct file *file)
{
    struct stat found = {0};
    char path[512];
    snprintf(path, sizeof path, "%s/shmbus." BUS "/%s", getenv("SHMBUS_DIR"), file->name);
    if (stat(path, &found) < 0)
        found.st_ino = 0;
    if (found.st_ino != file->found.st_ino || found.st_size != file->found.st_size) {
        look_anew(file, path, &found);
        return 1;
    }
    if (file->mapping == NULL || memcmp(file->mapping, file->before, file->bytes) == 0)
        return 0;
    memcpy(file->before, file->mapping, file->bytes);
    return 1;
}

int run_memory_changed(void)
{
    static struct file feed = {.name = "feed"};
    static struct file control = {.name = "control"};
    int feed_changed = has_changed(&feed);
    int control_changed = has_changed(&control);
    return feed_changed | control_changed;
}
