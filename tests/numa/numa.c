/* SPDX-License-Identifier: MIT */
/*
 * Buses on a machine of several NUMA nodes: where the kernel says that the pages of each region
 * are, whoever touches them first, and what is said where a node cannot give them. For a machine of
 * its own (README.md): it fills nodes and sets the pools of huge pages.
 */
#include "machine.h"
#include "support/support.h"

#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define PAGE      UINT64_C(4096)
#define HUGE_PAGE (UINT64_C(2) << 20)
#define MEBIBYTE  (UINT64_C(1) << 20)

static const struct shmbus_type type = {
    .type = 1, .bytes = 8, .name = "tick", .fields = "price:<i8"};
static const char *const names[] = {"strategy"};

/* A bus that has every region. */
static struct shmbus_bus_options wish(uint32_t numa, int node)
{
    struct shmbus_bus_options options = {
        .struct_bytes = sizeof options,
        .capacity = 4096,
        .class_count = 2,
        .classes = {{1024, 512}, {65536, 8}},
        .types = &type,
        .type_count = 1,
        .required_rule = SHMBUS_REQUIRED_NAMED,
        .required_names = names,
        .required_count = 1,
        .max_producers = 2,
        .numa = numa,
        .numa_node = (uint32_t)node,
    };
    return options;
}

