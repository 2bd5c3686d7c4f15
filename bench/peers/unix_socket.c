/* SPDX-License-Identifier: MIT */
/*
 * A Unix socket, as a stream: the receiver listens, the sender connects.
 */
#include <sys/socket.h>
#include <sys/un.h>

#include "kernel.h"

static int accept_one(struct role *role, const struct sockaddr_un *address, struct end *end)
{
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (listener < 0 || bind(listener, (const struct sockaddr *)address, sizeof(*address)) != 0 ||
        listen(listener, 1) != 0)
        return role_fail(role, "%s: %s", address->sun_path, strerror(errno));
    end->file = accept(listener, NULL, NULL);
    close(listener);
    return end->file >= 0 ? ROLE_OK : role_fail(role, "accept: %s", strerror(errno));
}

static int end_open(struct role *role, int direction, int sends, struct end *end)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    peer_path(role->folder, role->bus[direction], address.sun_path);
    if (!sends)
        return accept_one(role, &address, end);
    int bytes = 1 << 20;
    end->file = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (end->file < 0 || setsockopt(end->file, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes)) != 0)
        return role_fail(role, "socket: %s", strerror(errno));
    for (int tries = 0; tries < 10000; tries++) { /* until the other one listens */
        if (connect(end->file, (const struct sockaddr *)&address, sizeof(address)) == 0)
            return ROLE_OK;
        usleep(1000);
    }
    return role_fail(role, "%s: %s", address.sun_path, strerror(errno));
}

#include "loops.h"
