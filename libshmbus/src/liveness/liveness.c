/* SPDX-License-Identifier: MIT */
/*
 * Life locks and the list of objects that fork orphans.
 */
#include "liveness/liveness.h"

#include "liveness/guard.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stddef.h>

#ifdef SHMBUS_CHECK_THREADS
_Thread_local char guard_self;
#endif

static int lock_set(int descriptor, short type, int64_t byte, int64_t count)
{
    struct flock lock = {.l_type = type, .l_whence = SEEK_SET, .l_start = byte, .l_len = count};
    int saved = errno;
    int result = 0;
    if (fcntl(descriptor, F_OFD_SETLK, &lock) < 0)
        result = errno == EACCES ? -EAGAIN : -errno;
    errno = saved;
    return result;
}

int lock_take(int descriptor, int64_t byte)
{
    return lock_set(descriptor, F_WRLCK, byte, 1);
}

int lock_take_range(int descriptor, int64_t byte, uint32_t count)
{
    return lock_set(descriptor, F_WRLCK, byte, count);
}

int lock_share(int descriptor, int64_t byte)
{
    return lock_set(descriptor, F_RDLCK, byte, 1);
}

void lock_drop(int descriptor, int64_t byte)
{
    lock_set(descriptor, F_UNLCK, byte, 1);
}

int lock_probe(int descriptor, int64_t byte)
{
    return lock_probe_range(descriptor, byte, 1);
}

int lock_probe_range(int descriptor, int64_t byte, uint32_t count)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = byte, .l_len = count};
    int saved = errno;
    int result;
    if (fcntl(descriptor, F_OFD_GETLK, &lock) < 0)
        result = -errno;
    else
        result = lock.l_type != F_UNLCK;
    errno = saved;
    return result;
}

static pthread_mutex_t process_mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t process_once = PTHREAD_ONCE_INIT;
static struct process_object *process_objects;

static void before_fork(void)
{
    pthread_mutex_lock(&process_mutex);
}

static void after_fork_in_parent(void)
{
    pthread_mutex_unlock(&process_mutex);
}

static void after_fork_in_child(void)
{
    for (struct process_object *object = process_objects; object != NULL; object = object->next)
        object->orphan(object);
    process_objects = NULL;
    pthread_mutex_unlock(&process_mutex);
}

static void watch_forks(void)
{
    pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
}

void process_hold(void)
{
    pthread_once(&process_once, watch_forks);
    pthread_mutex_lock(&process_mutex);
}

void process_release(void)
{
    pthread_mutex_unlock(&process_mutex);
}

void process_add(struct process_object *object)
{
    object->previous = NULL;
    object->next = process_objects;
    if (process_objects != NULL)
        process_objects->previous = object;
    process_objects = object;
}

void process_remove(struct process_object *object)
{
    if (object->previous != NULL)
        object->previous->next = object->next;
    else if (process_objects == object)
        process_objects = object->next;
    if (object->next != NULL)
        object->next->previous = object->previous;
    object->next = NULL;
    object->previous = NULL;
}
