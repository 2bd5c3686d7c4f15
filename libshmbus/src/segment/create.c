/* SPDX-License-Identifier: MIT */
/*
 * Building a segment. Order: owner and its lock, then for feed and control open, ftruncate, map,
 * mbind, huge pages, populate with an error code; then the headers, the permissions, the name.
 */
#include "cgroup/cgroup.h"
#include "error/error.h"
#include "layout/stamp.h"
#include "liveness/liveness.h"
#include "numa/place.h"
#include "segment/segment.h"
#include "wait/wait.h"

#include <fcntl.h>
#include <grp.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#define THP_ALIGNMENT (UINT64_C(2) << 20)
#define CREATE_TRIES  16

/* Of what this process touches besides, and the kernel counts late. */
#define CGROUP_MARGIN (UINT64_C(512) << 10)

/* Makes the temporary folder and its owner file with the lock. A sweeper may take a folder that has
 * no owner file yet: then another name is tried. */
static int make_folder(struct segment_draft *draft)
{
    struct segment *segment = draft->segment;
    for (int i = 0; i < CREATE_TRIES; i++) {
        char text[SEGMENT_HEX_MAX];
        int result = segment_random(draft->id);
        if (result < 0)
            return result;
        segment_hex(draft->id, text);
        snprintf(draft->path, sizeof draft->path, SEGMENT_TEMPORARY "%s", text);
        if (mkdirat(draft->root, draft->path, 0700) < 0) {
            result = segment_errno(errno, segment->name, "its folder");
            draft->path[0] = 0;
            return result;
        }
        segment->folder =
            openat(draft->root, draft->path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
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
        segment_remove_folder(draft->root, draft->path);
        if (segment->folder >= 0)
            close(segment->folder);
        segment->folder = -1;
        draft->path[0] = 0;
        if (number != ENOENT && number != EAGAIN)
            return segment_errno(number, segment->name, "owner");
    }
    return error_set(-EIO, "%s: temporary folders vanish as they are made", segment->name);
}

/* What the bus's file system had left before this bus began to fill it; UINT64_MAX when it has no
 * limit. */
static uint64_t room_left(const struct segment_draft *draft, int descriptor)
{
    static const char *const files[] = {"feed", "control"};
    struct statvfs found;
    struct stat ours;
    if (fstatvfs(descriptor, &found) < 0 || found.f_blocks == 0)
        return UINT64_MAX;
    uint64_t left = (uint64_t)found.f_bavail * found.f_frsize;
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++)
        if (fstatat(draft->segment->folder, files[i], &ours, AT_SYMLINK_NOFOLLOW) == 0)
            left += (uint64_t)ours.st_blocks * 512;
    return left;
}

static int no_room(const struct segment_draft *draft, int descriptor)
{
    const struct feed_header *header = &draft->segment->header;
    uint64_t left = room_left(draft, descriptor);
    int replaces = draft->replaced != NULL;
    return error_set(-ENOSPC,
                     "%s: %" PRIu64 " bytes are needed%s, %s has %" PRIu64 " left (%suse a smaller "
                     "geometry, remove other buses, or enlarge it: of a container docker run "
                     "--shm-size)",
                     draft->segment->name, header->feed_bytes + header->control_bytes,
                     replaces ? " beside the bus that is to be replaced" : "",
                     segment_root_path(draft->options->folder), left,
                     replaces ? "remove that one first, " : "");
}

/* A process that touches more than its memory cgroup lets it have is killed while it does. The
 * kernel's own index and page tables of these pages are charged too: less than a hundredth. */
static int check_cgroup(const struct segment_draft *draft, uint64_t needed)
{
    struct cgroup_room room;
    cgroup_memory_room(&room);
    needed += needed / 100 + CGROUP_MARGIN;
    if (room.left >= needed)
        return 0;
    return error_set(-ENOMEM,
                     "%s: %" PRIu64 " bytes are needed, memory cgroup %s has %" PRIu64
                     " left of its %" PRIu64 " (use a smaller geometry, or raise its limit: docker "
                     "run --memory, MemoryMax= of systemd)",
                     draft->segment->name, needed, room.path, room.left, room.limit);
}

