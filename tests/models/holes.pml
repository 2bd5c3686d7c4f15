/* SPDX-License-Identifier: MIT */
/*
 * Many producers. One claims and may die with its claim open; another has its number after it;
 * others repair what they find dead, and may die or be stopped in the middle of that; a consumer
 * steps over holes.
 *
 * Safety: no claim of one that lives is ever taken from it; a number is used again only when its
 * holes are gone; what a consumer stepped over is never published. Liveness: a hole of one that died
 * does not stay, even if one that repairs it is stopped for ever, as long as another lives.
 *
 * Mutants: NO_SECOND_PROBE, NUMBER_WITHOUT_BYTE, HOLES_AS_THEY_WERE, PROOF_BEFORE_STAMP,
 * NOT_READ_AGAIN, WAITS_FOR_BYTE.
 */
#ifdef LONG
#define MESSAGES 3
#else
#define MESSAGES 2
#endif
#define NOBODY 0

/* Of a stamp: free, being written by number 0 or 1, published, aborted. */
#define FREE       0
#define WRITING(n) (1 + (n))
#define PUBLISHED  3
#define ABORTED    4

byte stamp[MESSAGES];
bool stepped[MESSAGES];
byte cursor;
byte life, repair; /* whose the bytes of number 0 are */
bool is_active; /* number 0 */

/* The kernel gives back what a dead one had. */
inline die(me)
{
    d_step {
        if
        :: life == me -> life = NOBODY
        :: else -> skip
        fi;
        if
        :: repair == me -> repair = NOBODY
        :: else -> skip
        fi
    }
}

/* A claim by compare-and-swap on the first that is free; then its end, or death before that. */
inline publish(me, number, may_die)
{
    at = 0;
    do
    :: at < MESSAGES ->
        if
        :: atomic { stamp[at] == FREE -> stamp[at] = WRITING(number) }; break
        :: stamp[at] != FREE -> at++
        fi
    :: else -> break
    od;
    if
    :: at < MESSAGES ->
        if
        :: may_die -> goto dead
        :: d_step {
               assert(stamp[at] == WRITING(number)); /* nobody took it for dead */
               assert(!stepped[at]);
               stamp[at] = PUBLISHED
           }
        fi
    :: else -> skip
    fi
}

/* Under the repair byte, or by one whose number it is. */
inline abort_all(number)
{
    i = 0;
    do
    :: i < MESSAGES ->
        d_step {
            if
            :: stamp[i] == WRITING(number) -> stamp[i] = ABORTED
            :: else -> skip
            fi
        };
        if
        :: may_end -> goto dead
        :: i++
        fi
    :: else -> break
    od
}

/* Number 0, had by one after the other; the last does not die. */
proctype owner(byte me; bool may_end)
{
    byte at, i;

    atomic { life == NOBODY -> life = me };
#ifndef NUMBER_WITHOUT_BYTE
    /* One that is stopped in its repair is not waited for for ever. */
    if
    :: atomic { repair == NOBODY -> repair = me }
    :: repair != NOBODY -> goto dead
    fi;
#endif
#ifndef HOLES_AS_THEY_WERE
    abort_all(0);
#endif
    skip;
    d_step {
        i = 0;
        do
        :: i < MESSAGES -> assert(stamp[i] != WRITING(0)); i++
        :: else -> break
        od;
        i = 0
    };
    is_active = true;
#ifndef NUMBER_WITHOUT_BYTE
    repair = NOBODY;
#endif
    publish(me, 0, may_end);
    is_active = false;
dead:
    die(me)
}

/* Other numbers repair number 0; the last of them does not die or stop. */
proctype repairer(byte me; bool may_end)
{
    byte at, i;
    bool was;

end_loop:
    do
    :: is_active && life == NOBODY ->
        /* Found dead: under its repair byte, if it is to be had. */
        if
        :: atomic { repair == NOBODY -> repair = me };
            if
#ifdef NO_SECOND_PROBE
            :: true ->
#else
            :: life == NOBODY ->
#endif
                abort_all(0);
                is_active = false
            :: else -> skip
            fi;
            if
            :: may_end -> goto dead /* with the byte */
            :: repair = NOBODY
            fi
#ifndef WAITS_FOR_BYTE
        :: repair != NOBODY ->
            /* Without it: each hole, and then the proof. */
            i = 0;
            do
            :: i < MESSAGES ->
#ifdef PROOF_BEFORE_STAMP
                was = (life == NOBODY);
                if
                :: was && stamp[i] == WRITING(0) ->
#else
                was = (stamp[i] == WRITING(0));
                if
                :: was && life == NOBODY ->
#endif
                    d_step {
                        if
                        :: stamp[i] == WRITING(0) -> stamp[i] = ABORTED
                        :: else -> skip
                        fi
                    }
                :: else -> skip
                fi;
                i++
            :: else -> break
            od
#else
        :: repair != NOBODY -> skip
#endif
        fi
    :: may_end -> goto dead
    od;
dead:
    if
    :: die(me)
    :: true -> /* or is stopped, and keeps it */
end_stopped:
        false
    fi
}

active proctype consumer()
{
    byte found;

end_loop:
    do
    :: cursor < MESSAGES && (stamp[cursor] == PUBLISHED || stamp[cursor] == ABORTED) -> cursor++
    :: cursor < MESSAGES && stamp[cursor] == WRITING(0) ->
        /* The proof, and then the stamp once more. */
        if
        :: life == NOBODY ->
#ifdef NOT_READ_AGAIN
            d_step {
                assert(stamp[cursor] != PUBLISHED);
                stepped[cursor] = true;
                cursor++
            }
#else
            if
            :: d_step { stamp[cursor] == WRITING(0) -> stepped[cursor] = true; cursor++ }
            :: stamp[cursor] != WRITING(0) -> skip
            fi
#endif
        :: else -> skip
        fi
    od
}

init
{
    atomic {
        run owner(1, true);
#ifdef LONG
        run owner(2, true);
#endif
        run owner(3, false);
        run repairer(4, true);
        run repairer(5, false)
    }
}

#define HOLE (is_active && life == NOBODY && stamp[0] == WRITING(0))

ltl no_hole_stays { [](HOLE -> <>(!HOLE)) }