#define assert_ok(expression)                                                                      \
    do {                                                                                           \
        int ok_result = (expression);                                                              \
        ck_assert_msg(ok_result == 0, "%s: %d, %s", #expression, ok_result, shmbus_error_text());  \
    } while (0)

#define assert_says(what)                                                                          \
    ck_assert_msg(support_says(what), "\"%s\" is not in \"%s\"", (what), shmbus_error_text())

static void assert_all_on(const char *what, const uint64_t pages[NODES_MAX], int node)
{
    for (int i = 0; i < NODES_MAX; i++)
        ck_assert_msg((pages[i] > 0) == (i == node),
                      "%s: node %d has %" PRIu64 " pages, all were to be on node %d", what, i,
                      pages[i], node);
}

/* Every region, and every page of both files, is on this node; as the kernel and the library say.
 */
static void assert_bus_on(struct shmbus_producer *producer, int node)
{
    struct machine_file feed = machine_map("bus", "feed");
    struct machine_file control = machine_map("bus", "control");
    struct feed_header header;
    uint64_t pages[NODES_MAX];
    memcpy(&header, feed.address, sizeof header);
    const struct {
        const char *name;
        struct layout_region region;
    } regions[] = {
        {"header", {0, sizeof header}},
        {"state", header.state},
        {"producers", header.producers},
        {"verdicts", header.verdicts},
        {"types", header.types},
        {"names", header.names},
        {"generations", header.generations},
        {"ring", header.ring},
        {"slabs", header.slabs},
        {"feed", {0, header.feed_bytes}},
    };
    for (size_t i = 0; i < sizeof regions / sizeof regions[0]; i++) {
        ck_assert_uint_gt(regions[i].region.length, 0);
        machine_ask(&feed, regions[i].region.offset, regions[i].region.length, pages);
        assert_all_on(regions[i].name, pages, node);
    }
    machine_ask(&control, 0, header.control_bytes, pages);
    assert_all_on("control", pages, node);
    if (producer != NULL) {
        struct shmbus_placement placement;
        assert_ok(shmbus_producer_placement(producer, &placement));
        ck_assert_uint_eq(placement.numa_known, 1);
        ck_assert_uint_eq(placement.pages_elsewhere, 0);
        ck_assert_uint_eq(placement.node_count, node + 1);
        ck_assert_uint_eq(placement.pages_by_node[node],
                          (header.feed_bytes + header.control_bytes) / PAGE);
    }
    machine_unmap(&feed);
    machine_unmap(&control);
}

START_TEST(every_region_is_on_the_asked_node)
{
    for (int here = 0; here < machine_nodes(); here++)
        for (int node = 0; node < machine_nodes(); node++) {
            struct shmbus_bus_options options = wish(SHMBUS_NUMA_NODE, node);
            machine_run_on(here);
            struct shmbus_producer *producer = support_create("bus", &options, NULL);
            assert_bus_on(producer, node);
            shmbus_producer_close(producer);
        }
}
END_TEST

START_TEST(the_callers_node)
{
    for (int here = 0; here < machine_nodes(); here++) {
        struct shmbus_bus_options options = wish(SHMBUS_NUMA_LOCAL, 0);
        machine_run_on(here);
        struct shmbus_producer *producer = support_create("bus", &options, NULL);
        assert_bus_on(producer, here);
        shmbus_producer_close(producer);
    }
}
END_TEST

/* Reads the whole bus, and writes what a consumer writes, on the node that it is told. */
static void touch_all(int line, void *context)
{
    struct shmbus_consumer_options options = {.struct_bytes = sizeof options,
                                              .name = names[0],
                                              .kind = SHMBUS_REQUIRED,
                                              .flags = SHMBUS_MAP_PREFAULT};
    struct shmbus_producer *producer;
    struct shmbus_consumer *consumer;
    (void)context;
    machine_run_on((int)child_hear(line));
    assert_ok(shmbus_consumer_open("bus", &options, &consumer));
    child_tell(line, 1);
    child_hear(line);
    assert_ok(shmbus_producer_open("bus", NULL, NULL, 0, &producer));
    for (uint64_t i = 0; i < 5000; i++) {
        struct shmbus_message message;
        int64_t price = (int64_t)i;
        assert_ok(shmbus_producer_publish(producer, 1, 0, &price, sizeof price));
        ck_assert_int_eq(shmbus_consumer_next(consumer, &message), 1);
    }
    shmbus_producer_close(producer);
    shmbus_consumer_close(consumer);
    child_tell(line, 2);
    child_hear(line);
}

/* Whoever else comes, a consumer or the next producer, finds every page in its place. */
static void touched_by_another(const struct shmbus_bus_options *options, int here, int there,
                               int node)
{
    struct child child = child_start(touch_all, NULL);
    machine_run_on(here);
    struct shmbus_producer *producer = support_create("bus", options, NULL);
    child_tell(child.line, (uint64_t)there);
    ck_assert_uint_eq(child_hear(child.line), 1);
    assert_bus_on(producer, node);
    shmbus_producer_close(producer);
    child_tell(child.line, 1);
    ck_assert_uint_eq(child_hear(child.line), 2);
    assert_bus_on(NULL, node);
    child_tell(child.line, 2);
    child_end(&child);
    assert_ok(shmbus_unlink("bus", NULL));
}

START_TEST(another_node_touches_first)
{
    for (int here = 0; here < machine_nodes(); here++) {
        int there = (here + 1) % machine_nodes();
        for (int node = 0; node < machine_nodes(); node++) {
            struct shmbus_bus_options options = wish(SHMBUS_NUMA_NODE, node);
            touched_by_another(&options, here, there, node);
        }
        /* Without a word on placement the kernel puts a page where it is touched first: the creator
         * does that, so that it does not depend on who comes when. Later the kernel may move pages
         * to those that use them: init has turned that off. */
        struct shmbus_bus_options options = wish(SHMBUS_NUMA_NONE, 0);
        touched_by_another(&options, here, there, here);
    }
}
END_TEST

START_TEST(interleaved)
{
    struct shmbus_bus_options options = wish(SHMBUS_NUMA_INTERLEAVE, 0);
    struct shmbus_placement placement;
    uint64_t nodes = (uint64_t)machine_nodes();
    machine_run_on(0);
    struct shmbus_producer *producer = support_create("bus", &options, NULL);
    struct machine_file files[] = {machine_map("bus", "feed"), machine_map("bus", "control")};
    uint64_t sums[NODES_MAX] = {0};
    for (size_t i = 0; i < 2; i++) {
        uint64_t pages[NODES_MAX];
        uint64_t all = files[i].bytes / PAGE;
        machine_ask(&files[i], 0, files[i].bytes, pages);
        for (uint64_t node = 0; node < nodes; node++) {
            /* Page by page, in turns. */
            ck_assert_msg(pages[node] >= all / nodes && pages[node] <= all / nodes + 1,
                          "file %zu: node %" PRIu64 " has %" PRIu64 " of %" PRIu64 " pages", i,
                          node, pages[node], all);
            sums[node] += pages[node];
        }
        machine_unmap(&files[i]);
    }
    assert_ok(shmbus_producer_placement(producer, &placement));
    ck_assert_uint_eq(placement.node_count, nodes);
    ck_assert_uint_eq(placement.pages_elsewhere, 0);
    for (uint64_t node = 0; node < nodes; node++)
        ck_assert_uint_eq(placement.pages_by_node[node], sums[node]);
    shmbus_producer_close(producer);
}
END_TEST

START_TEST(absent_nodes)
{
    const int absent[] = {machine_nodes(), 31, 63, 64, 4000};
    char there[64] = "this machine has";
    for (int node = 0; node < machine_nodes(); node++)
        snprintf(there + strlen(there), sizeof there - strlen(there), " %d", node);
    for (size_t i = 0; i < sizeof absent / sizeof absent[0]; i++) {
        struct shmbus_bus_options options = wish(SHMBUS_NUMA_NODE, absent[i]);
        struct shmbus_producer *producer;
        char text[64];
        snprintf(text, sizeof text, "node %d is not there", absent[i]);
        shmbus_unlink("bus", NULL);
        ck_assert_int_eq(shmbus_producer_create("bus", &options, NULL, &producer), -ENXIO);
        assert_says(text);
        assert_says(there);
    }
}
END_TEST

/* Creates a bus with so much in slabs, as one that the kernel kills rather than anybody else. */
struct filling {
    int node;
    uint64_t bytes;
};

/* What libcheck says of an assertion that fails in a child, nobody hears. */
#define child_fails(...)                                                                           \
    do {                                                                                           \
        printf(__VA_ARGS__);                                                                       \
        printf("\n");                                                                              \
        exit(EXIT_FAILURE);                                                                        \
    } while (0)

static void fill(int line, void *context)
{
    const struct filling *filling = context;
    struct shmbus_bus_options options = wish(SHMBUS_NUMA_NODE, filling->node);
    struct shmbus_producer *producer;
    FILE *file = fopen("/proc/self/oom_score_adj", "we");
    ck_assert_ptr_nonnull(file);
    fputs("1000", file);
    ck_assert_int_eq(fclose(file), 0);
    options.max_producers = 1;
    options.class_count = 1;
    options.classes[0] = (struct shmbus_pool_class){65536, filling->bytes / 65536};
    child_tell(line, 1);
    int result = shmbus_producer_create("bus", &options, NULL, &producer);
    child_tell(line, result == 0 ? 0 : (uint64_t)-result);
    if (result != 0) {
        char text[64];
        snprintf(text, sizeof text, "NUMA node %d has ", filling->node);
        if (result != -ENOMEM || !support_says(text) || !support_says("are needed"))
            child_fails("%d, %s", result, shmbus_error_text());
        return;
    }
    assert_bus_on(producer, filling->node);
    child_hear(line);
    shmbus_producer_close(producer);
    assert_ok(shmbus_unlink("bus", NULL));
}

/* Tries that size of a bus; 1 if it was made, 0 if it was refused. Being killed fails the test. */
static int try_filling(int node, uint64_t bytes)
{
    struct filling filling = {node, bytes};
    uint64_t word = 0;
    struct child child = child_start(fill, &filling);
    ck_assert_uint_eq(child_hear(child.line), 1);
    ssize_t got = recv(child.line, &word, sizeof word, MSG_WAITALL);
    ck_assert_msg(got == (ssize_t)sizeof word,
                  "the creator of a bus of %" PRIu64 " bytes on node %d with %" PRIu64
                  " free was killed",
                  bytes, node, machine_free(node));
    if (word == 0)
        child_tell(child.line, 1);
    child_end(&child);
    return word == 0;
}

/* A node that cannot give what is asked is an error, never the kernel's killer; right up to what it
 * can give. What was refused leaves nothing behind, and another node is not asked to help. */
START_TEST(a_full_node)
{
    int node = machine_nodes() - 1;
    machine_run_on(0);
    uint64_t room = machine_free(node);
    ck_assert_int_eq(try_filling(node, room + 64 * MEBIBYTE), 0);
    uint64_t step = MEBIBYTE;
    uint64_t made = 0;
    for (uint64_t less = 0; less < room / 2 && made == 0; less += step)
        if (try_filling(node, room - less))
            made = room - less;
    /* Not refused much too early. */
    ck_assert_msg(made >= room - room / 4, "%" PRIu64 " of %" PRIu64 " free bytes were given", made,
                  room);
    printf("node %d: of %" PRIu64 " KiB free a bus of %" PRIu64 " KiB was made\n", node,
           room / 1024, made / 1024);
    ck_assert_int_eq(try_filling(0, 4 * MEBIBYTE), 1);
}
END_TEST

/* ---- huge pages ---- */

static void set_pools(uint64_t count)
{
    for (int node = 0; node < machine_nodes(); node++)
        machine_set_pool(node, count);
}

START_TEST(huge_pages_of_the_asked_node)
{
    set_pools(4);
    for (int node = 0; node < machine_nodes(); node++) {
        struct shmbus_bus_options options = wish(SHMBUS_NUMA_NODE, node);
        struct shmbus_placement placement;
        options.pages = SHMBUS_PAGES_HUGETLB;
        machine_run_on((node + 1) % machine_nodes());
        struct shmbus_producer *producer = support_create("bus", &options, NULL);
        assert_bus_on(producer, node);
        assert_ok(shmbus_producer_placement(producer, &placement));
        ck_assert_uint_eq(placement.page_bytes, HUGE_PAGE);
        for (int i = 0; i < machine_nodes(); i++)
            ck_assert_uint_eq(machine_pool_free(i),
                              i == node ? 4 - placement.huge_bytes / HUGE_PAGE : 4);
        shmbus_producer_close(producer);
        assert_ok(shmbus_unlink("bus", NULL));
        ck_assert_uint_eq(machine_pool_free(node), 4);
    }
}
END_TEST

/* The pool of the asked node is short, those of the others are not: the error speaks of that one.
 */
START_TEST(a_short_pool_of_one_node)
{
    machine_run_on(0);
    for (uint64_t left = 0; left < 2; left++)
        for (int node = 0; node < machine_nodes(); node++) {
            struct shmbus_bus_options options = wish(SHMBUS_NUMA_NODE, node);
            struct shmbus_producer *producer;
            char text[64];
            options.pages = SHMBUS_PAGES_HUGETLB;
            set_pools(8);
            machine_set_pool(node, left);
            ck_assert_int_eq(shmbus_producer_create("bus", &options, NULL, &producer), -ENOMEM);
            snprintf(text, sizeof text, "NUMA node %d has %" PRIu64 " free", node, left);
            assert_says(text);
            for (int i = 0; i < machine_nodes(); i++)
                ck_assert_uint_eq(machine_pool_free(i), i == node ? left : 8);
            options.numa = SHMBUS_NUMA_LOCAL;
            machine_run_on(node);
            ck_assert_int_eq(shmbus_producer_create("bus", &options, NULL, &producer), -ENOMEM);
            assert_says(text);
        }
    set_pools(4);
}
END_TEST

START_TEST(huge_pages_interleaved)
{
    struct shmbus_bus_options options = wish(SHMBUS_NUMA_INTERLEAVE, 0);
    uint64_t nodes = (uint64_t)machine_nodes();
    uint64_t pages[NODES_MAX];
    options.pages = SHMBUS_PAGES_HUGETLB;
    options.capacity = nodes * 32768;
    set_pools(4);
    struct shmbus_producer *producer = support_create("bus", &options, NULL);
    struct machine_file feed = machine_map("bus", "feed");
    uint64_t all = feed.bytes / HUGE_PAGE;
    machine_ask(&feed, 0, feed.bytes, pages);
    for (uint64_t node = 0; node < nodes; node++) {
        ck_assert_uint_ge(pages[node] * PAGE / HUGE_PAGE, all / nodes);
        ck_assert_uint_le(pages[node] * PAGE / HUGE_PAGE, all / nodes + 1);
    }
    machine_unmap(&feed);
    shmbus_producer_close(producer);
    assert_ok(shmbus_unlink("bus", NULL));
}
END_TEST

/* On a tmpfs that gives huge pages to those that ask. */
START_TEST(transparent_huge_pages)
{
    ck_assert_int_eq(setenv("SHMBUS_DIR", "/huge", 1), 0);
    for (int node = 0; node < machine_nodes(); node++) {
        struct shmbus_bus_options options = wish(SHMBUS_NUMA_NODE, node);
        struct shmbus_placement placement;
        options.pages = SHMBUS_PAGES_THP;
        options.capacity = 131072;
        machine_run_on((node + 1) % machine_nodes());
        struct shmbus_producer *producer = support_create("bus", &options, NULL);
        assert_bus_on(producer, node);
        assert_ok(shmbus_producer_placement(producer, &placement));
        ck_assert_uint_eq(placement.page_bytes, HUGE_PAGE);
        ck_assert_uint_ge(placement.huge_bytes, 4 * HUGE_PAGE);
        shmbus_producer_close(producer);
        assert_ok(shmbus_unlink("bus", NULL));
    }
}
END_TEST

/* A thread that asks for the CPUs of the bus's node gets those. */
START_TEST(the_cpus_of_the_bus)
{
    for (int node = 0; node < machine_nodes(); node++) {
        struct shmbus_bus_options options = wish(SHMBUS_NUMA_NODE, node);
        struct shmbus_settle_options settle = {.struct_bytes = sizeof settle,
                                               .cpus = SHMBUS_CPUS_BUS};
        struct shmbus_settled settled;
        machine_run_on((node + 1) % machine_nodes());
        struct shmbus_producer *producer = support_create("bus", &options, NULL);
        assert_ok(shmbus_producer_settle(producer, &settle, &settled));
        ck_assert_int_eq(settled.bus_node, node);
        ck_assert_int_eq(settled.node, node);
        ck_assert_int_eq(machine_here(), node);
        shmbus_producer_close(producer);
    }
}
END_TEST

/* The last node has CPUs only: it is not to be had, and a thread there is given the nearest memory.
 */
START_TEST(a_node_without_memory)
{
    const int bare = machine_nodes() - 1;
    struct shmbus_bus_options options = wish(SHMBUS_NUMA_NODE, bare);
    struct shmbus_producer *producer;
    uint64_t pages[NODES_MAX];
    machine_run_on(bare);
    ck_assert_int_eq(machine_here(), bare);
    ck_assert_int_eq(shmbus_producer_create("bus", &options, NULL, &producer), -ENXIO);
    assert_says("has no memory (nodes that have: 0 1)");
    options.numa = SHMBUS_NUMA_LOCAL;
    producer = support_create("bus", &options, NULL);
    assert_bus_on(producer, bare - 1);
    shmbus_producer_close(producer);
    options.numa = SHMBUS_NUMA_INTERLEAVE;
    producer = support_create("bus", &options, NULL);
    struct machine_file feed = machine_map("bus", "feed");
    machine_ask(&feed, 0, feed.bytes, pages);
    for (int node = 0; node < bare; node++)
        ck_assert_uint_ge(pages[node], feed.bytes / PAGE / (uint64_t)bare);
    machine_unmap(&feed);
    shmbus_producer_close(producer);
}
END_TEST

int main(void)
{
    const TTest *const bare[] = {a_node_without_memory};
    const TTest *const whole[] = {
        every_region_is_on_the_asked_node,
        the_callers_node,
        another_node_touches_first,
        interleaved,
        absent_nodes,
        a_full_node,
        huge_pages_of_the_asked_node,
        a_short_pool_of_one_node,
        huge_pages_interleaved,
        transparent_huge_pages,
        the_cpus_of_the_bus,
    };
    if (machine_nodes() < 2) {
        printf("SKIP numa: this machine has one NUMA node\n");
        return 77;
    }
    const int is_bare = !machine_has_memory(machine_nodes() - 1);
    const TTest *const *tests = is_bare ? bare : whole;
    const size_t count = is_bare ? sizeof bare / sizeof bare[0] : sizeof whole / sizeof whole[0];
    Suite *suite = suite_create("numa");
    /* A case each: CK_RUN_CASE runs one of them by itself. */
    for (size_t i = 0; i < count; i++)
        tcase_add_test(support_case(suite, tests[i]->name, 240), tests[i]);
    return support_run(suite);
}
