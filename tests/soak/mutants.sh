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
compiler=${SHMBUS_CC:-cc}
seconds=${SHMBUS_MUTANT_SECONDS:-60}
mutants=$source/tests/soak/mutants
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

total=0
caught=0
for patch in "$mutants"/*.patch; do
    name=$(basename "$patch" .patch)
    folder=$work/$name
    total=$((total + 1))
    mkdir "$folder"
    cp -r "$source/libshmbus/src" "$folder/src"
    status=0
    if ! patch -s -d "$folder" -p2 <"$patch" >"$folder/patch.txt" 2>&1; then
        echo "FAIL mutant_$name: does not apply any more: $(tail -n 1 "$folder/patch.txt")"
        continue
    elif ! build "$folder"; then
        echo "FAIL mutant_$name: does not build: $(grep -m 1 error "$folder/build.txt")"
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
