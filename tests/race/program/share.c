/* SPDX-License-Identifier: MIT */
/* One mapping of each file, and the locks that participants have: see share.h. */
#include "share.h"

#include "calls.h"
#include "layout/layout.h"
#include "liveness/liveness.h"
#include "wait/park.h"

#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILES_MAX       256
#define REFERENCES_MAX  1024
#define DESCRIPTORS_MAX 1024
#define LOCKS_EACH      64 /* bytes of each of the three kinds */
#define LOCK_KINDS      3

/* A file: its one mapping, and what stands for its locks and its name to the detector. */
struct file {
    dev_t device;
    ino_t inode;
    unsigned char *address; /* NULL: not mapped */
    uint32_t references;
    char lock[LOCK_KINDS][LOCKS_EACH];
    char name;
};

/* An open file description, kept by descriptors and mappings: its locks go with the last of them.
 */
struct description {
    struct file *file; /* NULL: not in use */
    uint32_t keepers;
    uint64_t locks[LOCK_KINDS]; /* a bit for each byte that it has locked */
};

/* One participant's mapping of a file. */
struct reference {
    const void *thread; /* NULL: not in use */
    struct file *file;
    struct description *description;
    void *address;
    int keeper; /* a descriptor of the description; -1: a mapping of its own keeps it */
};

/* What a descriptor's number stands for. */
struct slot {
    const void *thread; /* NULL: not in use */
    struct description *description;
};

static struct file files[FILES_MAX];
static struct description descriptions[DESCRIPTORS_MAX];
static struct reference references[REFERENCES_MAX];
static struct slot slots[DESCRIPTORS_MAX];
static _Atomic uint64_t signals[SHARE_SIGNALS];
static atomic_flag is_taken = ATOMIC_FLAG_INIT;
static _Thread_local char self; /* its address is the thread */

static void enter(void)
{
    while (atomic_flag_test_and_set_explicit(&is_taken, memory_order_acquire))
        sched_yield();
}

static void leave(void)
{
    atomic_flag_clear_explicit(&is_taken, memory_order_release);
}

static void stop(const char *why)
{
    fprintf(stderr, "share: %s\n", why);
    abort();
}

static struct file *file_of(int descriptor)
{
    struct stat found;
    if (fstat(descriptor, &found) < 0)
        stop("a descriptor that is not open");
    for (uint32_t i = 0; i < FILES_MAX; i++) {
        struct file *file = &files[i];
        if (file->inode == found.st_ino && file->device == found.st_dev)
            return file;
        if (file->inode == 0) {
            file->inode = found.st_ino;
            file->device = found.st_dev;
            return file;
        }
    }
    stop("more files than there is room for");
    return NULL;
}

static struct description *description_of(int descriptor)
{
    struct slot *slot = &slots[descriptor];
    if (slot->description != NULL)
        return slot->description;
    uint32_t i = 0;
    while (i < DESCRIPTORS_MAX && descriptions[i].file != NULL)
        i++;
    if (i == DESCRIPTORS_MAX)
        stop("more descriptions than there is room for");
    descriptions[i] = (struct description){.file = file_of(descriptor), .keepers = 1};
    slot->description = &descriptions[i];
    return slot->description;
}

/* Where a byte's lock stands: kinds are 65,536 apart. */
static char *lock_at(struct file *file, int64_t byte, uint32_t *out_kind, uint32_t *out_index)
{
    *out_kind = (uint32_t)(byte / LOCK_REPAIR);
    *out_index = (uint32_t)(byte % LOCK_REPAIR);
    if (*out_kind >= LOCK_KINDS || *out_index >= LOCKS_EACH)
        stop("a lock on a byte that there is no room for");
    return &file->lock[*out_kind][*out_index];
}

static void had(int descriptor, int64_t byte, uint32_t count)
{
    uint32_t kind;
    uint32_t index;
    struct description *description = description_of(descriptor);
    for (uint32_t i = 0; i < count; i++) {
        __tsan_acquire(lock_at(description->file, byte + i, &kind, &index));
        description->locks[kind] |= UINT64_C(1) << index;
    }
}

/* One of those that keep a description is going: with the last its locks go, and before that all
 * that its holder did is done. */
static void drop_description(struct description *description)
{
    if (description == NULL || --description->keepers > 0)
        return;
    for (uint32_t kind = 0; kind < LOCK_KINDS; kind++)
        for (uint64_t left = description->locks[kind]; left != 0; left &= left - 1)
            __tsan_release(&description->file->lock[kind][__builtin_ctzll(left)]);
    description->file = NULL;
}