/* Gives a new file its size, mapping, placement and pages. huge_page is 0 but for hugetlbfs. */
static int fill_file(struct segment_draft *draft, int descriptor, uint64_t bytes,
                     uint64_t huge_page, int share_life, unsigned char **out_address)
{
    struct segment *segment = draft->segment;
    const struct feed_header *header = &segment->header;
    int wants_thp = share_life && header->pages == SHMBUS_PAGES_THP;
    if (ftruncate(descriptor, (off_t)bytes) < 0)
        return errno == ENOSPC || errno == EFBIG ? no_room(draft, descriptor)
                                                 : segment_errno(errno, segment->name, "its size");
    /* Seen before a page of it is taken from the others, or the machine runs out of memory. */
    uint64_t needed = (share_life ? header->feed_bytes : 0) + header->control_bytes;
    if (huge_page == 0 && room_left(draft, descriptor) < needed)
        return no_room(draft, descriptor);
    int result = huge_page == 0 ? check_cgroup(draft, needed) : 0;
    if (result < 0)
        return result;
    result = share_life ? lock_share(descriptor, LOCK_LIFE) : 0;
    if (result == 0)
        result = segment_map(descriptor, bytes, PROT_READ | PROT_WRITE,
                             wants_thp ? THP_ALIGNMENT : 0, out_address);
    if (result == -ENOMEM && huge_page > 0)
        return segment_no_huge_pages(segment->name, descriptor, bytes, huge_page, -1);
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
        return segment_no_huge_pages(segment->name, descriptor, bytes, huge_page,
                                     place_bound_node(header->numa, header->numa_node));
    if (result == -ENOSPC)
        return no_room(draft, descriptor);
    return result < 0 ? segment_errno(-result, segment->name, "its pages") : 0;
}

