#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Shows that the rig can fail: builds one of its programs with a copy of the library for each patch of
# mutants/, which puts one defect into it, and sees that a test fails. The first line of a patch names
# the program's sources below tests/, the second says what the defect is.
#
# Needs SHMBUS_SOURCE_FOLDER; SHMBUS_CC: the compiler.
set -euo pipefail

source=${SHMBUS_SOURCE_FOLDER:?the folder of the sources}
compiler=${SHMBUS_CC:-cc}
mutants=$source/tests/resources/mutants
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Builds FOLDER/src with the sources of tests that follow as FOLDER/test.
build()
{
    local folder=$1 sources flags
    shift
    mapfile -t sources < <(find "$folder/src" -name '*.c' -not -path '*/record/*' | sort)
    read -ra flags < <(pkg-config --cflags --libs check)
    "$compiler" -std=c11 -O1 -D_GNU_SOURCE -DSHMBUS_VERSION_TEXT='"mutant"' \
        -DSHMBUS_SOURCE_FOLDER="\"$source\"" -DSHMBUS_BUILD_FOLDER="\"$folder\"" \
        -I"$folder/src" -I"$source/libshmbus/include" -I"$source/tests" -o "$folder/test" \
        "${sources[@]}" "${@/#/$source/tests/}" "$source"/tests/support/{support,child,locks}.c \
        "${flags[@]}" -lnuma -lpthread >"$folder/build.txt" 2>&1
}

# One mutant, quietly; its verdict goes to FOLDER/verdict.
try()
{
    local name=$1 folder=$work/$1 patch=$mutants/$1.patch words status=0
    mkdir "$folder"
    cp -r "$source/libshmbus/src" "$folder/src"
    read -ra words <"$patch"
    if ! patch -s -d "$folder" -p2 <"$patch" >"$folder/patch.txt" 2>&1; then
        echo "FAIL mutant_$name: does not apply any more: $(tail -n 1 "$folder/patch.txt")"
    elif ! build "$folder" "${words[@]:2}"; then
        echo "FAIL mutant_$name: does not build: $(grep -m 1 error "$folder/build.txt")"
    else
        timeout 100 "$folder/test" >"$folder/test.txt" 2>&1 || status=$?
        if [ $status = 1 ] && grep ':F:' "$folder/test.txt" >/dev/null; then
            echo "PASS mutant_$name: caught: $(sed -n 's/.*:F:[^:]*:\([^:]*\):.*/\1/p' \
                "$folder/test.txt" | head -n 1)"
        else
            echo "FAIL mutant_$name: not caught (the test ended with $status)"
        fi
    fi >"$folder/verdict"
}

names=()
for patch in "$mutants"/*.patch; do
    names+=("$(basename "$patch" .patch)")
done
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
echo "resources: ${#names[@]} mutants, $caught caught"
[ "$caught" = "${#names[@]}" ]
