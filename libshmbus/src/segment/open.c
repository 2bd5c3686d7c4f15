/* SPDX-License-Identifier: MIT */
/*
 * Opening a segment that exists: every file checked for what it is and whose it is, every header
 * copied and checked before anything is mapped by it, and after a lock the name looked up again.
 */
#include "error/error.h"
#include "liveness/liveness.h"
#include "numa/place.h"
#include "segment/segment.h"
#include "wait/wait.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

/* How often a bus may vanish while it is opened before that is believed. */
#define OPEN_TRIES 64

void segment_begin(struct segment *segment, const char *name)
{
    memset(segment, 0, sizeof *segment);
    snprintf(segment->name, sizeof segment->name, "%s", name);
    segment->folder = -1;
    segment->probe_feed = -1;
    segment->probe_control = -1;
    segment->probe_owner = -1;
}

void segment_close(struct segment *segment)
{
    if (segment->feed != NULL)
        munmap(segment->feed, segment->feed_mapped);
    if (segment->control != NULL)
        munmap(segment->control, segment->control_mapped);
    if (segment->owner != NULL)
        munmap(segment->owner, LAYOUT_PAGE);
    const int descriptors[] = {segment->probe_feed, segment->probe_control, segment->probe_owner,
                               segment->folder};
    for (size_t i = 0; i < sizeof descriptors / sizeof descriptors[0]; i++)
        if (descriptors[i] >= 0)
            close(descriptors[i]);
    segment_begin(segment, "");
}

void segment_forget(struct segment *segment)
{
    segment->feed = NULL;
    segment->control = NULL;
    segment->owner = NULL;
}

static int denied(const struct segment *segment, const char *what, const struct stat *found)
{
    return error_set(-EACCES,
                     "%s: %s: permission denied: it is of user %u, group %u, mode 0%o; this is "
                     "user %u, group %u (create the bus with another mode or group)",
                     segment->name, what, (unsigned)found->st_uid, (unsigned)found->st_gid,
                     (unsigned)found->st_mode & 0777, (unsigned)geteuid(), (unsigned)getegid());
}

