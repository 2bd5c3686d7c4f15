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
compiler=${SHMBUS_CC:-cc}
seconds=${SHMBUS_MUTANT_SECONDS:-100}
mutants=$source/tests/random/mutants
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Builds FOLDER/src as FOLDER/libshmbus.so.
build()
{
    local sources
    mapfile -t sources < <(find "$1/src" -name '*.c' | sort)
    "$compiler" -std=c11 -O2 -fPIC -shared -fvisibility=hidden -fno-semantic-interposition \
        -D_GNU_SOURCE -DSHMBUS_VERSION_TEXT='"mutant"' -I"$1/src" -I"$source/libshmbus/include" \
        -Wl,-soname,libshmbus.so.0 -Wl,-z,now -o "$1/libshmbus.so" "${sources[@]}" \
        -lnuma -lpthread >"$1/build.txt" 2>&1
}

# One mutant; says its verdict. Those of many producers have no use for other buses, nor those for
# these.
try()
{
    local name=$1 folder=$work/$1 patch=$mutants/$1.patch status=0 only=--one
    if [[ $name == crew_* ]]; then only=--many; fi
    mkdir "$folder"
    cp -r "$source/libshmbus/src" "$folder/src"
    if ! patch -s -d "$folder" -p2 <"$patch" >"$folder/patch.txt" 2>&1; then
        echo "FAIL mutant_$name: does not apply any more: $(tail -n 1 "$folder/patch.txt")"
    elif ! build "$folder"; then
        echo "FAIL mutant_$name: does not build: $(grep -m 1 error "$folder/build.txt")"
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
