#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Shows that the rig can fail: builds the library once for each patch of mutants/, which puts one
# defect into a copy of its sources, and sees that the rig finds a violation in it. The first line
# of a patch names the paths to run ("# paths: A,B"), with the rig's options, if any; the second says
# what the defect is.
#
# Needs SHMBUS_SOURCE_FOLDER and SHMBUS_CRASH_RIG (the rig's program); SHMBUS_CC: the compiler.
set -euo pipefail

source=${SHMBUS_SOURCE_FOLDER:?the folder of the sources}
rig=${SHMBUS_CRASH_RIG:?the program of the rig}
mutants=$source/tests/crash/mutants
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# shellcheck source=tests/support/mutants.sh
. "$source/tests/support/mutants.sh"
mutants_begin "$work"

# One mutant, quietly; its verdict goes to FOLDER/verdict.
try()
{
    local name=$1 folder=$work/$1 patch=$mutants/$1.patch status=0 words why
    mkdir "$folder"
    read -ra words <"$patch"
    if ! why=$(mutants_build "$patch" "$folder"); then
        echo "FAIL mutant_$name: $why"
    else
        LD_PRELOAD=$folder/libshmbus.so timeout 300 "$rig" --until-first --only "${words[2]}" "${words[@]:3}" \
            >"$folder/rig.txt" 2>&1 || status=$?
        if [ $status = 1 ] && grep '^FAIL' "$folder/rig.txt" >/dev/null; then
            echo "PASS mutant_$name: caught: $(sed -n 's/^FAIL //p' "$folder/rig.txt" | head -n 1)"
        else
            echo "FAIL mutant_$name: not caught in ${words[2]} (the rig ended with $status)"
        fi
    fi >"$folder/verdict"
}

names=()
for patch in "$mutants"/*.patch; do
    names+=("$(basename "$patch" .patch)")
done
# As many at a time as there are processors.
running=0
for name in "${names[@]}"; do
    [ "$running" -lt "$(nproc)" ] || { wait -n; running=$((running - 1)); }
    try "$name" &
    running=$((running + 1))
done
wait

for name in "${names[@]}"; do
    cat "$work/$name/verdict"
done
caught=$(cat "$work"/*/verdict | grep -c '^PASS' || true)
echo "crash: ${#names[@]} mutants, $caught caught"
[ "$caught" = "${#names[@]}" ]