/* Opens one file of the folder, of the folder's owner. Returns its descriptor. */
static int open_file(const struct segment *segment, const char *file, int flags,
                     struct stat *out_stat)
{
    int descriptor =
        strcmp(file, "feed") == 0
            ? segment_open_feed(segment, flags)
            : openat(segment->folder, file, flags | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    if (descriptor < 0) {
        int number = strcmp(file, "feed") == 0 ? -descriptor : errno;
        struct stat found;
        if (number == EACCES && fstatat(segment->folder, file, &found, AT_SYMLINK_NOFOLLOW) == 0)
            return denied(segment, file, &found);
        return strcmp(file, "feed") == 0 ? descriptor : segment_errno(number, segment->name, file);
    }
    if (fstat(descriptor, out_stat) < 0 || !S_ISREG(out_stat->st_mode)) {
        close(descriptor);
        return error_set(-EBADMSG, "%s: %s is not a file (remove the bus)", segment->name, file);
    }
    if (out_stat->st_uid != segment->uid) {
        close(descriptor);
        return error_set(-EPERM, "%s: %s is of user %u, the bus of user %u (remove the bus)",
                         segment->name, file, (unsigned)out_stat->st_uid, (unsigned)segment->uid);
    }
    return descriptor;
}

/* Opens the bus's folder and sees whose it is. */
static int open_folder(struct segment *segment, int root, enum segment_role role)
{
    char path[SEGMENT_PATH_MAX];
    struct stat found;
    snprintf(path, sizeof path, SEGMENT_PREFIX "%s", segment->name);
    segment->folder = openat(root, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (segment->folder < 0) {
        int number = errno;
        if (number == ENOENT)
            return error_set(-ENOENT, "%s: no such bus", segment->name);
        if (number == EACCES && fstatat(root, path, &found, AT_SYMLINK_NOFOLLOW) == 0)
            return denied(segment, path, &found);
        if (number == ENOTDIR || number == ELOOP)
            return error_set(-EBADMSG, "%s: %s is not a folder (remove it)", segment->name, path);
        return segment_errno(number, segment->name, path);
    }
    if (fstat(segment->folder, &found) < 0)
        return segment_errno(errno, segment->name, path);
    segment->uid = found.st_uid;
    if (found.st_mode & 0022)
        return error_set(-EPERM,
                         "%s: its folder has mode 0%o, so others than its owner could replace its "
                         "files (remove it)",
                         segment->name, (unsigned)found.st_mode & 0777);
    if (role == SEGMENT_PUBLISH && found.st_uid != geteuid())
        return error_set(-EACCES,
                         "%s: the bus is of user %u, this is user %u, and only its owner may "
                         "publish",
                         segment->name, (unsigned)found.st_uid, (unsigned)geteuid());
    return 0;
}

/* Every number has a living producer. */
static int no_number(const struct segment *segment)
{
    if (segment->header.max_producers == 1)
        return error_set(-EBUSY, "%s: a living producer owns it (end that one first)",
                         segment->name);
    return error_set(-EUSERS,
                     "%s: all %" PRIu32 " entries for producers are taken (end one, or create the "
                     "bus with more max_producers)",
                     segment->name, segment->header.max_producers);
}

/* Takes the life byte of the first number that is free. Among many producers one that is being
 * repaired is passed over. */
static int take_number(struct segment *segment, int descriptor)
{
    uint32_t most = segment->header.max_producers;
    int repair = -1;
    int result = -EAGAIN;
    if (most > 1 && (repair = segment_open_owner(segment)) < 0)
        return repair;
    for (uint32_t i = 0; result == -EAGAIN && i < most; i++) {
        if (repair >= 0 && lock_probe(repair, LOCK_REPAIR + (int64_t)i) != 0)
            continue;
        result = lock_take(descriptor, LOCK_LIFE + (int64_t)i);
        segment->producer = i;
    }
    if (repair >= 0)
        close(repair);
    if (result == -EAGAIN)
        return no_number(segment);
    return result < 0 ? segment_errno(-result, segment->name, "owner") : 0;
}

/* Takes the right to publish: a life byte of the owner file, kept by a mapping of it. */
static int take_owner(struct segment *segment, int root)
{
    char path[SEGMENT_PATH_MAX];
    struct stat found;
    int descriptor = open_file(segment, "owner", O_RDWR, &found);
    if (descriptor < 0)
        return descriptor;
    int result = take_number(segment, descriptor);
    if (result == 0) {
        result = segment_map(descriptor, LAYOUT_PAGE, PROT_READ, 0, &segment->owner);
        if (result < 0)
            result = segment_errno(-result, segment->name, "owner");
    }
    /* Who removes the bus has the bytes, too. */
    snprintf(path, sizeof path, SEGMENT_PREFIX "%s/owner", segment->name);
    if ((result == 0 || result == -EUSERS) && !segment_leads_to(root, path, descriptor))
        result = error_set(-ENOENT, "%s: removed or replaced while it was opened", segment->name);
    close(descriptor);
    return result;
}

int segment_open_owner(const struct segment *segment)
{
    int descriptor = openat(segment->folder, "owner", O_RDWR | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    return descriptor < 0 ? segment_errno(errno, segment->name, "owner") : descriptor;
}

int segment_keep_others_out(const struct segment *segment)
{
    uint32_t own = segment->producer;
    int descriptor = segment_open_owner(segment);
    if (descriptor < 0)
        return descriptor;
    int result = own > 0 ? lock_take_range(descriptor, LOCK_LIFE, own) : 0;
    if (result == 0 && own + 1 < SHMBUS_PRODUCERS_MAX)
        result = lock_take_range(descriptor, LOCK_LIFE + (int64_t)own + 1,
                                 SHMBUS_PRODUCERS_MAX - own - 1);
    if (result == 0)
        return descriptor;
    close(descriptor);
    return result == -EAGAIN ? error_set(-EBUSY, "%s: other producers of it live (end those first)",
                                         segment->name)
                             : segment_errno(-result, segment->name, "owner");
}

/* Opens feed, and copies and checks its header. Returns the descriptor. */
static int read_feed(struct segment *segment, enum segment_role role)
{
    struct stat found;
    uint8_t boot_id[LAYOUT_ID_BYTES];
    static const uint8_t unknown[LAYOUT_ID_BYTES];
    int descriptor =
        open_file(segment, "feed", role == SEGMENT_PUBLISH ? O_RDWR : O_RDONLY, &found);
    if (descriptor < 0)
        return descriptor;
    segment->gid = found.st_gid;
    segment->mode = found.st_mode & 0444;
    int result =
        segment_read_header(descriptor, (uint64_t)found.st_size, segment->name, &segment->header);
    if (result == 0 && role == SEGMENT_PUBLISH)
        result = layout_check_publish(&segment->header);
    segment_boot_id(boot_id);
    if (result == 0 && memcmp(boot_id, unknown, sizeof unknown) != 0 &&
        memcmp(segment->header.boot_id, unknown, sizeof unknown) != 0 &&
        memcmp(boot_id, segment->header.boot_id, sizeof boot_id) != 0)
        result = error_set(-ESTALE, "%s: made before this machine's last boot (remove it)",
                           segment->name);
    if (result == 0)
        return descriptor;
    close(descriptor);
    return result;
}

/* Maps feed by its header that was checked, with a producer's sign of life. */
static int map_feed(struct segment *segment, int descriptor, enum segment_role role)
{
    int publish = role == SEGMENT_PUBLISH;
    int protection = publish ? PROT_READ | PROT_WRITE : PROT_READ;
    int result = publish ? lock_share(descriptor, LOCK_LIFE + (int64_t)segment->producer) : 0;
    if (result < 0)
        return segment_errno(-result, segment->name, "feed");
    result = segment_map(descriptor, segment->header.feed_bytes, protection, 0, &segment->feed);
    segment->feed_mapped = segment->header.feed_bytes;
    if (result < 0)
        return segment_errno(-result, segment->name, "feed");
    return layout_check_tables(&segment->header, segment->feed);
}

/* Checks control and keeps a read-only descriptor for probing; maps it for those that do not map
 * it by an entry of their own. */
static int take_control(struct segment *segment, enum segment_role role)
{
    struct stat found;
    struct control_header control;
    int descriptor =
        open_file(segment, "control", role == SEGMENT_LOOK ? O_RDONLY : O_RDWR, &found);
    if (descriptor < 0)
        return descriptor;
    segment->mode |= found.st_mode & 0222;
    memset(&control, 0, sizeof control);
    int64_t got = segment_read(descriptor, &control, sizeof control);
    int result = got < 0
                     ? segment_errno((int)-got, segment->name, "control")
                     : layout_check_control(&control, &segment->header, (uint64_t)found.st_size);
    if (result == 0 && role != SEGMENT_CONSUME) {
        int protection = role == SEGMENT_LOOK ? PROT_READ : PROT_READ | PROT_WRITE;
        result = segment_map(descriptor, segment->header.control_bytes, protection, 0,
                             &segment->control);
        segment->control_mapped = segment->header.control_bytes;
        if (result < 0)
            result = segment_errno(-result, segment->name, "control");
    }
    close(descriptor);
    return result;
}

/* Descriptors for probing, never used for a life lock: one's own would show as nobody's. */
static int open_probes(struct segment *segment)
{
    segment->probe_feed = segment_open_feed(segment, O_RDONLY);
    if (segment->probe_feed < 0)
        return segment->probe_feed;
    if (segment->owner != NULL && segment->header.max_producers > 1) {
        segment->probe_owner = segment_open_owner(segment);
        if (segment->probe_owner < 0)
            return segment->probe_owner;
    }
    if (segment->control == NULL && segment->owner == NULL)
        return 0;
    segment->probe_control =
        openat(segment->folder, "control", O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    return segment->probe_control < 0 ? segment_errno(errno, segment->name, "control") : 0;
}

/* A file that is not there: of a bus that vanished meanwhile, or of a damaged one. A bus is made
 * and removed under another name, so under its own it always has its files. */
static int judge_missing(const struct segment *segment, int root)
{
    char path[SEGMENT_PATH_MAX];
    char text[512];
    snprintf(path, sizeof path, SEGMENT_PREFIX "%s", segment->name);
    if (!segment_leads_to(root, path, segment->folder))
        return -ENOENT;
    snprintf(text, sizeof text, "%s", shmbus_error_text());
    return error_set(-EBADMSG, "%s (damaged: remove the bus)", text);
}

/* Opens what has the name now. -ENOENT with a folder: it vanished meanwhile. */
static int open_once(struct segment *segment, int root, enum segment_role role)
{
    process_hold();
    int feed = -1;
    int result = open_folder(segment, root, role);
    if (result == 0) {
        feed = read_feed(segment, role);
        result = feed < 0 ? feed : 0;
    }
    if (result == 0 && role == SEGMENT_PUBLISH)
        result = take_owner(segment, root);
    if (result == 0)
        result = map_feed(segment, feed, role);
    if (feed >= 0)
        close(feed);
    if (result == 0 && role != SEGMENT_OBSERVE) {
        result = take_control(segment, role);
        /* Who only looks may be kept out of control. */
        if (role == SEGMENT_LOOK && result == -EACCES)
            result = 0;
    }
    process_release();
    if (result == 0)
        result = open_probes(segment);
    if (result == -ENOENT && segment->folder >= 0)
        result = judge_missing(segment, root);
    return result;
}

int segment_open(struct segment *segment, const char *folder, enum segment_role role)
{
    char name[SHMBUS_NAME_MAX + 1];
    int tries = OPEN_TRIES;
    int root = segment_open_root(folder);
    if (root < 0)
        return root;
    memcpy(name, segment->name, sizeof name);
    int result = open_once(segment, root, role);
    /* One that was replaced is no error: another one has its name by now. */
    while (result == -ENOENT && segment->folder >= 0 && --tries > 0) {
        segment_close(segment);
        segment_begin(segment, name);
        result = open_once(segment, root, role);
    }
    /* Who publishes has what others wait for: if one that replaced the bus died over it, those of
     * the old one are told. */
    if (result == 0 && role == SEGMENT_PUBLISH)
        segment_sweep(root);
    close(root);
    return result;
}

int segment_open_wait(struct segment *segment, const char *folder, enum segment_role role,
                      int64_t wait_ns)
{
    char name[SHMBUS_NAME_MAX + 1];
    memcpy(name, segment->name, sizeof name);
    struct waiter waiter = wait_begin(wait_ns);
    for (;;) {
        int result = segment_open(segment, folder, role);
        if (result != -ENOENT)
            return result;
        segment_close(segment);
        segment_begin(segment, name);
        if (wait_step(&waiter) == -ETIMEDOUT)
            return result;
    }
}

int segment_map_control(struct segment *segment, int descriptor, uint32_t index)
{
    uint64_t bytes = segment->header.control_bytes;
    unsigned char *address;
    int result = segment_map(descriptor, bytes, PROT_READ, 0, &address);
    if (result < 0)
        return segment_errno(-result, segment->name, "control");
    unsigned char *entry = (unsigned char *)layout_entry(address, &segment->header, index);
    if (mprotect(address + LAYOUT_PAGE, LAYOUT_PAGE, PROT_READ | PROT_WRITE) < 0 ||
        mprotect(entry, segment->header.entry_bytes, PROT_READ | PROT_WRITE) < 0) {
        result = segment_errno(errno, segment->name, "control");
        munmap(address, bytes);
        return result;
    }
    segment->control = address;
    segment->control_mapped = bytes;
    return 0;
}

void segment_unmap_control(struct segment *segment)
{
    munmap(segment->control, segment->control_mapped);
    segment->control = NULL;
}

int segment_peek_control(const struct segment *segment, unsigned char **out_control)
{
    int descriptor =
        openat(segment->folder, "control", O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    if (descriptor < 0)
        return segment_errno(errno, segment->name, "control");
    int result = segment_map(descriptor, segment->header.control_bytes, PROT_READ, 0, out_control);
    close(descriptor);
    return result < 0 ? segment_errno(-result, segment->name, "control") : 0;
}

void segment_unpeek_control(const struct segment *segment, unsigned char *control)
{
    munmap(control, segment->header.control_bytes);
}

int segment_settle_mapping(struct segment *segment, uint32_t flags)
{
    if (flags & SHMBUS_MAP_PREFAULT) {
        int result = place_populate(segment->feed, segment->feed_mapped, 0);
        if (result == 0)
            result = place_populate(segment->control, segment->control_mapped, 0);
        if (result < 0)
            return segment_errno(-result, segment->name, "prefault");
    }
    if (flags & SHMBUS_MAP_LOCK) {
        if (mlock(segment->feed, segment->feed_mapped) < 0 ||
            mlock(segment->control, segment->control_mapped) < 0) {
            struct rlimit limit = {0, 0};
            getrlimit(RLIMIT_MEMLOCK, &limit);
            return error_set(errno == EPERM ? -EPERM : -ENOMEM,
                             "%s: mlock of %" PRIu64 " bytes: %s; the limit is %llu bytes (raise "
                             "it: ulimit -l)",
                             segment->name, segment->feed_mapped + segment->control_mapped,
                             strerror(errno), (unsigned long long)limit.rlim_cur);
        }
    }
    return 0;
}
