#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# shellcheck disable=SC2317 # finish is called by the trap
# The wall clock is set back by ten years, and forth, while a bus is made, published on, read, looked
# at, timed out on and taken over: nothing of shmbus waits, times out or measures by it.
set -euo pipefail

tools=${SHMBUS_BUILD_FOLDER:?the folder of the build}/tools
fake=$(ldconfig -p | sed -n 's/.*libfaketime\.so\.1.*=> //p' | head -n 1)
fake=${fake:-$(find /usr/lib -name libfaketime.so.1 -print -quit 2>/dev/null)}
work=$(mktemp -d)
SHMBUS_DIR=$(mktemp -d /dev/shm/shmbus-test.XXXXXX)
export SHMBUS_DIR
children=""

finish()
{
    # shellcheck disable=SC2086 # a list of processes
    [ -z "$children" ] || kill -KILL $children 2>/dev/null || true
    # What libfaketime shares with a process's children stays when that one is killed.
    for process in $children; do
        rm -f "/dev/shm/faketime_shm_$process" "/dev/shm/sem.faketime_sem_$process"
    done
    rm -rf "$work" "$SHMBUS_DIR"
}
trap finish EXIT

status=0

check()
{
    if [ "$2" = "$3" ]; then
        echo "PASS $1"
    else
        echo "FAIL $1: $2, not $3"
        status=1
    fi
}

if [ -z "$fake" ]; then
    echo "SKIP clock: needs libfaketime"
    exit 0
fi

# Each program asks the file anew whenever it asks for the time.
export FAKETIME_TIMESTAMP_FILE=$work/clock FAKETIME_NO_CACHE=1 FAKETIME_DONT_FAKE_MONOTONIC=1
set_clock()
{
    echo "$1" >"$work/clock.new"
    mv "$work/clock.new" "$work/clock"
}
faked()
{
    LD_PRELOAD=$fake "$@"
}

set_clock "+0y"
now=$(date +%Y)
set_clock "-10y"
check the_clock_is_set_back "$(faked date +%Y)" $((now - 10))

# A feed whose clock goes to and fro, with a required consumer and one that is in time for a deadline.
set_clock "+0y"
{
    for round in 1 2 3 4 5 6; do
        seq $((round * 1000 - 999)) $((round * 1000))
        set_clock "$([ $((round % 2)) = 1 ] && echo -10y || echo +1y)"
        sleep 0.1
    done
} | LD_PRELOAD=$fake "$tools/shmbus-pub" --wait-consumers 1 --timestamps --stall 30 --evict 30 \
    feed 2>"$work/pub.err" &
children+=" $!"
publisher=$!
faked "$tools/shmbus-sub" --required --name reader --grace 60 --wait 60 --from oldest --deadline 30 \
    --latency feed >"$work/got" 2>"$work/sub.err" &
children+=" $!"
reader=$!
wait $publisher && code=0 || code=$?
check the_producer_ends "$code $(wc -c <"$work/pub.err")" "0 0"
wait $reader && code=0 || code=$?
check the_consumer_ends "$code" 0
check all_came "$(md5sum <"$work/got")" "$(seq 6000 | md5sum)"
check no_deadline_passed "$(grep -c 'no message' "$work/sub.err" || true)" 0
# Ten years are 3e17 ns: a latency of more than an hour would be the wall clock's.
check latencies_are_not_the_clocks \
    "$(sed -n 's/.*max=\([0-9]*\).*/\1/p' "$work/sub.err" | awk '{ print ($1 < 3600e9) }')" 1

# A bus that was made in what is now the future: it is shown, times out, and is taken over.
set_clock "+1y"
echo one | faked "$tools/shmbus-pub" --keep --history 1 kept
set_clock "-10y"
check a_bus_of_the_future_is_shown \
    "$(faked "$tools/shmbus-stat" kept | sed -n 's/^created *\([0-9]*\)-.*/\1/p')" $((now + 1))
code=0
faked "$tools/shmbus-sub" --wait 0.2 never 2>/dev/null || code=$?
check a_wait_ends "$code" 1
echo two | faked "$tools/shmbus-pub" --keep --history 1 kept
check it_goes_on "$(faked "$tools/shmbus-sub" --from 1 --count 1 kept)" two
exit $status
