/* SPDX-License-Identifier: MIT */
/*
 * Feed on a hugetlbfs: where that is, and the locator that stands in feed's place in the bus's
 * folder and leads there.
 */
#include "error/error.h"
#include "segment/segment.h"

#include <fcntl.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <mntent.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

/* Finds the first hugetlbfs that is mounted. */
static int find_hugetlbfs(char *out_path, size_t room)
{
    char line[1024];
    struct mntent entry;
    int result = -ENOTSUP;
    FILE *mounts = setmntent("/proc/mounts", "re");
    if (mounts == NULL)
        return result;
    while (result != 0 && getmntent_r(mounts, &entry, line, sizeof line) != NULL)
        if (strcmp(entry.mnt_type, "hugetlbfs") == 0 && strlen(entry.mnt_dir) < room) {
            memcpy(out_path, entry.mnt_dir, strlen(entry.mnt_dir) + 1);
            result = 0;
        }
    endmntent(mounts);
    return result;
}

int segment_choose_hugetlbfs(const char *name, const struct shmbus_bus_options *options,
                             char *out_path, size_t room, uint64_t *out_page)
{
    struct statfs found;
    if (options->hugetlb_folder != NULL) {
        if (options->hugetlb_folder[0] != '/' || strlen(options->hugetlb_folder) >= room)
            return error_set(-EINVAL, "%s: hugetlb_folder \"%s\" is not an absolute path", name,
                             options->hugetlb_folder);
        memcpy(out_path, options->hugetlb_folder, strlen(options->hugetlb_folder) + 1);
    } else if (find_hugetlbfs(out_path, room) < 0) {
        return error_set(-ENOTSUP,
                         "%s: no hugetlbfs is mounted (mount -t hugetlbfs none FOLDER, "
                         "and fill its pool: /proc/sys/vm/nr_hugepages)",
                         name);
    }
    if (statfs(out_path, &found) < 0)
        return segment_errno(errno, name, out_path);
    if (found.f_type != HUGETLBFS_MAGIC)
        return error_set(-EINVAL, "%s: %s is not a hugetlbfs", name, out_path);
    *out_page = (uint64_t)found.f_bsize;
    return 0;
}

int segment_no_huge_pages(const char *name, int descriptor, uint64_t asked, uint64_t page, int node)
{
    struct stat taken;
    char pool[96] = "/sys/kernel/mm";
    char owner[32] = "";
    char path[160];
    uint64_t left = 0;
    if (node >= 0) {
        snprintf(pool, sizeof pool, "/sys/devices/system/node/node%d", node);
        snprintf(owner, sizeof owner, " of NUMA node %d", node);
    }
    size_t length = strlen(pool);
    snprintf(pool + length, sizeof pool - length, "/hugepages/hugepages-%" PRIu64 "kB",
             page / 1024);
    snprintf(path, sizeof path, "%s/free_hugepages", pool);
    FILE *file = fopen(path, "re");
    if (file != NULL) {
        if (fscanf(file, "%" SCNu64, &left) != 1)
            left = 0;
        fclose(file);
    }
    if (fstat(descriptor, &taken) == 0) /* before this bus took some */
        left += (uint64_t)taken.st_blocks * 512 / page;
    return error_set(-ENOMEM,
                     "%s: %" PRIu64 " pages of %" PRIu64 " bytes are needed, the huge page pool%s "
                     "has %" PRIu64 " free (raise %s/nr_hugepages)",
                     name, asked / page, page, owner, left, pool);
}

int segment_write_locator(const struct segment *segment, const uint8_t *id, const char *path)
{
    struct feed_locator locator = {
        .magic = LAYOUT_LOCATOR_MAGIC,
        .byte_order = LAYOUT_BYTE_ORDER,
        .layout_major = LAYOUT_MAJOR,
        .layout_minor = LAYOUT_MINOR,
    };
    memcpy(locator.segment_id, id, LAYOUT_ID_BYTES);
    memcpy(locator.path, path, strlen(path));
    int descriptor = openat(segment->folder, "feed", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (descriptor < 0)
        return segment_errno(errno, segment->name, "feed");
    ssize_t written = write(descriptor, &locator, sizeof locator);
    int number = errno;
    close(descriptor);
    return written == (ssize_t)sizeof locator
               ? 0
               : segment_errno(written < 0 ? number : ENOSPC, segment->name, "feed");
}

void segment_remove_located(int folder)
{
    struct feed_locator locator;
    struct feed_header header;
    struct stat ours;
    struct stat theirs;
    int descriptor = openat(folder, "feed", O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    if (descriptor < 0)
        return;
    int64_t got = segment_read(descriptor, &locator, sizeof locator);
    int known = fstat(descriptor, &ours) == 0;
    close(descriptor);
    if (got != (int64_t)sizeof locator || !known || locator.magic != LAYOUT_LOCATOR_MAGIC ||
        locator.path[0] != '/' || memchr(locator.path, 0, sizeof locator.path) == NULL)
        return;
    descriptor = open(locator.path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    if (descriptor < 0)
        return;
    memset(&header, 0, sizeof header);
    got = segment_read(descriptor, &header, sizeof header);
    /* A maker that died before it wrote the header left a file of zeros, or an empty one. */
    int blank = header.magic == 0;
    int same = memcmp(header.segment_id, locator.segment_id, LAYOUT_ID_BYTES) == 0;
    if (got >= 0 && fstat(descriptor, &theirs) == 0 && theirs.st_uid == ours.st_uid &&
        S_ISREG(theirs.st_mode) && (blank || same))
        unlink(locator.path);
    close(descriptor);
}
