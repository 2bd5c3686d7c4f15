/* SPDX-License-Identifier: MIT */
/*
 * The pool against a naive model of it, at random: a slab is free if nobody owns it, no message
 * at or above the floor refers to it, and nobody holds it. After every step the lists, counts and
 * generations must be what the model says.
 */
#include "plain.h"

#define SLABS     100
#define CONSUMERS 3
#define STEPS     80000

/* What the model knows of one slab. */
struct model {
    int owned;
    int published; /* since it was acquired */
    int waits;     /* given back, and not yet seen to be free */
    int retired;   /* below the floor and not owned: its generation is odd */
    uint64_t last;
    uint32_t generation;
    uint32_t holds[CONSUMERS];
};

static struct plain plain;
static struct pool_class *in;
static struct model model[SLABS];
static uint64_t random_state;
static uint64_t next;
static uint64_t floor_now;
static uint64_t acquired;
static uint64_t released;
static uint64_t most;

static int is_held(const struct model *slab)
{
    for (int i = 0; i < CONSUMERS; i++)
        if (slab->holds[i])
            return 1;
    return 0;
}

static int is_free(const struct model *slab)
{
    return !slab->owned && !slab->waits;
}

/* A slab at random of which this is true, or -1. */
static int pick(int (*wanted)(const struct model *slab))
{
    uint32_t from = (uint32_t)support_below(&random_state, SLABS);
    for (uint32_t i = 0; i < SLABS; i++)
        if (wanted(&model[(from + i) % SLABS]))
            return (int)((from + i) % SLABS);
    return -1;
}

static int is_owned(const struct model *slab)
{
    return slab->owned;
}

static void acquire(void)
{
    if (in->free_count == 0)
        return;
    uint32_t index = pool_acquire(in);
    ck_assert_uint_lt(index, SLABS);
    ck_assert(is_free(&model[index]));
    ck_assert(!is_held(&model[index]));
    model[index].owned = 1;
    model[index].published = 0;
    model[index].retired = 0;
    acquired++;
    if (acquired - released > most)
        most = acquired - released;
}

static void publish(void)
{
    int index = pick(is_owned);
    if (index < 0)
        return;
    pool_publish(in, (uint32_t)index, next);
    model[index].published = 1;
    model[index].last = next++;
}

static void disown(void)
{
    int index = pick(is_owned);
    if (index < 0)
        return;
    pool_disown(&plain.pool, in, (uint32_t)index);
    model[index].owned = 0;
    if (model[index].published) {
        model[index].waits = 1;
    } else {
        model[index].generation += 2;
        released++;
    }
}

/* Holds begin while a message is still above the floor: those of required consumers. */
static int can_be_held(const struct model *slab)
{
    return slab->published && slab->last >= floor_now && (slab->owned || slab->waits) &&
           !slab->retired;
}

static void hold(void)
{
    int index = pick(can_be_held);
    uint32_t consumer = (uint32_t)support_below(&random_state, CONSUMERS);
    if (index < 0 || model[index].holds[consumer])
        return;
    model[index].holds[consumer] = 1;
    plain_hold(&plain, consumer, in->first_slab + (uint32_t)index, 1);
}

static void let_go(void)
{
    int index = pick(is_held);
    if (index < 0)
        return;
    for (uint32_t i = 0; i < CONSUMERS; i++)
        if (model[index].holds[i] && support_below(&random_state, 2)) {
            model[index].holds[i] = 0;
            plain_hold(&plain, i, in->first_slab + (uint32_t)index, 0);
        }
}

/* One leaves with all of its holds, and another comes. */
static void replace_consumer(void)
{
    uint32_t consumer = (uint32_t)support_below(&random_state, CONSUMERS);
    plain_leave(&plain, consumer);
    plain_join(&plain, consumer, SHMBUS_REQUIRED, next);
    for (int i = 0; i < SLABS; i++)
        model[i].holds[consumer] = 0;
}

