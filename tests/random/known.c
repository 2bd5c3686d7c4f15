/* SPDX-License-Identifier: MIT */
/*
 * What the sequences of a bus of many producers turned out to be, as far as it is remembered:
 * somebody's message, or aborted. The first one to know writes it down, be it a consumer or the
 * author itself, and all others have to agree.
 *
 * A word: 12 bits of how often the table was gone round, 12 of the author, 40 of its number. An
 * author of 0 with a number of 1 stands for aborted.
 */
#include "random.h"

#define ROUND_SHIFT 52
#define KEY_MASK    ((UINT64_C(1) << ROUND_SHIFT) - 1)
#define ABORTED     UINT64_C(1)

static uint64_t round_of(uint64_t sequence)
{
    return sequence / AUTHORS << ROUND_SHIFT;
}

static uint64_t key_of(uint64_t word)
{
    return (word & KEY_MASK) == ABORTED ? KNOWN_ABORTED : word & KEY_MASK;
}

uint64_t known_tell(struct world *world, uint64_t sequence, uint64_t key)
{
    _Atomic uint64_t *word = &world->authors[sequence % AUTHORS];
    uint64_t mine = round_of(sequence) | (key == KNOWN_ABORTED ? ABORTED : key);
    uint64_t found = atomic_load(word);
    /* Ends: another round is written over once, unless somebody else writes, too. */
    while ((found & ~KEY_MASK) != round_of(sequence) || (found & KEY_MASK) == 0)
        if (atomic_compare_exchange_weak(word, &found, mine))
            return 0;
    return found == mine ? 0 : key_of(found);
}

uint64_t known_find(struct world *world, uint64_t sequence)
{
    uint64_t found = atomic_load(&world->authors[sequence % AUTHORS]);
    return (found & ~KEY_MASK) == round_of(sequence) ? key_of(found) : 0;
}
