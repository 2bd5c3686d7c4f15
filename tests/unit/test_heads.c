/* SPDX-License-Identifier: MIT */
/* A selector's heap of next messages against a plain list of them: whatever is put in, taken out
 * and renumbered, the least one comes first, and of equal ones the first member. */
#include "selector/heads.h"
#include "support/support.h"

#include <string.h>

#define STEPS 200000u

/* What the heap should have: each member's timestamp, if it has a head. */
struct list {
    uint32_t members;
    uint8_t has[SHMBUS_SELECTOR_MAX];
    int64_t timestamp_ns[SHMBUS_SELECTOR_MAX];
};

static uint32_t least_of(const struct list *list)
{
    uint32_t least = SHMBUS_SELECTOR_MAX;
    for (uint32_t i = 0; i < list->members; i++)
        if (list->has[i] &&
            (least == SHMBUS_SELECTOR_MAX || list->timestamp_ns[i] < list->timestamp_ns[least]))
            least = i;
    return least;
}

/* A member without a head goes, and those above it move down. */
static void remove_one(struct heads *heads, struct list *list, uint32_t member)
{
    for (uint32_t i = member; i + 1 < list->members; i++) {
        list->has[i] = list->has[i + 1];
        list->timestamp_ns[i] = list->timestamp_ns[i + 1];
    }
    list->has[--list->members] = 0;
    heads_renumber(heads, member);
}

static int64_t some_time(uint64_t *random)
{
    uint64_t dice = support_random(random);
    if (dice % 64 == 0)
        return dice % 128 == 0 ? INT64_MIN : INT64_MAX;
    return (int64_t)(dice % 40) - 20; /* equal ones are frequent */
}

START_TEST(the_least_comes_first)
{
    struct heads heads = {.count = 0};
    struct list list = {.members = SHMBUS_SELECTOR_MAX};
    uint64_t random = support_seed("the_least_comes_first");
    uint32_t taken = 0;
    for (uint32_t step = 0; step < STEPS; step++) {
        uint32_t member = (uint32_t)(support_below(&random, list.members));
        uint32_t least = least_of(&list);
        if (support_random(&random) % 3 == 0 && least < list.members) {
            ck_assert_uint_eq(heads_pop(&heads), least);
            list.has[least] = 0;
            taken++;
        } else if (!list.has[member]) {
            list.has[member] = 1;
            list.timestamp_ns[member] = some_time(&random);
            heads_push(&heads, list.timestamp_ns[member], member);
        }
        member = (uint32_t)(support_below(&random, list.members));
        if (step % 97 == 0 && !list.has[member] && list.members > 1)
            remove_one(&heads, &list, member);
        if (list.members == 1)
            list.members = SHMBUS_SELECTOR_MAX;
    }
    for (uint32_t least = least_of(&list); least < list.members; least = least_of(&list)) {
        ck_assert_uint_eq(heads_pop(&heads), least);
        list.has[least] = 0;
    }
    ck_assert_uint_eq(heads.count, 0);
    ck_assert_uint_gt(taken, STEPS / 10);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("unit heads");
    TCase *tcase = support_case(suite, "heads", 60);
    tcase_add_test(tcase, the_least_comes_first);
    return support_run(suite);
}
