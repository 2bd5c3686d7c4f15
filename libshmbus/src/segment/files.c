/* SPDX-License-Identifier: MIT */
/*
 * Names, folders and files of segments: what creating, opening and removing share.
 */
#include "error/error.h"
#include "segment/segment.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

const char *segment_root_path(const char *folder)
{
    if (folder != NULL)
        return folder;
    const char *from_environment = getenv("SHMBUS_DIR");
    return from_environment != NULL && from_environment[0] != 0 ? from_environment : "/dev/shm";
}

int segment_open_root(const char *folder)
{
    const char *path = segment_root_path(folder);
    int descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return descriptor >= 0 ? descriptor : segment_errno(errno, path, "the folder of buses");
}

int segment_errno(int number, const char *name, const char *what)
{
    switch (number) {
    case ENOENT:
        return error_set(-ENOENT, "%s: %s is not there", name, what);
    case ELOOP:
        return error_set(-EBADMSG, "%s: %s is a symbolic link (remove it)", name, what);
    case EISDIR:
    case ENXIO:
    case ENODEV:
        return error_set(-EBADMSG, "%s: %s is not a file (remove the bus)", name, what);
    case ENOTDIR:
        return error_set(-ENOTDIR, "%s: %s is not a folder", name, what);
    case EACCES:
    case EPERM:
        return error_set(-number, "%s: %s: permission denied to user %u", name, what,
                         (unsigned)geteuid());
    case EROFS:
        return error_set(-EACCES, "%s: %s: the file system is read-only", name, what);
    case ENOSPC:
    case EDQUOT:
        return error_set(-ENOSPC, "%s: %s: no room left on its file system", name, what);
    case ENOMEM:
        return error_set(-ENOMEM, "%s: %s: no memory left", name, what);
    case EMFILE:
    case ENFILE:
        return error_set(-number, "%s: %s: no file descriptor left (raise the limit: ulimit -n)",
                         name, what);
    default:
        return error_set(-EIO, "%s: %s: %s", name, what, strerror(number));
    }
}

