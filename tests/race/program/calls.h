/* SPDX-License-Identifier: MIT */
/* The calls that share.c catches, and the detector's own. The linker gives the library __wrap_X()
 * for X(), and __real_X() is X(). */
#ifndef SHMBUS_RACE_CALLS_H
#define SHMBUS_RACE_CALLS_H

#include "liveness/liveness.h"

#include <dirent.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

void __tsan_acquire(void *address);
void __tsan_release(void *address);

int __real_open(const char *path, int flags, ...);
int __real_openat(int folder, const char *path, int flags, ...);
int __real_close(int descriptor);
DIR *__real_fdopendir(int descriptor);
void *__real_mmap(void *address, size_t bytes, int protection, int flags, int descriptor,
                  off_t offset);
int __real_munmap(void *address, size_t bytes);
int __real_renameat2(int from_folder, const char *from, int to_folder, const char *to,
                     unsigned int flags);
int __real_lock_take(int descriptor, int64_t byte);
int __real_lock_take_range(int descriptor, int64_t byte, uint32_t count);
int __real_lock_share(int descriptor, int64_t byte);
void __real_lock_drop(int descriptor, int64_t byte);
int __real_lock_probe(int descriptor, int64_t byte);
int __real_lock_probe_range(int descriptor, int64_t byte, uint32_t count);

int __wrap_open(const char *path, int flags, ...);
int __wrap_openat(int folder, const char *path, int flags, ...);
int __wrap_close(int descriptor);
DIR *__wrap_fdopendir(int descriptor);
void *__wrap_mmap(void *address, size_t bytes, int protection, int flags, int descriptor,
                  off_t offset);
int __wrap_munmap(void *address, size_t bytes);
int __wrap_renameat2(int from_folder, const char *from, int to_folder, const char *to,
                     unsigned int flags);
int __wrap_lock_take(int descriptor, int64_t byte);
int __wrap_lock_take_range(int descriptor, int64_t byte, uint32_t count);
int __wrap_lock_share(int descriptor, int64_t byte);
void __wrap_lock_drop(int descriptor, int64_t byte);
int __wrap_lock_probe(int descriptor, int64_t byte);
int __wrap_lock_probe_range(int descriptor, int64_t byte, uint32_t count);
int __real_park_register(void);
int __wrap_park_register(void);
void __wrap_process_hold(void);
void __wrap_process_release(void);
void __wrap_process_add(struct process_object *object);
void __wrap_process_remove(struct process_object *object);

#endif
