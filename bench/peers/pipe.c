/* SPDX-License-Identifier: MIT */
/*
 * A pipe, by a name in the file system, since the two processes open what they use themselves.
 */
#include <fcntl.h>
#include <sys/stat.h>

#include "kernel.h"

static int end_open(struct role *role, int direction, int sends, struct end *end)
{
    char path[PEER_PATH_MAX];
    peer_path(role->folder, role->bus[direction], path);
    if (mkfifo(path, 0600) != 0 && errno != EEXIST)
        return role_fail(role, "mkfifo: %s", strerror(errno));
    end->file = open(path, (sends ? O_WRONLY : O_RDONLY) | O_CLOEXEC); /* waits for the other */
    if (end->file < 0)
        return role_fail(role, "%s: %s", path, strerror(errno));
    if (sends)
        fcntl(end->file, F_SETPIPE_SZ, 1 << 20);
    return ROLE_OK;
}

#include "loops.h"