int segment_leads_to(int root, const char *path, int descriptor)
{
    struct stat ours;
    struct stat named;
    return fstat(descriptor, &ours) == 0 && fstatat(root, path, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
           named.st_ino == ours.st_ino && named.st_dev == ours.st_dev;
}

int64_t segment_read(int descriptor, void *buffer, size_t bytes)
{
    size_t done = 0;
    while (done < bytes) {
        ssize_t got = pread(descriptor, (char *)buffer + done, bytes - done, (off_t)done);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -errno;
        if (got == 0)
            break;
        done += (size_t)got;
    }
    return (int64_t)done;
}

int segment_read_header(int descriptor, uint64_t file_bytes, const char *name,
                        struct feed_header *out_header)
{
    alignas(8) unsigned char page[LAYOUT_PAGE];
    int64_t got = segment_read(descriptor, page, sizeof page);
    return layout_check(page, got < 0 ? 0 : (uint64_t)got, file_bytes, name, out_header);
}

int segment_random(uint8_t *out_bytes)
{
    if (getrandom(out_bytes, LAYOUT_ID_BYTES, 0) != (ssize_t)LAYOUT_ID_BYTES)
        return error_set(-EIO, "getrandom: %s", strerror(errno));
    return 0;
}

void segment_hex(const uint8_t *id, char *out_text)
{
    for (size_t i = 0; i < LAYOUT_ID_BYTES; i++)
        snprintf(out_text + 2 * i, 3, "%02x", id[i]);
}

void segment_boot_id(uint8_t *out_bytes)
{
    char text[64] = "";
    memset(out_bytes, 0, LAYOUT_ID_BYTES);
    int descriptor = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    if (descriptor < 0)
        return;
    int64_t got = segment_read(descriptor, text, sizeof text - 1);
    close(descriptor);
    size_t digits = 0;
    for (int64_t i = 0; i < got && digits < 2 * (size_t)LAYOUT_ID_BYTES; i++) {
        const char *found = text[i] == 0 ? NULL : strchr("0123456789abcdef", text[i]);
        if (found == NULL)
            continue;
        uint8_t digit = (uint8_t)(strchr("0123456789abcdef", text[i]) - "0123456789abcdef");
        out_bytes[digits / 2] = (uint8_t)(out_bytes[digits / 2] << 4 | digit);
        digits++;
    }
}

/* Feed through its locator: the path is used only when what it leads to is as the folder says. */
static int open_located(const struct segment *segment, const struct feed_locator *locator,
                        const struct stat *locator_stat, int flags)
{
    struct feed_header header;
    struct stat found;
    if (locator->byte_order != LAYOUT_BYTE_ORDER || locator->path[0] != '/' ||
        memchr(locator->path, 0, sizeof locator->path) == NULL)
        return error_set(-EBADMSG, "%s: feed's locator is damaged (remove the bus)", segment->name);
    int descriptor = open(locator->path, flags | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    if (descriptor < 0)
        return segment_errno(errno, segment->name, locator->path);
    int result = 0;
    if (fstat(descriptor, &found) < 0 || !S_ISREG(found.st_mode) ||
        found.st_uid != locator_stat->st_uid)
        result = error_set(-EBADMSG, "%s: %s does not belong to the owner of the bus",
                           segment->name, locator->path);
    /* hugetlbfs files can be read, but only mapped ones can be written. */
    else if (segment_read(descriptor, &header, sizeof header) != (int64_t)sizeof header ||
             memcmp(header.segment_id, locator->segment_id, LAYOUT_ID_BYTES) != 0)
        result = error_set(-EBADMSG, "%s: %s is of another bus", segment->name, locator->path);
    if (result < 0) {
        close(descriptor);
        return result;
    }
    return descriptor;
}

int segment_open_feed(const struct segment *segment, int flags)
{
    struct feed_locator locator;
    struct stat found;
    int descriptor = openat(segment->folder, "feed", flags | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    if (descriptor < 0)
        return segment_errno(errno, segment->name, "feed");
    if (fstat(descriptor, &found) < 0 || !S_ISREG(found.st_mode)) {
        close(descriptor);
        return error_set(-EBADMSG, "%s: feed is not a file (remove the bus)", segment->name);
    }
    memset(&locator, 0, sizeof locator);
    int64_t got = segment_read(descriptor, &locator, sizeof locator);
    if (got != (int64_t)sizeof locator || locator.magic != LAYOUT_LOCATOR_MAGIC)
        return descriptor;
    close(descriptor);
    return open_located(segment, &locator, &found, flags);
}

int segment_open_control(const struct segment *segment)
{
    char path[48];
    int descriptor =
        openat(segment->folder, "control", O_RDWR | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    if (descriptor >= 0 || errno != ENOENT)
        return descriptor;
    snprintf(path, sizeof path, "/proc/self/fd/%d", segment->probe_control);
    return open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK);
}

static void *map_at(void *address, uint64_t bytes, int protection, int fixed, int descriptor)
{
    return mmap(address, bytes, protection, MAP_SHARED | fixed, descriptor, 0);
}

int segment_map(int descriptor, uint64_t bytes, int protection, uint64_t alignment,
                unsigned char **out_address)
{
    unsigned char *address;
    if (alignment > 0) {
        /* More than is needed is reserved, and the mapping put on an aligned place inside it. */
        unsigned char *reserved = mmap(NULL, bytes + alignment, PROT_NONE,
                                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (reserved == MAP_FAILED)
            return -errno;
        uint64_t skip = (alignment - (uintptr_t)reserved % alignment) % alignment;
        address = map_at(reserved + skip, bytes, protection, MAP_FIXED, descriptor);
        int saved = errno;
        if (address == MAP_FAILED) {
            munmap(reserved, bytes + alignment);
            return -saved;
        }
        uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
        uint64_t end = (bytes + page - 1) / page * page;
        if (skip > 0)
            munmap(reserved, skip);
        if (alignment > skip + (end - bytes))
            munmap(address + end, alignment - skip - (end - bytes));
    } else {
        address = map_at(NULL, bytes, protection, 0, descriptor);
        if (address == MAP_FAILED)
            return -errno;
    }
    if (madvise(address, bytes, MADV_DONTFORK) < 0) {
        int saved = errno;
        munmap(address, bytes);
        return -saved;
    }
    *out_address = address;
    return 0;
}
