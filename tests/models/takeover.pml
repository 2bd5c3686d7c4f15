/* SPDX-License-Identifier: MIT */
/*
 * A producer publishes batches and dies at any step; the next one has its lock then, takes over, and
 * may die at any step of that, too. A required consumer stays attached all the time.
 *
 * Safety: each sequence becomes visible once, and what the consumer reads there is what was made
 * visible, until its cursor is past it. Liveness: if the last one lives, all is published and read.
 *
 * Mutants: NO_VOID, TRUST_HINT, FLOOR_AS_IT_WAS, HINT_AS_IT_WAS,
 * FLOOR_AFTER_LOOK, NEVER_LOOKS_AGAIN.
 */
#ifdef LONG
#define CAPACITY 4
#define MESSAGES 5
#else
#define CAPACITY 2
#define MESSAGES 3
#endif
#define BATCH     2 /* at most */
#define PRODUCERS 3 /* one after the other; all but the last may die */

#define SLOT(s)      ((s) % CAPACITY)
#define PUBLISHED(s) (2 * ((s) + 1) + 1)
#define WRITING(s)   (2 * ((s) + 1))

byte stamp[CAPACITY];
byte payload[CAPACITY]; /* who wrote it */
byte visible[MESSAGES];
byte hint, floor, cursor;
byte owner;             /* who has the lock on publishing; 0: nobody */

/* One step of a producer's, or its death in front of it. */
#define STEP(what)                                                                                 \
    if                                                                                             \
    :: what                                                                                        \
    :: number < PRODUCERS -> goto dead                                                             \
    fi

proctype producer(byte number)
{
    byte next, low, wanted, i, slowest, count;

    atomic { owner == 0 -> owner = number }

    /* Takeover: the true end, then nothing beyond it, then the floor. */
    STEP(next = hint);
#ifndef TRUST_HINT
    i = 0;
    do
    :: i < CAPACITY && stamp[SLOT(next)] == PUBLISHED(next) -> next++; i++
    :: else -> break
    od;
#endif
#ifndef NO_VOID
    i = 0;
    do
    :: i < CAPACITY ->
        STEP(d_step {
            if
            :: stamp[SLOT(next + i)] >= WRITING(next) -> stamp[SLOT(next + i)] = 0
            :: else -> skip
            fi
        });
        i++
    :: else -> break
    od;
#endif
    STEP(low = floor);
#ifndef FLOOR_AS_IT_WAS
    if
    :: cursor < low -> low = cursor
    :: else -> skip
    fi;
#endif
    STEP(floor = low);
#ifndef HINT_AS_IT_WAS
    /* Nothing from the hint on is written over: the one after this begins there. */
    STEP(hint = next);
#endif

    do
    :: next < MESSAGES ->
        if
        :: count = 1
        :: next + BATCH <= MESSAGES -> count = BATCH
        fi;
        /* Room for a batch: the floor that is wanted, then the scan, then what that allows. */
        do
        :: next + count <= low + CAPACITY -> break
        :: else ->
            wanted = next + count - CAPACITY;
            STEP(floor = wanted);
            STEP(slowest = cursor);
#ifdef NEVER_LOOKS_AGAIN
            if
            :: slowest < wanted -> goto stuck
            :: else -> skip
            fi;
#endif
#ifdef FLOOR_AFTER_LOOK
            low = wanted;
#else
            if
            :: slowest < wanted && slowest > low -> low = slowest
            :: slowest >= wanted -> low = wanted
            :: else -> skip
            fi;
#endif
            STEP(floor = low)
        od;
        i = 0;
        do
        :: i < count ->
            STEP(stamp[SLOT(next + i)] = WRITING(next + i));
            STEP(payload[SLOT(next + i)] = number);
            i++
        :: else -> break
        od;
        i = count - 1;
        do
        :: i > 0 -> STEP(stamp[SLOT(next + i)] = PUBLISHED(next + i)); i--
        :: else -> break
        od;
        /* The first stamp makes all of them visible. */
        STEP(d_step {
            stamp[SLOT(next)] = PUBLISHED(next);
            i = 0;
            do
            :: i < count -> assert(visible[next + i] == 0); visible[next + i] = number; i++
            :: else -> break
            od
        });
        next = next + count;
        STEP(hint = next)
    :: else -> break
    od;
#ifdef NEVER_LOOKS_AGAIN
stuck:
    (next == MESSAGES);
#endif
dead:
    owner = 0
}

active proctype consumer()
{
    byte found;

    do
    :: cursor < MESSAGES ->
        stamp[SLOT(cursor)] == PUBLISHED(cursor);
        found = payload[SLOT(cursor)];
        assert(visible[cursor] != 0 && found == visible[cursor]);
        /* Read in place: it is still so when the callback ends. */
        assert(payload[SLOT(cursor)] == visible[cursor]);
        cursor++
    :: else -> break
    od
}

init
{
    byte i = 1;
    atomic {
        do
        :: i <= PRODUCERS -> run producer(i); i++
        :: else -> break
        od
    }
}

ltl all_is_read { <>(cursor == MESSAGES) }
