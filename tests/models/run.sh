#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The models, in short: each C model natively, a few thousand rounds, and under the thread sanitizer;
# each Promela model in full by spin. In the long form (SHMBUS_TEST_LONG) spin gets larger ones, and
# a stateless model checker explores the C models, if SHMBUS_GENMC says where one is: genmc.sh.
#
# Needs SHMBUS_SOURCE_FOLDER; SHMBUS_CC: the compiler, gcc or clang.
set -euo pipefail
# shellcheck source=tests/models/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
src=$source/libshmbus/src

# One model, once as it is and once for the sanitizer.
native()
{
    local name=${1%% *} program=$work/${1%% *}
    if ! compile "$name" "$src" "$program" ||
        ! compile "$name" "$src" "$program.tsan" -g -fsanitize=thread -Wno-tsan; then
        echo "FAIL $name: does not build: $(grep -hm 1 error "$program"*.txt)"
    elif ! SHMBUS_MODEL_ROUNDS=3000 timeout 100 "$program" >"$program.txt" 2>&1; then
        echo "FAIL $name: $(tail -n 1 "$program.txt")"
    elif ! SHMBUS_MODEL_ROUNDS=1000 timeout 200 "$program.tsan" >"$program.txt" 2>&1; then
        echo "FAIL $name: thread sanitizer: $(grep -m 1 SUMMARY "$program.txt")"
    else
        echo "PASS $name: 3000 rounds, 1000 under the thread sanitizer"
    fi
    rm -f "$program" "$program.tsan" "$program"*.txt
}

promela()
{
    local text
    if text=$("$models/spin.sh" "$1" ${SHMBUS_TEST_LONG:+-DLONG}); then
        echo "PASS $1: $text"
    else
        echo "FAIL $1: $text"
    fi
}

many native < <(grep -v '^#' "$models/list")
all=$((passed + failed))
good=$passed
spins=(holes resume takeover)
many promela < <(printf '%s\n' "${spins[@]}")
bad=$((all - good + failed))
if [ -n "${SHMBUS_TEST_LONG:-}" ]; then
    if [ -n "${SHMBUS_GENMC:-}" ]; then
        "$models/genmc.sh" || bad=$((bad + 1))
    else
        echo "SKIP genmc: SHMBUS_GENMC names no model checker"
    fi
fi
echo "models: $all C models of $((all * 4000)) rounds, ${#spins[@]} by spin in full; $bad failed"
[ $bad = 0 ]
