#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Shows that the test can fail: builds the library once for each patch of mutants/, which lets it keep
# something that it should give back, and sees that the test finds it. The first line of a patch says
# what the defect is.
#
# Needs SHMBUS_SOURCE_FOLDER and SHMBUS_SOAK_RIG (the program); SHMBUS_CC: the compiler.
set -euo pipefail

source=${SHMBUS_SOURCE_FOLDER:?the folder of the sources}
rig=${SHMBUS_SOAK_RIG:?the program of the test}
seconds=${SHMBUS_MUTANT_SECONDS:-60}
mutants=$source/tests/soak/mutants
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# shellcheck source=tests/support/mutants.sh
. "$source/tests/support/mutants.sh"
mutants_begin "$work"

total=0
caught=0
for patch in "$mutants"/*.patch; do
    name=$(basename "$patch" .patch)
    folder=$work/$name
    total=$((total + 1))
    status=0
    if ! why=$(mutants_build "$patch" "$folder"); then
        echo "FAIL mutant_$name: $why"
        continue
    fi
    LD_PRELOAD=$folder/libshmbus.so "$rig" --seconds "$seconds" >"$folder/rig.txt" 2>&1 || status=$?
    if [ $status = 1 ] && grep '^FAIL soak: --seed' "$folder/rig.txt" >/dev/null; then
        echo "PASS mutant_$name: caught: $(sed -n 's/^FAIL soak: //p' "$folder/rig.txt" | head -n 1)"
        caught=$((caught + 1))
    else
        echo "FAIL mutant_$name: not caught (the test ended with $status)"
    fi
done
echo "soak: $total mutants, $caught caught"
[ "$caught" = "$total" ]
