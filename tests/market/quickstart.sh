#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# tools/quickstart.sh runs to its end and shows what it says; ended half way, it leaves nothing in
# shared memory; and what it cannot do, it says. A test is one line, PASS or FAIL, as for all rigs.
set -uo pipefail

cd "$SHMBUS_SOURCE_FOLDER" || exit 1
SHMBUS_DIR=$(mktemp -d /dev/shm/shmbus-test.XXXXXX)
export SHMBUS_DIR
log=$SHMBUS_DIR/log
trap 'rm -rf "$SHMBUS_DIR"' EXIT
failed=0

# result NAME STATUS WHY
result()
{
    if [ "$2" = 0 ]; then
        echo "PASS $1"
    else
        echo "FAIL $1: $3"
        sed 's/^/    /' "$log"
        failed=1
    fi
}

left_behind()
{
    find "$SHMBUS_DIR" -mindepth 1 ! -name log | grep . >&2
}

# whole NAME: runs it to its end.
whole()
{
    tools/quickstart.sh >"$log" 2>&1 </dev/null &&
        tail -n 1 "$log" | grep -q '^quickstart.sh: shown: ' &&
        grep -q 'strategy-3' "$log" && ! left_behind
    result "$1" $? "it did not end as it should"
}

# Ends it with a signal once its bus is there.
ended_by()
{
    local process status
    # Not in the background of this shell alone: there SIGINT would be ignored from the start.
    python3 -c 'import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
os.execv(sys.argv[1], sys.argv[1:])' tools/quickstart.sh >"$log" 2>&1 </dev/null &
    process=$!
    until [ -n "$(find "$SHMBUS_DIR" -name 'shmbus.prices' 2>/dev/null)" ]; do
        kill -0 "$process" 2>/dev/null || break
        sleep 0.1
    done
    kill -s "$1" "$process"
    wait "$process"
    status=$?
    [ $status = "$2" ] && ! left_behind
    result "ended_by_$1" $? "it ended with $status or left something behind"
}

# refuses NAME MESSAGE [VARIABLE=VALUE] [ARGUMENT]
refuses()
{
    local name=$1 message=$2
    shift 2
    env "$@" >"$log" 2>&1 </dev/null
    [ $? = 1 ] && grep -qF "$message" "$log" && ! left_behind
    result "$name" $? "it did not say: $message"
}

whole with_the_data_of_this_run
ended_by TERM 143
ended_by INT 130
refuses an_argument "takes no arguments" tools/quickstart.sh now
refuses data_that_is_not_there "/nowhere/events.csv cannot be read" \
    SHMBUS_TEST_DATA=/nowhere tools/quickstart.sh
[ -z "${SHMBUS_TEST_DATA:-}" ] || { unset SHMBUS_TEST_DATA && whole with_made_up_data; }
exit $failed
