/* SPDX-License-Identifier: MIT */
/*
 * Finds the peers' modules, and is each peer's runner: loads the module in the process that is to
 * use it and hands over. Peers that go through the kernel or wake a thread for each message get a
 * smaller number of messages, so that a run of theirs is as long as one of the others.
 */
#include "peer.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <mqueue.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct peer {
    const char *name;
    uint64_t fewer[PEER_PATTERNS]; /* the test's number of messages is divided by it; 0: as it is */
    int is_shared;                 /* lives in memory that the benchmark maps */
};

static const struct peer peers[PEERS] = {
    {"spsc_queue", {0}, 1},
    {"ck_ring", {0}, 1},
    {"rte_ring", {0}, 1},
    {"message_queue", {0, 20, 40, 40}, 0},
    {"iceoryx", {0, 20, 40, 40}, 0},
    {"pipe", {0, 50, 50, 4}, 0},
    {"unix_socket", {0, 50, 50, 4}, 0},
    {"posix_mq", {0, 50, 50, 50}, 0},
    {"zeromq", {0, 200, 10, 10}, 0},
    {"nng", {0, 200, 80, 80}, 0},
};

static char module_folder[400];
static struct runner runners[PEER_PATTERNS][PEERS];

/* Room for two directions, each as large as the largest of the rings needs. */
static uint64_t shared_bytes(const struct test *test)
{
    return 2 * (test->capacity * 64 + 65536);
}

static int act(struct role *role, enum peer_pattern pattern)
{
    const struct peer *peer = peers;
    char path[512];
    while (strcmp(peer->name, role->runner->name) != 0)
        peer++;
    snprintf(path, sizeof(path), "%s/%s.so", module_folder, peer->name);
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    const struct peer_module *module = library != NULL ? dlsym(library, "peer_module") : NULL;
    if (module == NULL || module->act[pattern][role->index] == NULL)
        return role_fail(role, "%.200s", dlerror());
    struct test fewer = *role->test;
    if (peer->fewer[pattern] != 0) {
        fewer.messages = fewer.messages / peer->fewer[pattern] + 1;
        fewer.warm = fewer.warm / peer->fewer[pattern] + 1;
        role->test = &fewer;
    }
    return module->act[pattern][role->index](role);
}

static int act_trip(struct role *role)
{
    return act(role, PEER_TRIP);
}

static int act_single(struct role *role)
{
    return act(role, PEER_SINGLE);
}

static int act_batch(struct role *role)
{
    return act(role, PEER_BATCH);
}

void peer_begin(void)
{
    static runner_role *const acts[PEER_PATTERNS] = {NULL, act_trip, act_single, act_batch};
    char path[512];
    ssize_t length = readlink("/proc/self/exe", module_folder, sizeof(module_folder) - 8);
    if (length <= 0)
        return;
    module_folder[length] = '\0';
    snprintf(strrchr(module_folder, '/'), sizeof("/peers"), "/peers");
    for (int i = 0; i < PEERS; i++) {
        snprintf(path, sizeof(path), "%s/%s.so", module_folder, peers[i].name);
        if (access(path, R_OK) != 0)
            continue;
        for (int pattern = PEER_TRIP; pattern < PEER_PATTERNS; pattern++)
            runners[pattern][i] = (struct runner){.name = peers[i].name,
                                                  .act = {acts[pattern], acts[pattern]},
                                                  .bytes = peers[i].is_shared ? shared_bytes : NULL,
                                                  .is_peer = 1};
    }
}

const struct runner *peer_runner(enum peer_pattern pattern, int peer)
{
    return runners[pattern][peer].name != NULL ? &runners[pattern][peer] : NULL;
}

const char *peer_name(int peer)
{
    return peers[peer].name;
}

void peer_path(const char *folder, const char *bus, char out_path[PEER_PATH_MAX])
{
    snprintf(out_path, PEER_PATH_MAX, "%.40s/%s.peer", folder, bus);
}

void peer_clean(const char *folder, char bus[ROLES][BUS_NAME_MAX])
{
    char path[PEER_PATH_MAX], name[PEER_PATH_MAX];
    for (int i = 0; i < ROLES; i++) {
        peer_path(folder, bus[i], path);
        unlink(path);
        snprintf(name, sizeof(name), "/%s", bus[i]);
        mq_unlink(name);
        shm_unlink(name);
    }
}
