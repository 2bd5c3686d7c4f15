/* SPDX-License-Identifier: MIT */
/*
 * A required consumer with a grace time dies at any step. Others find its entry with its life byte
 * free and repair it, and may die in the middle of that; one of its name goes on at its cursor, or,
 * when the grace is over, another one joins with the entry. The producer goes by the cursor of an
 * entry that is active or in grace.
 *
 * Safety: two never have the entry at once; no hold of one that lives is cleared by another; what the
 * entry's place still has to read is not overwritten; an entry that is free holds nothing. Liveness:
 * the entry of one that died is somebody's again, or free.
 *
 * Mutants: NO_SECOND_PROBE, RESUME_WITHOUT_BYTE, GRACE_DOES_NOT_GATE, HOLDS_STAY, NO_LIFE_BYTE,
 * WAITS_FOR_BYTE.
 */
#define CAPACITY 2
#define MESSAGES 3
#define NOBODY   0

mtype = { FREE, ACTIVE, GRACE };

mtype state = ACTIVE;
bool holds;
byte cursor, next;
byte epoch = 1;
byte life = 1; /* the first one's */
byte repair;
bool is_over;  /* the grace time */
byte owners;   /* ghost */

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

inline step_or_die(may_end)
{
    if
    :: true
    :: may_end -> goto dead
    fi
}

/* Reads on, with a hold now and then, and leaves at the end; or dies. */
inline live(me, may_end)
{
    do
    :: cursor < next ->
        assert(next - cursor <= CAPACITY);
        holds = true;
        step_or_die(may_end);
        cursor++;
        step_or_die(may_end);
        assert(holds); /* nobody took it for dead */
        holds = false
    :: cursor == MESSAGES -> break
    :: may_end -> goto dead
    od;
    holds = false;
    state = FREE;
    step_or_die(may_end);
    owners--;
    die(me)
}

/* Under the repair byte, with the life byte proven free: frees the entry, or begins its grace. */
inline mend(may_end)
{
    if
    :: state == ACTIVE && !is_over ->
#ifndef HOLDS_STAY
        holds = false;
#endif
        step_or_die(may_end);
        state = GRACE
    :: (state == ACTIVE || state == GRACE) && is_over ->
#ifndef HOLDS_STAY
        holds = false;
#endif
        step_or_die(may_end);
        state = FREE
    :: else -> skip
    fi
}

proctype first()
{
    d_step { owners++ };
    live(1, true);
    goto end;
dead:
    d_step { owners--; die(1) }
end:
    skip
}

proctype repairer(byte me; bool may_end)
{
end_loop:
    do
    :: state != FREE && life == NOBODY && (state == ACTIVE || is_over) ->
        if
        :: atomic { repair == NOBODY -> repair = me };
            step_or_die(may_end);
            if
#ifdef NO_SECOND_PROBE
            :: true ->
#else
            :: life == NOBODY ->
#endif
                mend(may_end)
            :: else -> skip
            fi;
            step_or_die(may_end);
            repair = NOBODY
#ifdef WAITS_FOR_BYTE
        :: repair != NOBODY -> false
#else
        :: repair != NOBODY -> skip
#endif
        fi
    :: may_end -> goto dead
    od;
dead:
    die(me)
}

/* One of its name. */
proctype resumer(byte me; bool may_end)
{
    do
    :: state == ACTIVE || state == GRACE ->
#ifndef RESUME_WITHOUT_BYTE
        if
        :: atomic { repair == NOBODY -> repair = me }
        :: true -> goto dead /* -EBUSY */
        fi;
#endif
        step_or_die(may_end);
        if
#ifdef NO_LIFE_BYTE
        :: true -> life = me
#else
        :: atomic { life == NOBODY -> life = me }
        :: life != NOBODY -> goto dead /* one of this name lives */
#endif
        fi;
        if
        :: (state == ACTIVE || state == GRACE) && !(state == GRACE && is_over) -> break
        :: else -> goto dead
        fi
    :: state == FREE -> goto dead
    od;
    owners++;
    assert(owners == 1);
    if
    :: may_end ->
        if
        :: d_step { owners--; die(me) }; goto end
        :: true
        fi
    :: else -> skip
    fi;
    holds = false;
    state = ACTIVE;
#ifndef RESUME_WITHOUT_BYTE
    repair = NOBODY;
#endif
    live(me, false);
    goto end;
dead:
    die(me);
end:
    skip
}

/* Another one, which takes any entry that is free, or that it may repair. */
proctype joiner(byte me)
{
    atomic { repair == NOBODY -> repair = me };
    if
    :: atomic { life == NOBODY -> life = me };
        mend(false);
        if
        :: state == FREE ->
            owners++;
            assert(owners == 1 && !holds);
            epoch++;
            /* The handshake with a producer that raises its floor has models of its own. */
            d_step { cursor = next; state = ACTIVE };
            repair = NOBODY;
            live(me, false)
        :: else -> die(me)
        fi
    :: life != NOBODY -> die(me)
    fi;
    goto end;
dead:
    false; /* never: it does not die */
end:
    skip
}

/* Publishes, as far as the place that it sees allows, in two steps: a scan, and what follows. */
active proctype producer()
{
    bool may;

    do
    :: next < MESSAGES ->
        d_step {
#ifdef GRACE_DOES_NOT_GATE
            may = (state != ACTIVE || next - cursor < CAPACITY)
#else
            may = ((state != ACTIVE && state != GRACE) || next - cursor < CAPACITY)
#endif
        };
        if
        :: may -> next++
        :: else -> skip
        fi
    :: else -> break
    od
}

/* The grace time ends at some moment. */
active proctype clock()
{
    is_over = true
}

init
{
    atomic {
        run first();
        run repairer(2, true);
        run repairer(3, false);
        run resumer(4, true);
        run joiner(5)
    }
}

ltl somebodys_again { []((life == NOBODY && state != FREE) -> <>(life != NOBODY || state == FREE)) }
