/* SPDX-License-Identifier: MIT */
/*
 * The texts of errors: one a code, and one a thread for what exactly was wrong.
 */
#include "error/error.h"

#include "shmbus/shmbus.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#define ERROR_TEXT_BYTES 512

static _Thread_local const char *error_now = "";
static _Thread_local char error_buffer[ERROR_TEXT_BYTES];

int error_set(int code, const char *format, ...)
{
    int saved = errno;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(error_buffer, sizeof error_buffer, format, arguments);
    va_end(arguments);
    error_now = error_buffer;
    errno = saved;
    return code;
}

int error_constant(int code, const char *text)
{
    error_now = text;
    return code;
}

const char *shmbus_error_text(void)
{
    return error_now;
}

static const struct {
    int code;
    const char *text;
} error_names[] = {
    {0, "no error"},
    {E2BIG, "options of a newer library"},
    {EACCES, "not permitted by the bus's mode"},
    {EAGAIN, "the ring is full"},
    {EBADMSG, "the bus's files are damaged"},
    {EBUSY, "in use: a living producer, an open claim or another thread"},
    {ECHILD, "opened by another process: open it again after fork"},
    {EDQUOT, "the quota of held messages is used up"},
    {EEXIST, "there is a bus of that name with another geometry"},
    {EINVAL, "an argument is out of range"},
    {EIO, "the file system failed"},
    {ELOOP, "a consumer would run after itself"},
    {EMFILE, "this process has no descriptor left"},
    {EMSGSIZE, "longer than the largest slab"},
    {ENFILE, "this machine has no descriptor left"},
    {ENOBUFS, "no slab is left in the pool"},
    {ENOENT, "no such bus"},
    {ENOMEM, "no memory left"},
    {ENOSPC, "no room left"},
    {ENOTDIR, "not a folder"},
    {ENOTSUP, "not supported here"},
    {ENXIO, "no such NUMA node or CPU"},
    {EOWNERDEAD, "the producer died"},
    {EPERM, "not permitted"},
    {EPIPE, "the stream has ended"},
    {EPROTO, "not a bus of this byte order"},
    {EPROTOTYPE, "another layout of a type is expected"},
    {EPROTONOSUPPORT, "a layout or feature that this library does not know"},
    {ERANGE, "that sequence is not on the bus"},
    {ESTALE, "stale: evicted, released before, or of a bus that is gone"},
    {ETIMEDOUT, "the time was over"},
    {EUSERS, "every consumer's entry is taken"},
};

const char *shmbus_strerror(int error)
{
    unsigned wanted = error < 0 ? 0u - (unsigned)error : (unsigned)error;
    for (size_t i = 0; i < sizeof error_names / sizeof error_names[0]; i++)
        if ((unsigned)error_names[i].code == wanted)
            return error_names[i].text;
    return "unknown error";
}

const char *shmbus_version(void)
{
    return SHMBUS_VERSION_TEXT;
}
