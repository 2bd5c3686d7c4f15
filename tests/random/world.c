/* SPDX-License-Identifier: MIT */
/*
 * The bus of one round, and what all processes of the test use.
 */
#include "random.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define VIOLATIONS_SAID 10

int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * SECOND_NS + now.tv_nsec;
}

void sleep_ns(int64_t ns)
{
    struct timespec time = {.tv_sec = ns / SECOND_NS, .tv_nsec = ns % SECOND_NS};
    nanosleep(&time, NULL);
}

uint64_t random_next(uint64_t *state)
{
    uint64_t value = *state += UINT64_C(0x9e3779b97f4a7c15);
    value = (value ^ value >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    value = (value ^ value >> 27) * UINT64_C(0x94d049bb133111eb);
    return value ^ value >> 31;
}

uint64_t random_below(uint64_t *state, uint64_t limit)
{
    return random_next(state) % limit;
}

int random_chance(uint64_t *state, unsigned percent)
{
    return random_below(state, 100) < percent;
}

void violate(struct world *world, const char *format, ...)
{
    char text[600];
    va_list arguments;
    world = world->root;
    uint32_t before = atomic_fetch_add(&world->violations, 1);
    if (before >= VIOLATIONS_SAID)
        return;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (before == 0)
        memcpy(world->first_violation, text, sizeof text);
    dprintf(STDOUT_FILENO, "random: violation: process %d: %s\n", (int)getpid(), text);
}

void raise_to(_Atomic uint64_t *word, uint64_t value)
{
    uint64_t found = atomic_load(word);
    while (found < value && !atomic_compare_exchange_weak(word, &found, value))
        ;
}

void page_does(struct page *page, const char *what)
{
    atomic_store(&page->doing, what);
    atomic_fetch_add(&page->beat, 1);
}

int open_descriptors(void)
{
    int found = 0;
    DIR *folder = opendir("/proc/self/fd");
    while (folder != NULL && readdir(folder) != NULL)
        found++;
    if (folder != NULL)
        closedir(folder);
    return found;
}

int mapped_buses(void)
{
    char line[1024];
    int found = 0;
    FILE *maps = fopen("/proc/self/maps", "re");
    while (maps != NULL && fgets(line, sizeof line, maps) != NULL)
        found += strstr(line, getenv("SHMBUS_DIR")) != NULL;
    if (maps != NULL)
        fclose(maps);
    return found;
}

uint64_t mapped_inode(void)
{
    char line[1024];
    uint64_t found = 0;
    FILE *maps = fopen("/proc/self/maps", "re");
    /* By now its folder may have another name, or be gone. */
    while (found == 0 && maps != NULL && fgets(line, sizeof line, maps) != NULL)
        if (strstr(line, getenv("SHMBUS_DIR")) != NULL && strstr(line, "/feed") != NULL &&
            sscanf(line, "%*s %*s %*s %*s %" SCNu64, &found) != 1)
            found = 0;
    if (maps != NULL)
        fclose(maps);
    return found;
}

int world_may_require(const struct world *root, const char *name)
{
    const struct shmbus_bus_options *bus = &root->bus;
    if (bus->required_rule != SHMBUS_REQUIRED_NAMED)
        return bus->required_rule == SHMBUS_REQUIRED_ANYONE;
    for (uint32_t i = 0; i < bus->required_count; i++)
        if (strcmp(bus->required_names[i], name) == 0)
            return 1;
    return 0;
}

struct world *world_of_entries(struct world *root, uint32_t entries)
{
    for (uint32_t i = 0; i < root->streams; i++)
        if (root[i].bus.max_consumers == entries)
            return &root[i];
    return NULL;
}

static void choose_pool(struct world *world, uint64_t *state)
{
    static const uint64_t sizes[] = {64, 128, 320, 512, 1024, BYTES_MAX};
    struct shmbus_bus_options *bus = &world->bus;
    if (random_chance(state, 10)) {
        bus->flags |= SHMBUS_BUS_NO_POOL;
        world->bytes_most = world->inline_bytes;
        return;
    }
    bus->class_count = 1 + (uint32_t)random_below(state, 3);
    uint64_t at = random_below(state, 2);
    for (uint32_t i = 0; i < bus->class_count; i++) {
        at += i > 0 ? 1 + random_below(state, 2) : 0;
        bus->classes[i].slab_bytes = sizes[at < 6 ? at : 5];
        /* Few enough to run out of, as a rule. */
        bus->classes[i].slab_count = 2 + random_below(state, random_chance(state, 70) ? 20 : 200);
    }
    world->bytes_most = (uint32_t)bus->classes[bus->class_count - 1].slab_bytes;
    if (world->bytes_most < world->inline_bytes)
        world->bytes_most = world->inline_bytes;
}

static uint64_t choose_first(uint64_t *state)
{
    switch (random_below(state, 4)) {
    case 0:
        return 0;
    case 1:
        return (UINT64_C(1) << 56) - 1 - random_below(state, 20000); /* the wrap of the stamps */
    case 2:
        return SHMBUS_FIRST_SEQUENCE_MAX - random_below(state, 1000);
    default:
        return random_below(state, UINT64_C(1) << 40);
    }
}

/* Types and the rule who may be required are a round's: a consumer cannot tell beforehand which of
 * the buses it will get. */
static void choose_tables(struct world *root, uint64_t *state)
{
    static const char *const names[NAMES] = {"place0", "place1", "place2", "place3",
                                             "member", "other",  "a",      "b"};
    struct shmbus_bus_options *bus = &root->bus;
    uint32_t types = random_chance(state, 50) ? (uint32_t)random_below(state, TYPES + 1) : 0;
    for (uint32_t i = 0; i < types; i++) {
        snprintf(root->type_names[i], sizeof root->type_names[i], "type%" PRIu32, i + 1);
        root->types[i] =
            (struct shmbus_type){.type = (uint16_t)(i + 1),
                                 .name = root->type_names[i],
                                 .fields = random_chance(state, 50) ? "key:<u8,author:<u4" : NULL};
    }
    bus->types = types > 0 ? root->types : NULL;
    bus->type_count = types;
    bus->required_rule = random_chance(state, 60) ? (uint32_t)SHMBUS_REQUIRED_ANYONE
                                                  : 1 + (uint32_t)random_below(state, 2);
    if (bus->required_rule != SHMBUS_REQUIRED_NAMED)
        return;
    for (uint32_t i = 0; i < NAMES; i++)
        if (random_chance(state, 60))
            root->names[bus->required_count++] = names[i];
    bus->required_names = root->names;
}

/* Pages of a hugetlbfs only where whoever runs the test has made a pool and says so. */
static void choose_pages(struct world *root, uint64_t *state)
{
    const char *folder = getenv("SHMBUS_RANDOM_HUGETLB");
    struct shmbus_bus_options *bus = &root->bus;
    bus->pages = random_chance(state, 25) ? SHMBUS_PAGES_THP : SHMBUS_PAGES_BASE;
    if (folder != NULL && random_chance(state, 50)) {
        bus->pages = SHMBUS_PAGES_HUGETLB;
        bus->hugetlb_folder = folder;
    }
    bus->flags |= random_chance(state, 25) ? SHMBUS_MAP_PREFAULT : 0;
}

static void choose_geometry(struct world *world, uint64_t *state)
{
    struct shmbus_bus_options *bus = &world->bus;
    if (world->many)
        bus->max_producers = 2 + (uint32_t)random_below(state, CREW_MAX - 1);
    bus->capacity = UINT64_C(16) << (random_chance(state, 50) ? 0 : random_below(state, 4));
    if (random_chance(state, 15))
        bus->capacity = UINT64_C(1024) << random_below(state, 4);
    bus->slot_bytes = 32u << random_below(state, 3);
    bus->flags |= random_chance(state, 50) ? SHMBUS_BUS_TIMESTAMPS : 0;
    bus->flags |= random_chance(state, 30) ? SHMBUS_BUS_SCRUB : 0;
    bus->history = random_chance(state, 50) ? 0 : random_below(state, bus->capacity);
    bus->first_sequence = choose_first(state);
    world->inline_bytes = bus->slot_bytes - (bus->flags & SHMBUS_BUS_TIMESTAMPS ? 24 : 16);
    choose_pool(world, state);
    atomic_store(&world->acked, bus->first_sequence);
    atomic_store(&world->intent, bus->first_sequence);
    atomic_store(&world->seen, bus->first_sequence);
    atomic_store(&world->filler, UINT64_MAX);
}

static void choose_places(struct world *root, uint64_t *state)
{
    for (uint32_t i = 0; i < PLACES; i++) {
        struct place *place = &root->places[i];
        snprintf(place->name, sizeof place->name, "place%" PRIu32, i);
        place->grace_ns =
            i % 2 == 0 ? LONG_GRACE : (int64_t)(10 + random_below(state, 100)) * MS_NS;
        place->mask = random_chance(state, 50) ? 0xff : (uint32_t)random_below(state, 255) + 1;
        atomic_store(&place->left, 1);
    }
}

int world_is_many(uint64_t seed)
{
    seed ^= UINT64_C(0x3a17);
    return random_chance(&seed, 35);
}

static void begin_worlds(struct world *root, const char *name, uint64_t seed)
{
    for (uint32_t i = 0; i < STREAMS; i++) {
        memset(&root[i], 0, offsetof(struct world, gaps));
        memset(root[i].authors, 0, sizeof root[i].authors);
        root[i].root = root;
        root[i].number = i;
        root[i].name = name;
        root[i].many = world_is_many(seed);
        root[i].seed = i == 0 ? seed : random_next(&root[i - 1].seed) ^ seed;
    }
    root->seed = seed;
}

void world_begin(struct world *root, struct world *twin, uint64_t seed)
{
    uint64_t state = seed;
    begin_worlds(root, twin != NULL ? "random" : "twin", seed);
    struct shmbus_bus_options *bus = &root->bus;
    bus->struct_bytes = sizeof *bus;
    bus->max_consumers = 4 + (uint32_t)random_below(&state, 10);
    bus->flags = random_chance(&state, 60) ? SHMBUS_BUS_EVICT : 0;
    bus->stall_ns = (int64_t)(10 + random_below(&state, 100)) * MS_NS;
    choose_tables(root, &state);
    choose_pages(root, &state);
    choose_places(root, &state);
    /* Which feed is mapped shows by its inode, which one on hugetlbfs has elsewhere. Nobody
     * replaces a bus of many, and nobody one beside which there is another. */
    root->streams =
        bus->pages == SHMBUS_PAGES_HUGETLB || random_chance(&state, 40) || root->many || !twin
            ? 1
            : STREAMS;
    for (uint32_t i = 1; i < root->streams; i++) {
        root[i].bus = root->bus;
        root[i].bus.max_consumers += i;
        root[i].bus.flags |= SHMBUS_BUS_REPLACE;
        memcpy(root[i].places, root->places, sizeof root->places);
    }
    for (uint32_t i = 0; i < root->streams; i++)
        choose_geometry(&root[i], &state);
    if (twin != NULL && root->streams == 1 && random_chance(&state, 50)) {
        root->twin = twin;
        world_begin(twin, NULL, random_next(&state));
    }
}

static void print_one(const struct world *world, double seconds)
{
    const struct shmbus_bus_options *bus = &world->bus;
    if (world->number == 0)
        printf("random: %s --seed 0x%016" PRIx64 " --seconds %g: %" PRIu32
               " producers, stall %" PRId64 " ms, %" PRIu32 " types, rule %" PRIu32 " with %" PRIu32
               " names, pages %" PRIu32 "; capacity",
               strcmp(world->name, "twin") == 0 ? "  beside it, by" : "bus", world->seed, seconds,
               bus->max_producers > 0 ? bus->max_producers : 1, bus->stall_ns / MS_NS,
               bus->type_count, bus->required_rule, bus->required_count, bus->pages);
    else
        printf("random:   replaced by capacity");
    printf(" %" PRIu64 ", slots of %" PRIu32 ", %" PRIu32 " entries, history %" PRIu64
           ", first %" PRIu64 ", flags 0x%" PRIx32 ", slabs",
           bus->capacity, bus->slot_bytes, bus->max_consumers, bus->history, bus->first_sequence,
           bus->flags);
    for (uint32_t i = 0; i < bus->class_count; i++)
        printf(" %" PRIu64 ":%" PRIu64, bus->classes[i].slab_bytes, bus->classes[i].slab_count);
    printf("%s\n", bus->class_count == 0 ? " none" : "");
}

void world_print(const struct world *root, double seconds)
{
    for (uint32_t i = 0; i < root->streams; i++)
        print_one(&root[i], seconds);
    if (root->twin != NULL)
        print_one(root->twin, seconds);
    fflush(stdout);
}