static int make_feed(struct segment_draft *draft, const char *hugetlbfs, uint64_t huge_page)
{
    struct segment *segment = draft->segment;
    int descriptor;
    if (huge_page > 0) {
        char text[SEGMENT_HEX_MAX];
        segment_hex(draft->id, text);
        int length = snprintf(draft->located, sizeof draft->located, "%s/" SEGMENT_PREFIX "%s",
                              hugetlbfs, text);
        if (length >= (int)sizeof draft->located) {
            draft->located[0] = 0;
            return error_set(-EINVAL, "%s: hugetlb_folder: path too long", segment->name);
        }
        int result = segment_write_locator(segment, draft->id, draft->located);
        if (result < 0)
            return result;
        descriptor = open(draft->located, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    } else {
        descriptor = openat(segment->folder, "feed", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    }
    if (descriptor < 0)
        return segment_errno(errno, segment->name, "feed");
    int result =
        fill_file(draft, descriptor, segment->header.feed_bytes, huge_page, 1, &segment->feed);
    segment->feed_mapped = segment->header.feed_bytes;
    close(descriptor);
    return result;
}

static int make_control(struct segment_draft *draft)
{
    struct segment *segment = draft->segment;
    int descriptor =
        openat(segment->folder, "control", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (descriptor < 0)
        return segment_errno(errno, segment->name, "control");
    int result =
        fill_file(draft, descriptor, segment->header.control_bytes, 0, 0, &segment->control);
    segment->control_mapped = segment->header.control_bytes;
    close(descriptor);
    return result;
}

/* Everything that is not zero in a new segment. Nobody else can see it yet. */
static void write_headers(struct segment_draft *draft)
{
    struct segment *segment = draft->segment;
    struct feed_header *header = &segment->header;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    header->created_realtime_ns = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
    header->created_monotonic_ns = wait_now();
    memcpy(header->segment_id, draft->id, LAYOUT_ID_BYTES);
    segment_boot_id(header->boot_id);
    layout_write_tables(draft->options, header, segment->feed);
    header->tables_checksum = layout_tables_checksum(header, segment->feed);
    header->checksum = layout_checksum(header, sizeof *header);
    memcpy(segment->feed, header, sizeof *header);

    struct feed_state *state = segment_state(segment);
    struct producer_entry *producer = segment_producer(segment, 0);
    _Atomic uint32_t *generations =
        (_Atomic uint32_t *)(void *)(segment->feed + header->generations.offset);
    /* relaxed: the rename publishes all of it */
    atomic_store_explicit(&state->bus_state, BUS_OPEN, memory_order_relaxed);
    atomic_store_explicit(&state->tail, header->first_sequence, memory_order_relaxed);
    atomic_store_explicit(&producer->floor, header->first_sequence, memory_order_relaxed);
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

static int permit(const struct segment_draft *draft, int folder, const char *file, gid_t gid,
                  mode_t mode)
{
    int descriptor = openat(folder, file, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (descriptor < 0)
        return segment_errno(errno, draft->segment->name, file);
    int result = 0;
    if ((gid != (gid_t)-1 && fchown(descriptor, (uid_t)-1, gid) < 0) ||
        fchmod(descriptor, mode) < 0)
        result = segment_errno(errno, draft->segment->name,
                               gid != (gid_t)-1 ? "giving it to the group" : file);
    close(descriptor);
    return result;
}

/* The mode is read as: r may observe, w may consume. feed is never writable for others than its
 * owner; the folder can be entered by who may read. */
static int set_permissions(struct segment_draft *draft)
{
    const struct shmbus_bus_options *options = draft->options;
    mode_t mode = options->mode ? options->mode : 0600;
    mode_t enter = (mode & 0444) | (mode & 0444) >> 2;
    gid_t gid = (gid_t)-1;
    int folder = draft->segment->folder;
    int result = 0;
    if (options->group != NULL)
        result = find_group(draft->segment->name, options->group, &gid);
    if (result == 0 && draft->located[0] != 0)
        result = permit(draft, AT_FDCWD, draft->located, gid, (mode & 0444) | 0600);
    if (result == 0)
        result = permit(draft, folder, "feed", gid, (mode & 0444) | 0600);
    if (result == 0)
        result = permit(draft, folder, "control", gid, mode | 0600);
    if (result == 0)
        result = permit(draft, folder, ".", gid, enter | 0700);
    draft->segment->uid = geteuid();
    draft->segment->gid = gid != (gid_t)-1 ? gid : getegid();
    draft->segment->mode = mode;
    return result;
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

static int build(struct segment_draft *draft)
{
    struct segment *segment = draft->segment;
    const struct shmbus_bus_options *options = draft->options;
    char hugetlbfs[256] = "";
    uint64_t huge_page = 0;
    int result = 0;
    if (options->pages == SHMBUS_PAGES_HUGETLB)
        result = segment_choose_hugetlbfs(segment->name, options, hugetlbfs, sizeof hugetlbfs,
                                          &huge_page);
    if (result == 0)
        result = layout_plan(options, segment->name, huge_page > 0 ? huge_page : LAYOUT_PAGE,
                             &segment->header);
    if (result < 0)
        return result;
    draft->root = segment_open_root(options->folder);
    if (draft->root < 0)
        return draft->root;
    segment_sweep(draft->root);
    process_hold();
    result = make_folder(draft);
    if (result == 0)
        result = make_feed(draft, hugetlbfs, huge_page);
    if (result == 0)
        result = make_control(draft);
    process_release();
    if (result == 0) {
        write_headers(draft);
        result = set_permissions(draft);
    }
    if (result == 0)
        result = open_probes(segment);
    return result < 0 ? result : segment_settle_mapping(segment, options->flags);
}

int segment_draft_begin(struct segment_draft *draft, struct segment *segment,
                        const struct shmbus_bus_options *options, const struct segment *replaced)
{
    *draft = (struct segment_draft){
        .segment = segment, .options = options, .replaced = replaced, .root = -1};
    return build(draft);
}

int segment_draft_name(struct segment_draft *draft)
{
    const char *name = draft->segment->name;
    const struct segment *replaced = draft->replaced;
    char path[SEGMENT_PATH_MAX];
    snprintf(path, sizeof path, SEGMENT_PREFIX "%s", name);
    /* Its owner's lock keeps the name for it, but from those who move folders by hand. */
    if (replaced != NULL && !segment_leads_to(draft->root, path, replaced->folder))
        return error_set(-ENOENT, "%s: removed while it was to be replaced", name);
    if (renameat2(draft->root, draft->path, draft->root, path,
                  replaced != NULL ? RENAME_EXCHANGE : RENAME_NOREPLACE) < 0)
        return errno == EEXIST ? error_set(-EEXIST, "%s: there is one already", name)
                               : segment_errno(errno, name, path);
    draft->located[0] = 0;
    /* The one that was replaced has the temporary name now: who finds it there after this process
     * died tells its consumers and removes it, as is done here. */
    if (replaced != NULL) {
        segment_say_replaced(replaced->feed, &replaced->header);
        segment_remove_folder(draft->root, draft->path);
    }
    draft->path[0] = 0;
    return 0;
}

void segment_draft_end(struct segment_draft *draft)
{
    if (draft->located[0] != 0)
        unlink(draft->located);
    if (draft->path[0] != 0)
        segment_remove_folder(draft->root, draft->path);
    if (draft->root >= 0)
        close(draft->root);
}
