#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Shows shmbus at work to somebody who has just cloned it: installs what is missing to build and
# run it, builds, runs a market data feed with three consumers, and checks what they make of it.
# Asks nothing, takes no arguments, and leaves nothing behind but its build in build/quickstart.
# SHMBUS_TEST_DATA may name a folder with a recording, events.csv; without it data is made up.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
build=$root/build/quickstart
work=""
bus=prices

fail()
{
    echo "quickstart.sh: $1" >&2
    exit 1
}

# Ends what was started and removes what is in shared memory, however this script ends.
cleanup()
{
    local process
    for process in $(jobs -p); do
        kill -KILL "$process" 2>/dev/null || true
    done
    wait 2>/dev/null || true
    [ -z "$work" ] || rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

# A heading, with the seconds since the start.
step()
{
    printf '\n[%2d s] %s\n' "$SECONDS" "$1"
}

# Sleeps so that a signal is heeded at once.
pause()
{
    sleep "$1" &
    wait $!
}

# Waits for a process that was started, and fails with its own words if it did.
finish()
{
    local process=$1 name=$2
    wait "$process" || fail "$name ended with $?: $(cat "$work/$name.err")"
}

# The totals of a result, without its hundreds of levels.
totals()
{
    grep -v '^    ' "$1" | sed 's/^/    /'
}

build_programs()
{
    local log=$build/quickstart.log
    mkdir -p "$build"
    if ! { cmake -S . -B "$build" -DCMAKE_BUILD_TYPE=Release -DSHMBUS_TESTS=OFF &&
        cmake --build "$build" --parallel "$(nproc)"; } >"$log" 2>&1 </dev/null; then
        tail -n 30 "$log" >&2
        fail "the build failed; all of its output is in $log"
    fi
    PATH=$build/tools:$build/docs/examples/market:$PATH
}

# Sets events, speed and data: the file, its pace, and what it is.
find_events()
{
    speed=3
    if [ -n "${SHMBUS_TEST_DATA:-}" ]; then
        events=$SHMBUS_TEST_DATA/events.csv
        [ -r "$events" ] || fail "$events cannot be read; set SHMBUS_TEST_DATA otherwise, or not at all"
        data="a recording of an exchange's data"
    else
        events=$work/events.csv
        market-sim 1 1200 >"$events"
        data="made up by market-sim (set SHMBUS_TEST_DATA to use a recording)"
    fi
}

# One feed handler, three strategies, and shmbus-stat looking on.
run_market()
{
    local i feed strategies=()
    for i in 1 2 3; do
        market-strategy "$bus" --name "strategy-$i" --wait 60 \
            >"$work/strategy-$i.out" 2>"$work/strategy-$i.err" &
        strategies+=($!)
    done
    market-feed "$bus" "$events" --wait-consumers 3 --speed "$speed" \
        >"$work/feed.out" 2>"$work/feed.err" &
    feed=$!
    pause 3
    kill -0 "$feed" 2>/dev/null || finish "$feed" feed

    step "The buses that there are (shmbus-stat):"
    shmbus-stat | sed 's/^/    /'
    step "The bus '$bus' (shmbus-stat $bus): it looks on and leaves no trace."
    shmbus-stat "$bus" | sed 's/^/    /'
    cat <<TEXT

    The feed is in the middle of its file. The tail is how many messages it has published; each
    consumer's cursor is how many it has read, and its lag is the difference. They are required
    consumers: if one stopped, the feed would wait for it. Small messages are in the ring, large
    ones in slabs of the pool; the feed uses both again, when it has to, once all have read them.
TEXT

    step "Waiting for the feed to come to its end"
    finish "$feed" feed
    sed 's/^/    /' "$work/feed.out"
    for i in 1 2 3; do
        finish "${strategies[i - 1]}" "strategy-$i"
    done
}

compare_books()
{
    local i
    market-reference "$events" >"$work/reference.out"
    for i in 1 2 3; do
        cmp "$work/strategy-$i.out" "$work/reference.out" ||
            fail "strategy-$i's books are not those of the file"
    done
    step "What each strategy had at the end (without the books' $(grep -c '^    ' \
        "$work/reference.out") levels):"
    totals "$work/reference.out"
    cat <<TEXT

    All three are equal to the last level to what market-reference, a simple program that knows
    nothing of shmbus, works out from the file.
TEXT
}

# The same file as lines of text, through the general tools.
run_lines()
{
    local i publisher readers=()
    for i in 1 2 3; do
        shmbus-sub --required --from oldest --wait 60 --name "copy-$i" lines \
            >"$work/copy-$i.out" 2>"$work/copy-$i.err" &
        readers+=($!)
    done
    shmbus-pub --wait-consumers 3 lines "$events" >"$work/pub.out" 2>"$work/pub.err" &
    publisher=$!
    finish "$publisher" pub
    for i in 1 2 3; do
        finish "${readers[i - 1]}" "copy-$i"
        cmp "$work/copy-$i.out" "$events" || fail "copy-$i is not the file that was sent"
    done
}

[ $# = 0 ] || fail "takes no arguments"
echo "shmbus: messages between processes through shared memory. This takes less than two minutes."
step "Installing what is missing to build it (section [run] of .ci/packages.txt)"
.ci/packages.sh run

step "Building the library, the tools and the examples in build/quickstart"
build_programs

work=$(mktemp -d "${SHMBUS_DIR:-/dev/shm}/shmbus-quickstart.XXXXXX")
export SHMBUS_DIR=$work
find_events
step "Starting one market data feed and three strategies: four processes, one bus"
cat <<TEXT
    $(wc -l <"$events") events, $data, at $speed times their real pace.
    market-feed parses each line and writes it as a message into shared memory: a trade is 48 bytes
    and goes into the ring, a change of the order book is hundreds of bytes or thousands and goes
    into the pool. Each market-strategy reads the messages where they lie, and keeps a book.
TEXT
run_market
compare_books

step "The same file line by line: shmbus-pub to three shmbus-sub"
run_lines
echo "    Each of the three got the file back, byte for byte."

step "Done"
echo "quickstart.sh: shown: a feed of $(wc -l <"$events") events to three processes whose order" \
    "books equal the reference, and the file sent to three readers unchanged."
