/* SPDX-License-Identifier: MIT */
/*
 * Removing segments: by name, and what makers that died left under temporary names.
 */
#include "error/error.h"
#include "liveness/liveness.h"
#include "segment/segment.h"
#include "wait/park.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

void segment_remove_folder(int root, const char *path)
{
    int folder = openat(root, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (folder >= 0) {
        static const char *const files[] = {"feed", "control", "owner"};
        segment_remove_located(folder);
        for (size_t i = 0; i < sizeof files / sizeof files[0]; i++)
            if (unlinkat(folder, files[i], 0) < 0 && errno == EISDIR)
                unlinkat(folder, files[i], AT_REMOVEDIR);
        close(folder);
    }
    unlinkat(root, path, AT_REMOVEDIR);
}

void segment_say_replaced(unsigned char *feed, const struct feed_header *header)
{
    struct feed_state *state = (struct feed_state *)(void *)(feed + header->state.offset);
    /* ORDER(replaced:A) pairs bus_state:B, rejoin_state:B: gone from its name before it says so */
    atomic_store_explicit(&state->bus_state, BUS_REPLACED, memory_order_release);
    if (!(header->flags & SHMBUS_BUS_NO_PARK))
        park_wake(&state->wake_consumers);
}

/* A segment is built in a folder that is named after its id. One that stands in another's had a
 * name, and was exchanged for that other by a process that died before it said so. */
static void tell_if_replaced(int folder, const char *path)
{
    struct segment found;
    struct stat stat;
    char text[SEGMENT_HEX_MAX];
    unsigned char *feed;
    const char *digits = path + strlen(SEGMENT_TEMPORARY);
    segment_begin(&found, "");
    found.folder = folder;
    int descriptor = segment_open_feed(&found, O_RDWR);
    if (descriptor < 0)
        return;
    if (fstat(descriptor, &stat) == 0 &&
        segment_read_header(descriptor, (uint64_t)stat.st_size, path, &found.header) == 0) {
        segment_hex(found.header.segment_id, text);
        if (strlen(digits) == strlen(text) && strcmp(digits, text) != 0 &&
            segment_map(descriptor, found.header.feed_bytes, PROT_READ | PROT_WRITE, 0, &feed) ==
                0) {
            segment_say_replaced(feed, &found.header);
            munmap(feed, found.header.feed_bytes);
        }
    }
    close(descriptor);
}

/* A maker holds its owner file's life byte from before the first byte of the segment is there. One
 * that has made the folder and not yet the file finds its folder gone, and takes another name; one
 * that makes the file meanwhile keeps both, since a folder without it is removed only if empty. */
static void sweep_one(int root, const char *path)
{
    int folder = openat(root, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (folder < 0)
        return;
    int owner = openat(folder, "owner", O_RDWR | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    if (owner < 0 && errno == ENOENT)
        unlinkat(root, path, AT_REMOVEDIR);
    /* A folder that was exchanged before the lock was had is another one by now. */
    else if (owner >= 0 && lock_take(owner, LOCK_LIFE) == 0 &&
             segment_leads_to(root, path, folder)) {
        tell_if_replaced(folder, path);
        segment_remove_folder(root, path);
    }
    if (owner >= 0)
        close(owner);
    close(folder);
}

void segment_sweep(int root)
{
    int again = openat(root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (again < 0)
        return;
    DIR *listing = fdopendir(again);
    if (listing == NULL) {
        close(again);
        return;
    }
    for (struct dirent *found = readdir(listing); found != NULL; found = readdir(listing)) {
        struct stat stat;
        if (strncmp(found->d_name, SEGMENT_TEMPORARY, strlen(SEGMENT_TEMPORARY)) == 0 &&
            fstatat(root, found->d_name, &stat, AT_SYMLINK_NOFOLLOW) == 0 &&
            stat.st_uid == geteuid())
            sweep_one(root, found->d_name);
    }
    closedir(listing);
}

/* Takes every producer's life byte of a bus that is to go. Returns 0 with the descriptor that has
 * it, or with -1 for a folder without an owner file, which no producer can own; or a negative
 * errno. */
static int claim_owner(int folder, const char *name, int *out_owner)
{
    int owner = openat(folder, "owner", O_RDWR | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    *out_owner = -1;
    if (owner < 0)
        return errno == ENOENT || errno == ELOOP || errno == EISDIR || errno == ENXIO
                   ? 0
                   : segment_errno(errno, name, "owner");
    int result = lock_take_range(owner, LOCK_LIFE, SHMBUS_PRODUCERS_MAX);
    if (result < 0) {
        close(owner);
        return result == -EAGAIN
                   ? error_set(-EBUSY, "%s: a living producer owns it (end that one first)", name)
                   : segment_errno(-result, name, "owner");
    }
    *out_owner = owner;
    return 0;
}

/* Takes a folder from its name: gone at once, and swept by somebody else if this process dies
 * before all of it is removed. */
static int withdraw(int root, const char *name)
{
    char path[SEGMENT_PATH_MAX];
    char away[SEGMENT_PATH_MAX];
    uint8_t id[LAYOUT_ID_BYTES];
    uint64_t number;
    int result = segment_random(id);
    if (result < 0)
        return result;
    memcpy(&number, id, sizeof number);
    snprintf(path, sizeof path, SEGMENT_PREFIX "%s", name);
    snprintf(away, sizeof away, SEGMENT_TEMPORARY "%016" PRIx64, number);
    if (renameat(root, path, root, away) < 0)
        return segment_errno(errno, name, path);
    segment_remove_folder(root, away);
    return 0;
}

static int unlink_in(int root, const char *name)
{
    char path[SEGMENT_PATH_MAX];
    int owner;
    snprintf(path, sizeof path, SEGMENT_PREFIX "%s", name);
    int folder = openat(root, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (folder < 0 && errno == ENOENT)
        return error_set(-ENOENT, "%s: no such bus", name);
    if (folder < 0 && (errno == ENOTDIR || errno == ELOOP))
        return error_set(-EBADMSG, "%s: %s is not a folder (remove it by hand)", name, path);
    if (folder < 0)
        return segment_errno(errno, name, path);
    int result = claim_owner(folder, name, &owner);
    /* Somebody else may have removed it, and the name be another bus's by now. */
    if (result == 0 && !segment_leads_to(root, path, folder))
        result = error_set(-ENOENT, "%s: no such bus: removed by somebody else", name);
    if (result == 0)
        result = withdraw(root, name);
    if (owner >= 0)
        close(owner);
    close(folder);
    return result;
}

int segment_unlink(const char *name, const char *folder)
{
    int root = segment_open_root(folder);
    if (root < 0)
        return root;
    int result = unlink_in(root, name);
    close(root);
    return result;
}