/* ---- descriptors ---- */

static int opened(int descriptor)
{
    if (descriptor < 0)
        return descriptor;
    if (descriptor >= DESCRIPTORS_MAX)
        stop("more descriptors than there is room for");
    enter();
    slots[descriptor] = (struct slot){.thread = &self};
    leave();
    return descriptor;
}

static mode_t mode_of(int flags, va_list arguments)
{
    return flags & O_CREAT ? va_arg(arguments, mode_t) : 0;
}

int __wrap_open(const char *path, int flags, ...)
{
    va_list arguments;
    va_start(arguments, flags);
    mode_t mode = mode_of(flags, arguments);
    va_end(arguments);
    return opened(__real_open(path, flags, mode));
}

int __wrap_openat(int folder, const char *path, int flags, ...)
{
    va_list arguments;
    va_start(arguments, flags);
    mode_t mode = mode_of(flags, arguments);
    va_end(arguments);
    return opened(__real_openat(folder, path, flags, mode));
}

/* The number may be another thread's as soon as it is closed. */
static int close_now(int descriptor)
{
    if (descriptor >= 0 && descriptor < DESCRIPTORS_MAX) {
        drop_description(slots[descriptor].description);
        slots[descriptor] = (struct slot){0};
    }
    return __real_close(descriptor);
}

int __wrap_close(int descriptor)
{
    enter();
    int result = close_now(descriptor);
    leave();
    return result;
}

/* Closed with the folder, unseen. */
DIR *__wrap_fdopendir(int descriptor)
{
    enter();
    slots[descriptor] = (struct slot){0};
    leave();
    return __real_fdopendir(descriptor);
}

/* ---- locks ---- */

static int took(int result, int descriptor, int64_t byte, uint32_t count)
{
    if (result == 0)
        had(descriptor, byte, count);
    leave();
    return result;
}

int __wrap_lock_take(int descriptor, int64_t byte)
{
    enter();
    return took(__real_lock_take(descriptor, byte), descriptor, byte, 1);
}

int __wrap_lock_take_range(int descriptor, int64_t byte, uint32_t count)
{
    enter();
    return took(__real_lock_take_range(descriptor, byte, count), descriptor, byte, count);
}

int __wrap_lock_share(int descriptor, int64_t byte)
{
    enter();
    return took(__real_lock_share(descriptor, byte), descriptor, byte, 1);
}

void __wrap_lock_drop(int descriptor, int64_t byte)
{
    uint32_t kind;
    uint32_t index;
    enter();
    struct description *description = description_of(descriptor);
    __tsan_release(lock_at(description->file, byte, &kind, &index));
    description->locks[kind] &= ~(UINT64_C(1) << index);
    __real_lock_drop(descriptor, byte);
    leave();
}

static int probed(int result, int descriptor, int64_t byte, uint32_t count)
{
    uint32_t kind;
    uint32_t index;
    struct file *file = result == 0 ? file_of(descriptor) : NULL;
    for (uint32_t i = 0; file != NULL && i < count; i++)
        __tsan_acquire(lock_at(file, byte + i, &kind, &index));
    leave();
    return result;
}

int __wrap_lock_probe(int descriptor, int64_t byte)
{
    enter();
    return probed(__real_lock_probe(descriptor, byte), descriptor, byte, 1);
}

int __wrap_lock_probe_range(int descriptor, int64_t byte, uint32_t count)
{
    enter();
    return probed(__real_lock_probe_range(descriptor, byte, count), descriptor, byte, count);
}

/* ---- mappings ---- */

/* The one mapping of a file, by a description of its own that keeps nobody's lock. */
static void *map_once(struct file *file, size_t bytes, int descriptor)
{
    char path[48];
    if (file->references > 0)
        return file->address;
    snprintf(path, sizeof path, "/proc/self/fd/%d", descriptor);
    int again = __real_open(path, O_RDWR | O_CLOEXEC);
    if (again < 0)
        return MAP_FAILED;
    void *address = __real_mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, again, 0);
    __real_close(again);
    file->address = address;
    return address;
}

