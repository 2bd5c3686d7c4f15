#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Shows that the test can fail: builds the library once for each patch of mutants/, which puts one
# defect into a copy of its sources, and sees that the test finds a violation in it within a minute
# or two. The first line of a patch says what the defect is.
#
# Needs SHMBUS_SOURCE_FOLDER and SHMBUS_RANDOM_RIG (the program); SHMBUS_CC: the compiler.
set -euo pipefail

source=${SHMBUS_SOURCE_FOLDER:?the folder of the sources}
rig=${SHMBUS_RANDOM_RIG:?the program of the test}
seconds=${SHMBUS_MUTANT_SECONDS:-100}
mutants=$source/tests/random/mutants
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# shellcheck source=tests/support/mutants.sh
. "$source/tests/support/mutants.sh"
mutants_begin "$work"

# One mutant; says its verdict. Those of many producers have no use for other buses, nor those for
# these.
try()
{
    local name=$1 folder=$work/$1 patch=$mutants/$1.patch status=0 only=--one why
    if [[ $name == crew_* ]]; then only=--many; fi
    if ! why=$(mutants_build "$patch" "$folder"); then
        echo "FAIL mutant_$name: $why"
    else
        LD_PRELOAD=$folder/libshmbus.so timeout $((seconds * 3 + 120)) "$rig" --seconds "$seconds" \
            --each 3 "$only" >"$folder/rig.txt" 2>&1 || status=$?
        if [ $status = 1 ] && grep '^FAIL' "$folder/rig.txt" >/dev/null; then
            echo "PASS mutant_$name: caught: $(sed -n 's/^FAIL //p' "$folder/rig.txt" | head -n 1)"
        else
            echo "FAIL mutant_$name: not caught (the test ended with $status)"
            return 1
        fi
        return 0
    fi
    return 1
}

# Those that a minute of luck decides are for the long form: a run must not fail by chance.
rare=" copy_not_checked grace_does_not_gate select_merged_first "

total=0
caught=0
for patch in "$mutants"/*.patch; do
    if [ -z "${SHMBUS_TEST_LONG:-}" ] && [[ $rare == *" $(basename "$patch" .patch) "* ]]; then
        continue
    fi
    total=$((total + 1))
    if try "$(basename "$patch" .patch)"; then caught=$((caught + 1)); fi
done
echo "random: $total mutants, $caught caught"
[ "$caught" = "$total" ]
