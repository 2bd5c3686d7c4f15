/* SPDX-License-Identifier: MIT */
/*
 * Building a segment. Order: owner and its lock, then for feed and control open, ftruncate, map,
 * mbind, huge pages, populate with an error code; then the headers, the permissions, the name.
 */
#include "error/error.h"
#include "layout/stamp.h"
#include "liveness/liveness.h"
#include "numa/place.h"
#include "segment/segment.h"
#include "wait/wait.h"

#include <fcntl.h>
#include <grp.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <mntent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#define THP_ALIGNMENT (UINT64_C(2) << 20)
#define CREATE_TRIES  16

/* What is being built, and what has to go if it fails. */
struct build {
    struct segment *segment;
    const struct shmbus_bus_options *options;
    int root;
    char path[SEGMENT_PATH_MAX]; /* of the temporary folder, in root; empty: none yet */
    char
        located[sizeof(((struct feed_locator *)0)->path)]; /* feed on hugetlbfs; empty: in folder */
    uint8_t id[LAYOUT_ID_BYTES];
};

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

/* Where hugetlb pages come from, and their size. */
static int choose_hugetlbfs(const char *name, const struct shmbus_bus_options *options,
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

static void hex(const uint8_t *bytes, char *out_text)
{
    for (size_t i = 0; i < LAYOUT_ID_BYTES; i++)
        snprintf(out_text + 2 * i, 3, "%02x", bytes[i]);
}

/* Makes the temporary folder and its owner file with the lock. A sweeper may take a folder that has
 * no owner file yet: then another name is tried. */
static int make_folder(struct build *build)
{
    struct segment *segment = build->segment;
    for (int i = 0; i < CREATE_TRIES; i++) {
        char text[2 * LAYOUT_ID_BYTES + 1];
        int result = segment_random(build->id);
        if (result < 0)
            return result;
        hex(build->id, text);
        snprintf(build->path, sizeof build->path, SEGMENT_TEMPORARY "%s", text);
        if (mkdirat(build->root, build->path, 0700) < 0) {
            result = segment_errno(errno, segment->name, "its folder");
            build->path[0] = 0;
            return result;
        }
        segment->folder =
            openat(build->root, build->path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        int owner = segment->folder < 0 ? -1
                                        : openat(segment->folder, "owner",
                                                 O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        int number = errno;
        if (owner >= 0) {
            result = lock_take(owner, LOCK_LIFE);
            /* A sweeper was faster: it had the lock, and the file is gone. */
            if (result == 0 && !segment_leads_to(segment->folder, "owner", owner))
                result = -ENOENT;
            if (result == 0 && ftruncate(owner, LAYOUT_PAGE) < 0)
                result = -errno;
            if (result == 0)
                result = segment_map(owner, LAYOUT_PAGE, PROT_READ, 0, &segment->owner);
            close(owner);
            if (result == 0)
                return 0;
            number = -result;
        }
        segment_remove_folder(build->root, build->path);
        if (segment->folder >= 0)
            close(segment->folder);
        segment->folder = -1;
        build->path[0] = 0;
        if (number != ENOENT && number != EAGAIN)
            return segment_errno(number, segment->name, "owner");
    }
    return error_set(-EIO, "%s: temporary folders vanish as they are made", segment->name);
}

/* What the bus's file system had left before this bus began to fill it; UINT64_MAX when it has no
 * limit. */
static uint64_t room_left(const struct build *build, int descriptor)
{
    static const char *const files[] = {"feed", "control"};
    struct statvfs found;
    struct stat ours;
    if (fstatvfs(descriptor, &found) < 0 || found.f_blocks == 0)
        return UINT64_MAX;
    uint64_t left = (uint64_t)found.f_bavail * found.f_frsize;
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++)
        if (fstatat(build->segment->folder, files[i], &ours, AT_SYMLINK_NOFOLLOW) == 0)
            left += (uint64_t)ours.st_blocks * 512;
    return left;
}

static int no_room(const struct build *build, int descriptor)
{
    const struct feed_header *header = &build->segment->header;
    uint64_t left = room_left(build, descriptor);
    return error_set(-ENOSPC,
                     "%s: %" PRIu64 " bytes are needed, %s has %" PRIu64 " left (use a smaller "
                     "geometry, remove other buses, or enlarge it)",
                     build->segment->name, header->feed_bytes + header->control_bytes,
                     segment_root_path(build->options->folder), left);
}

static int no_huge_pages(const struct build *build, uint64_t asked, uint64_t page)
{
    char path[96];
    uint64_t left = 0;
    snprintf(path, sizeof path, "/sys/kernel/mm/hugepages/hugepages-%" PRIu64 "kB/free_hugepages",
             page / 1024);
    FILE *file = fopen(path, "re");
    if (file != NULL) {
        if (fscanf(file, "%" SCNu64, &left) != 1)
            left = 0;
        fclose(file);
    }
    return error_set(-ENOMEM,
                     "%s: %" PRIu64 " pages of %" PRIu64 " bytes are needed, the huge page pool "
                     "has %" PRIu64 " free (raise /proc/sys/vm/nr_hugepages)",
                     build->segment->name, asked / page, page, left);
}

/* Gives a new file its size, mapping, placement and pages. huge_page is 0 but for hugetlbfs. */
static int fill_file(struct build *build, int descriptor, uint64_t bytes, uint64_t huge_page,
                     int share_life, unsigned char **out_address)
{
    struct segment *segment = build->segment;
    const struct feed_header *header = &segment->header;
    int wants_thp = share_life && header->pages == SHMBUS_PAGES_THP;
    if (ftruncate(descriptor, (off_t)bytes) < 0)
        return errno == ENOSPC || errno == EFBIG ? no_room(build, descriptor)
                                                 : segment_errno(errno, segment->name, "its size");
    /* Seen before a page of it is taken from the others, or the machine runs out of memory. */
    if (huge_page == 0 && room_left(build, descriptor) <
                              (share_life ? header->feed_bytes : 0) + header->control_bytes)
        return no_room(build, descriptor);
    int result = share_life ? lock_share(descriptor, LOCK_LIFE) : 0;
    if (result == 0)
        result = segment_map(descriptor, bytes, PROT_READ | PROT_WRITE,
                             wants_thp ? THP_ALIGNMENT : 0, out_address);
    if (result == -ENOMEM && huge_page > 0)
        return no_huge_pages(build, bytes, huge_page);
    if (result < 0)
        return segment_errno(-result, segment->name, "its mapping");
    result = place_policy(*out_address, bytes, huge_page > 0 ? 0 : bytes, header->numa,
                          header->numa_node);
    if (result < 0)
        return result;
    if (wants_thp)
        madvise(*out_address, bytes, MADV_HUGEPAGE);
    result = place_populate(*out_address, bytes, 1);
    if (result == -ENOSPC && huge_page > 0)
        return no_huge_pages(build, bytes, huge_page);
    if (result == -ENOSPC)
        return no_room(build, descriptor);
    return result < 0 ? segment_errno(-result, segment->name, "its pages") : 0;
}

/* Writes the locator that leads from the bus's folder to feed on hugetlbfs. */
static int write_locator(struct build *build)
{
    struct feed_locator locator = {
        .magic = LAYOUT_LOCATOR_MAGIC,
        .byte_order = LAYOUT_BYTE_ORDER,
        .layout_major = LAYOUT_MAJOR,
        .layout_minor = LAYOUT_MINOR,
    };
    struct segment *segment = build->segment;
    memcpy(locator.segment_id, build->id, LAYOUT_ID_BYTES);
    memcpy(locator.path, build->located, sizeof locator.path);
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

static int make_feed(struct build *build, const char *hugetlbfs, uint64_t huge_page)
{
    struct segment *segment = build->segment;
    int descriptor;
    if (huge_page > 0) {
        char text[2 * LAYOUT_ID_BYTES + 1];
        hex(build->id, text);
        int length = snprintf(build->located, sizeof build->located, "%s/" SEGMENT_PREFIX "%s",
                              hugetlbfs, text);
        if (length >= (int)sizeof build->located) {
            build->located[0] = 0;
            return error_set(-EINVAL, "%s: hugetlb_folder: path too long", segment->name);
        }
        int result = write_locator(build);
        if (result < 0)
            return result;
        descriptor = open(build->located, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    } else {
        descriptor = openat(segment->folder, "feed", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    }
    if (descriptor < 0)
        return segment_errno(errno, segment->name, "feed");
    int result =
        fill_file(build, descriptor, segment->header.feed_bytes, huge_page, 1, &segment->feed);
    segment->feed_mapped = segment->header.feed_bytes;
    close(descriptor);
    return result;
}

static int make_control(struct build *build)
{
    struct segment *segment = build->segment;
    int descriptor =
        openat(segment->folder, "control", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (descriptor < 0)
        return segment_errno(errno, segment->name, "control");
    int result =
        fill_file(build, descriptor, segment->header.control_bytes, 0, 0, &segment->control);
    segment->control_mapped = segment->header.control_bytes;
    close(descriptor);
    return result;
}

/* Everything that is not zero in a new segment. Nobody else can see it yet. */
static void write_headers(struct build *build)
{
    struct segment *segment = build->segment;
    struct feed_header *header = &segment->header;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    header->created_realtime_ns = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
    header->created_monotonic_ns = wait_now();
    memcpy(header->segment_id, build->id, LAYOUT_ID_BYTES);
    segment_boot_id(header->boot_id);
    layout_write_tables(build->options, header, segment->feed);
    header->tables_checksum = layout_tables_checksum(header, segment->feed);
    header->checksum = layout_checksum(header);
    memcpy(segment->feed, header, sizeof *header);

    struct feed_state *state = segment_state(segment);
    struct producer_entry *producer = segment_producer(segment, 0);
    _Atomic uint32_t *generations =
        (_Atomic uint32_t *)(void *)(segment->feed + header->generations.offset);
    /* relaxed: the rename publishes all of it */
    atomic_store_explicit(&state->bus_state, BUS_OPEN, memory_order_relaxed);
    atomic_store_explicit(&state->tail, header->first_sequence, memory_order_relaxed);
    atomic_store_explicit(&producer->floor, header->first_sequence, memory_order_relaxed);
    /* relaxed: as above. Among many the first one counts from the beginning: one that comes and
     * goes before it is ready does not end the stream. */
    if (header->max_producers > 1)
        atomic_store_explicit(&producer->state, PRODUCER_ACTIVE, memory_order_relaxed);
    for (uint64_t i = 0; i < layout_slab_total(header); i++)
        atomic_store_explicit(&generations[i], GENERATION_FIRST, memory_order_relaxed);

    struct control_header control = {
        .magic = LAYOUT_CONTROL_MAGIC,
        .byte_order = LAYOUT_BYTE_ORDER,
        .layout_major = LAYOUT_MAJOR,
        .layout_minor = LAYOUT_MINOR,
        .control_bytes = header->control_bytes,
        .entries_offset = header->entries_offset,
        .entry_bytes = header->entry_bytes,
        .max_consumers = header->max_consumers,
    };
    memcpy(control.segment_id, header->segment_id, LAYOUT_ID_BYTES);
    memcpy(segment->control, &control, sizeof control);
}

/* Finds a group by name or number. */
static int find_group(const char *name, const char *group, gid_t *out_gid)
{
    char *end;
    unsigned long number = strtoul(group, &end, 10);
    if (group[0] >= '0' && group[0] <= '9' && *end == 0 && number < UINT32_MAX) {
        *out_gid = (gid_t)number;
        return 0;
    }
    struct group found;
    struct group *result = NULL;
    char buffer[4096];
    getgrnam_r(group, &found, buffer, sizeof buffer, &result);
    if (result == NULL)
        return error_set(-EINVAL, "%s: there is no group \"%s\"", name, group);
    *out_gid = found.gr_gid;
    return 0;
}

static int permit(const struct build *build, int folder, const char *file, gid_t gid, mode_t mode)
{
    int descriptor = openat(folder, file, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (descriptor < 0)
        return segment_errno(errno, build->segment->name, file);
    int result = 0;
    if ((gid != (gid_t)-1 && fchown(descriptor, (uid_t)-1, gid) < 0) ||
        fchmod(descriptor, mode) < 0)
        result = segment_errno(errno, build->segment->name,
                               gid != (gid_t)-1 ? "giving it to the group" : file);
    close(descriptor);
    return result;
}

/* The mode is read as: r may observe, w may consume. feed is never writable for others than its
 * owner; the folder can be entered by who may read. */
static int set_permissions(struct build *build)
{
    const struct shmbus_bus_options *options = build->options;
    mode_t mode = options->mode ? options->mode : 0600;
    mode_t enter = (mode & 0444) | (mode & 0444) >> 2;
    gid_t gid = (gid_t)-1;
    int folder = build->segment->folder;
    int result = 0;
    if (options->group != NULL)
        result = find_group(build->segment->name, options->group, &gid);
    if (result == 0 && build->located[0] != 0)
        result = permit(build, AT_FDCWD, build->located, gid, (mode & 0444) | 0600);
    if (result == 0)
        result = permit(build, folder, "feed", gid, (mode & 0444) | 0600);
    if (result == 0)
        result = permit(build, folder, "control", gid, mode | 0600);
    if (result == 0)
        result = permit(build, folder, ".", gid, enter | 0700);
    build->segment->uid = geteuid();
    build->segment->gid = gid != (gid_t)-1 ? gid : getegid();
    build->segment->mode = mode;
    return result;
}

static int give_name(struct build *build)
{
    char path[SEGMENT_PATH_MAX];
    snprintf(path, sizeof path, SEGMENT_PREFIX "%s", build->segment->name);
    if (renameat2(build->root, build->path, build->root, path, RENAME_NOREPLACE) == 0)
        return 0;
    return errno == EEXIST ? error_set(-EEXIST, "%s: there is one already", build->segment->name)
                           : segment_errno(errno, build->segment->name, path);
}

static int open_probes(struct segment *segment)
{
    segment->probe_feed = segment_open_feed(segment, O_RDONLY);
    if (segment->probe_feed < 0)
        return segment->probe_feed;
    if (segment->header.max_producers > 1) {
        segment->probe_owner = segment_open_owner(segment);
        if (segment->probe_owner < 0)
            return segment->probe_owner;
    }
    segment->probe_control = openat(segment->folder, "control", O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    return segment->probe_control < 0 ? segment_errno(errno, segment->name, "control") : 0;
}

int segment_create(struct segment *segment, const struct shmbus_bus_options *options)
{
    struct build build = {.segment = segment, .options = options, .root = -1};
    char hugetlbfs[256] = "";
    uint64_t huge_page = 0;
    int result = 0;
    if (options->pages == SHMBUS_PAGES_HUGETLB)
        result = choose_hugetlbfs(segment->name, options, hugetlbfs, sizeof hugetlbfs, &huge_page);
    if (result == 0)
        result = layout_plan(options, segment->name, huge_page > 0 ? huge_page : LAYOUT_PAGE,
                             &segment->header);
    if (result < 0)
        return result;
    build.root = segment_open_root(options->folder);
    if (build.root < 0)
        return build.root;
    segment_sweep(build.root);
    process_hold();
    result = make_folder(&build);
    if (result == 0)
        result = make_feed(&build, hugetlbfs, huge_page);
    if (result == 0)
        result = make_control(&build);
    process_release();
    if (result == 0) {
        write_headers(&build);
        result = set_permissions(&build);
    }
    if (result == 0)
        result = open_probes(segment);
    if (result == 0)
        result = segment_settle_mapping(segment, options->flags);
    if (result == 0)
        result = give_name(&build);
    if (result < 0) {
        if (build.located[0] != 0)
            unlink(build.located);
        if (build.path[0] != 0)
            segment_remove_folder(build.root, build.path);
    }
    close(build.root);
    return result;
}