static void *map_file(size_t bytes, int protection, int flags, int descriptor)
{
    uint32_t i = 0;
    while (i < REFERENCES_MAX && references[i].thread != NULL)
        i++;
    if (i == REFERENCES_MAX)
        stop("more mappings than there is room for");
    struct description *description = description_of(descriptor);
    struct file *file = description->file;
    /* A mapping of one page is there to keep a lock, and nobody looks at it. */
    int is_lock = bytes == LAYOUT_PAGE;
    void *address = is_lock ? __real_mmap(NULL, bytes, protection, flags, descriptor, 0)
                            : map_once(file, bytes, descriptor);
    if (address == MAP_FAILED)
        return address;
    int keeper = is_lock ? -1 : fcntl(descriptor, F_DUPFD_CLOEXEC, 0);
    description->keepers++;
    file->references += !is_lock;
    __tsan_acquire(&file->name);
    references[i] = (struct reference){&self, file, description, address, keeper};
    return address;
}

void *__wrap_mmap(void *address, size_t bytes, int protection, int flags, int descriptor,
                  off_t offset)
{
    if (address != NULL || descriptor < 0 || !(flags & MAP_SHARED))
        return __real_mmap(address, bytes, protection, flags, descriptor, offset);
    enter();
    void *mapped = map_file(bytes, protection, flags, descriptor);
    leave();
    return mapped;
}

static int has_locks(const struct reference *reference)
{
    const uint64_t *locks = reference->description->locks;
    return (locks[0] | locks[1] | locks[2]) != 0;
}

/* Which of a thread's mappings is meant, when all of them have one address? For a look at a file
 * another is made and unmade beside the one that keeps a lock. */
static struct reference *find(const void *address)
{
    struct reference *found = NULL;
    for (uint32_t i = 0; i < REFERENCES_MAX; i++) {
        struct reference *reference = &references[i];
        if (reference->thread != &self || reference->address != address)
            continue;
        if (found == NULL || !has_locks(reference))
            found = reference;
    }
    return found;
}

static int unmap(struct reference *reference, size_t bytes)
{
    int result = 0;
    struct file *file = reference->file;
    drop_description(reference->description);
    if (reference->keeper < 0) {
        result = __real_munmap(reference->address, bytes);
    } else {
        __real_close(reference->keeper);
        if (--file->references == 0)
            result = __real_munmap(reference->address, bytes);
    }
    *reference = (struct reference){0};
    return result;
}

int __wrap_munmap(void *address, size_t bytes)
{
    enter();
    struct reference *reference = find(address);
    int result = reference != NULL ? unmap(reference, bytes) : __real_munmap(address, bytes);
    leave();
    return result;
}

int __wrap_renameat2(int from_folder, const char *from, int to_folder, const char *to,
                     unsigned int flags)
{
    enter();
    for (uint32_t i = 0; i < REFERENCES_MAX; i++)
        if (references[i].thread == &self)
            __tsan_release(&references[i].file->name);
    leave();
    return __real_renameat2(from_folder, from, to_folder, to, flags);
}

/* ---- processes ---- */

void __wrap_process_hold(void)
{
}

void __wrap_process_release(void)
{
}

void __wrap_process_add(struct process_object *object)
{
    (void)object;
}

void __wrap_process_remove(struct process_object *object)
{
    (void)object;
}

int __wrap_park_register(void)
{
    return share_signalled(SHARE_REFUSED) ? 0 : __real_park_register();
}

/* How long a file is, of which somebody else may have the last mapping. */
static size_t bytes_of(const struct reference *reference)
{
    struct stat found;
    return reference->keeper >= 0 && fstat(reference->keeper, &found) == 0 ? (size_t)found.st_size
                                                                           : LAYOUT_PAGE;
}

void share_die(void)
{
    enter();
    for (uint32_t i = 0; i < REFERENCES_MAX; i++)
        if (references[i].thread == &self)
            unmap(&references[i], bytes_of(&references[i]));
    for (int i = 0; i < DESCRIPTORS_MAX; i++)
        if (slots[i].thread == &self)
            close_now(i);
    leave();
}

uint32_t share_left(void)
{
    uint32_t left = 0;
    enter();
    for (uint32_t i = 0; i < REFERENCES_MAX; i++)
        left += references[i].thread != NULL;
    for (uint32_t i = 0; i < DESCRIPTORS_MAX; i++)
        left += slots[i].thread != NULL;
    for (uint32_t i = 0; left == 0 && i < FILES_MAX; i++)
        files[i] = (struct file){0};
    leave();
    return left;
}

void share_signal(uint32_t number, uint64_t value)
{
    atomic_store_explicit(&signals[number], value, memory_order_release);
}

uint64_t share_signalled(uint32_t number)
{
    return atomic_load_explicit(&signals[number], memory_order_acquire);
}

uint64_t share_add(uint32_t number, uint64_t value)
{
    return atomic_fetch_add_explicit(&signals[number], value, memory_order_acq_rel);
}
