/* SPDX-License-Identifier: MIT */
/*
 * ZeroMQ over ipc, a pair of sockets for each direction. Both sides block, and its own thread
 * shares their processor: spinning would take that away from it. It gathers small messages by
 * itself.
 */
#include <errno.h>
#include <stdio.h>
#include <zmq.h>

#include "../payload.h"
#include "../peer.h"

struct end {
    void *context;
    void *socket;
    uint64_t got; /* the first word of a message that was wrong */
};

static int end_open(struct role *role, int direction, int sends, struct end *end)
{
    char path[PEER_PATH_MAX], address[PEER_PATH_MAX + 8];
    int water = 65536, linger = 10000;
    peer_path(role->folder, role->bus[direction], path);
    snprintf(address, sizeof(address), "ipc://%s", path);
    end->context = zmq_ctx_new();
    end->socket = end->context != NULL ? zmq_socket(end->context, ZMQ_PAIR) : NULL;
    if (end->socket == NULL ||
        zmq_setsockopt(end->socket, ZMQ_SNDHWM, &water, sizeof(water)) != 0 ||
        zmq_setsockopt(end->socket, ZMQ_RCVHWM, &water, sizeof(water)) != 0 ||
        zmq_setsockopt(end->socket, ZMQ_LINGER, &linger, sizeof(linger)) != 0 ||
        (sends ? zmq_connect : zmq_bind)(end->socket, address) != 0)
        return role_fail(role, "%s: %s", address, zmq_strerror(errno));
    return ROLE_OK;
}

static inline int end_send(struct end *end, uint64_t number)
{
    uint64_t words[SMALL_WORDS];
    small_fill(words, number);
    return zmq_send(end->socket, words, SMALL_BYTES, 0) == SMALL_BYTES ? 1 : -1;
}

static inline int end_send_batch(struct end *end, uint64_t from, uint64_t count)
{
    (void)count;
    return end_send(end, from);
}

static inline int end_receive(struct end *end, uint64_t from, uint32_t most)
{
    uint64_t words[SMALL_WORDS];
    (void)most;
    if (zmq_recv(end->socket, words, SMALL_BYTES, 0) == SMALL_BYTES &&
        small_differs(words, from) == 0)
        return 1;
    end->got = words[0];
    return -1;
}

static void end_close(struct end *end)
{
    if (end->socket != NULL)
        zmq_close(end->socket);
    if (end->context != NULL)
        zmq_ctx_term(end->context);
}

#include "loops.h"