static void reclaim(void)
{
    uint32_t freed = 0;
    floor_now += support_below(&random_state, next - floor_now + 1);
    for (int i = 0; i < SLABS; i++) {
        struct model *slab = &model[i];
        if (slab->owned || !slab->waits)
            continue;
        if (!slab->retired && slab->last < floor_now) {
            slab->retired = 1;
            slab->generation++;
        }
        if (slab->retired && !is_held(slab)) {
            slab->waits = 0;
            slab->retired = 0;
            slab->generation++;
            freed++;
        }
    }
    released += freed;
    ck_assert_uint_eq(pool_reclaim(&plain.pool, in, floor_now), freed);
}

static uint32_t walk(const struct pool_list *list, unsigned char *seen, int in_order)
{
    uint32_t count = 0;
    uint32_t previous = POOL_NONE;
    uint64_t last = 0;
    for (uint32_t i = list->first; i != POOL_NONE; i = in->slab[i].next) {
        ck_assert_uint_lt(i, SLABS);
        ck_assert_uint_eq(seen[i]++, 0);
        ck_assert_uint_eq(in->slab[i].previous, previous);
        if (in_order)
            ck_assert_uint_ge(in->slab[i].last_sequence, last);
        last = in->slab[i].last_sequence;
        previous = i;
        count++;
    }
    ck_assert_uint_eq(list->last, previous);
    ck_assert_uint_eq(list->count, count);
    return count;
}

static void compare(void)
{
    unsigned char seen[SLABS] = {0};
    uint32_t free_count = 0;
    for (uint32_t i = in->on_free; i != POOL_NONE; i = in->slab[i].next) {
        ck_assert_uint_lt(i, SLABS);
        ck_assert_uint_eq(seen[i]++, 0);
        ck_assert(is_free(&model[i]));
        free_count++;
    }
    ck_assert_uint_eq(in->free_count, free_count);
    uint32_t held = walk(&in->held, seen, 0);
    walk(&in->in_flight, seen, 1);
    uint32_t model_held = 0;
    for (uint32_t i = 0; i < SLABS; i++) {
        ck_assert_int_eq(is_free(&model[i]), !(in->slab[i].owned || model[i].waits));
        ck_assert_int_eq(in->slab[i].owned, model[i].owned);
        ck_assert_int_eq(seen[i] == 0, model[i].owned && in->slab[i].list == 0);
        ck_assert_uint_eq(pool_generation(in, i), model[i].generation);
        model_held += (uint32_t)(model[i].waits && model[i].retired);
    }
    ck_assert_uint_eq(held, model_held);
    ck_assert_uint_eq(in->acquired, acquired);
    ck_assert_uint_eq(in->released, released);
    ck_assert_uint_eq(in->high_water, most);
    ck_assert_uint_eq(GET(plain.producer->classes[1].released), released);
}

START_TEST(at_random)
{
    /* The weights change now and then, so that the pool runs both empty and full. */
    static void (*const steps[])(void) = {acquire, publish, disown,           hold,   let_go,
                                          reclaim, publish, replace_consumer, acquire};
    struct shmbus_bus_options options = {.capacity = 1024,
                                         .max_consumers = CONSUMERS,
                                         .class_count = 3,
                                         .classes = {{64, 30}, {128, SLABS}, {256, 5}}};
    random_state = support_seed("pool model");
    plain_begin(&plain, &options);
    in = &plain.pool.classes[1];
    for (uint32_t i = 0; i < CONSUMERS; i++)
        plain_join(&plain, i, SHMBUS_REQUIRED, 0);
    for (int i = 0; i < SLABS; i++)
        model[i].generation = GENERATION_FIRST;
    uint64_t favoured = 0;
    uint64_t ran_out = 0;
    for (int i = 0; i < STEPS; i++) {
        if (i % 500 == 0)
            favoured = support_below(&random_state, 9);
        uint64_t step = support_below(&random_state, 12);
        if (step == 7 && support_below(&random_state, 20) != 0)
            continue;
        steps[step < 9 ? step : favoured == 7 ? 0 : favoured]();
        ran_out += in->free_count == 0;
        if (i % 32 == 0 || i > STEPS - 100)
            compare();
    }
    ck_assert_uint_gt(ran_out, 0);
    ck_assert_uint_gt(released, SLABS * 16);
    plain_end(&plain);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("unit pool model");
    TCase *tcase = support_case(suite, "model", 60);
    tcase_add_test(tcase, at_random);
    return support_run(suite);
}
