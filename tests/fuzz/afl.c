/* SPDX-License-Identifier: MIT */
/* The mutator as AFL++ asks for it, as a library of its own beside the target. */
#include "mutate.h"

#include <stdlib.h>
#include <string.h>

#define ROOM (1u << 20)

void *afl_custom_init(void *afl, unsigned int seed);
size_t afl_custom_fuzz(void *data, uint8_t *input, size_t size, uint8_t **out_input, uint8_t *other,
                       size_t other_size, size_t room);
void afl_custom_deinit(void *data);

struct custom {
    uint64_t seed;
    uint8_t input[ROOM];
};

static uint64_t random_state;

void *afl_custom_init(void *afl, unsigned int seed)
{
    (void)afl;
    struct custom *custom = calloc(1, sizeof *custom);
    if (custom != NULL)
        custom->seed = seed;
    return custom;
}

/* One byte becomes another: AFL++ has its own ways beside this one. */
static size_t change_byte(uint8_t *bytes, size_t size, size_t room)
{
    (void)room;
    random_state = random_state * UINT64_C(6364136223846793005) + 1442695040888963407;
    if (size > 0)
        bytes[(random_state >> 33) % size] ^= (uint8_t)(1u << (random_state >> 61));
    return size;
}

size_t afl_custom_fuzz(void *data, uint8_t *input, size_t size, uint8_t **out_input, uint8_t *other,
                       size_t other_size, size_t room)
{
    struct custom *custom = data;
    (void)other;
    (void)other_size;
    if (room > ROOM)
        room = ROOM;
    if (size > room)
        size = room;
    memcpy(custom->input, input, size);
    *out_input = custom->input;
    return mutate_input(custom->input, size, room, custom->seed++ * UINT64_C(0x9e3779b97f4a7c15),
                        change_byte);
}

void afl_custom_deinit(void *data)
{
    free(data);
}
