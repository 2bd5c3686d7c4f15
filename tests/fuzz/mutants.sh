#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Shows that the rig can fail: for each patch of mutants/, which puts one defect into a copy of the
# sources, builds what has to find it and sees that it does, within seconds as a rule. The first line
# of a patch says which target that is, or "live" for the hostile consumer, "found" for the tests of
# what was found, and what the defect is.
#
# Needs SHMBUS_SOURCE_FOLDER. SHMBUS_MUTANTS: names with commas between them, to try only these.
set -euo pipefail

source=${SHMBUS_SOURCE_FOLDER:?the folder of the sources}
build=$source/build/fuzz
mutants=$source/tests/fuzz/mutants
seconds=${SHMBUS_MUTANT_SECONDS:-120}

if ! command -v clang >/dev/null; then
    echo "SKIP fuzz_mutants: no clang"
    exit 77
fi

work=$(mktemp -d /dev/shm/shmbus-test.XXXXXX)
running=
# shellcheck disable=SC2317 # called by trap
end()
{
    [ -z "$running" ] || kill "$running" 2>/dev/null || true
    rm -rf "$work"
}
trap end EXIT
trap 'exit 1' TERM INT HUP

run()
{
    local status=0
    "$@" &
    running=$!
    wait "$running" || status=$?
    running=
    return $status
}

# The sources that a patched file is compiled in: itself, or those that include it.
sources_of()
{
    local folder=$1 path=$2
    case $path in
        *.c) echo "$folder/$path" ;;
        *) grep -rlF "\"${path#libshmbus/src/}\"" "$folder/libshmbus/src" --include='*.c' ;;
    esac
}

flags=(-std=c11 -O1 -g -D_GNU_SOURCE -DSHMBUS_VERSION_TEXT='"mutant"' -mprfchw)

is_test()
{
    [ "$1" = live ] || [ "$1" = found ]
}

# Builds FOLDER/program: the target with the mutant's objects before the libraries of the preset.
build_target()
{
    local folder=$1 target=$2 sources=()
    mapfile -t sources < <(sources_of "$folder" "$3")
    local own=("$source"/tests/fuzz/{"$target",bed}.c)
    if [ "$target" = segment ]; then
        own+=("$source"/tests/fuzz/{case,steps,look,mutate,libfuzzer}.c)
    fi
    local archives=("$build/tests/fuzz/libshmbus_fuzz_tools.a")
    if [ "$target" = recording ]; then
        own+=("$source/tests/fuzz/recording_mutate.c")
        archives+=("$build/libshmbus/libshmbus-record.a")
    fi
    run clang "${flags[@]}" -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all \
        -Wl,--wrap=nanosleep,--wrap=clock_gettime -I"$folder/libshmbus/src" \
        -I"$source/libshmbus/include" -I"$folder/tools" -o "$folder/program" "${own[@]}" \
        "${sources[@]}" "${archives[@]}" "$build/libshmbus/libshmbus.a" -llz4 -lnuma -lpthread
}

# The same with one of the two tests, by the compiler of the tests.
build_test()
{
    local folder=$1 sources=() own=("$source"/tests/fuzz/{hostile,hostile_peer}.c)
    [ "$2" = live ] || own=("$source/tests/fuzz/test_found.c")
    mapfile -t sources < <(find "$folder/libshmbus/src" -name '*.c' -not -path '*/record/*')
    # shellcheck disable=SC2046 # the words of flags that they are
    run "${SHMBUS_CC:-cc}" "${flags[@]}" -O2 -I"$folder/libshmbus/src" -I"$source/libshmbus/include" \
        -I"$source/tests" -o "$folder/program" "${own[@]}" \
        "$source"/tests/support/{support,child}.c "${sources[@]}" \
        $(pkg-config --cflags --libs check) -lnuma -lpthread
}

# Runs what was built; the verdict is its status: not 0 is caught.
hunt()
{
    local folder=$1 target=$2
    if is_test "$target"; then
        run timeout $((seconds * 2)) "$folder/program"
        return
    fi
    mkdir -p "$folder/buses" "$folder/kept"
    SHMBUS_DIR=$folder/buses run "$folder/program" -max_total_time="$seconds" -max_len=32768 \
        -timeout=60 -rss_limit_mb=4096 -handle_xfsz=0 -close_fd_mask=1 -seed=7 \
        -artifact_prefix="$folder/" "$folder/kept" "$source/tests/fuzz/corpus/$target"
}

try()
{
    local name=$1 patch=$mutants/$1.patch folder=$work/$1 target path status=0
    local begun=$SECONDS why
    target=$(sed -n '1s/^# \([a-z]*\):.*/\1/p' "$patch")
    path=$(sed -n 's,^+++ b/,,p' "$patch")
    mkdir "$folder"
    cp -r "$source/libshmbus" "$source/tools" "$folder/"
    if ! patch -s -d "$folder" -p1 <"$patch" >"$folder/said.txt" 2>&1; then
        echo "FAIL mutant_$name: does not apply any more: $(tail -n 1 "$folder/said.txt")"
        return 1
    fi
    if is_test "$target"; then
        build_test "$folder" "$target" >"$folder/said.txt" 2>&1 || status=$?
    else
        build_target "$folder" "$target" "$path" >"$folder/said.txt" 2>&1 || status=$?
    fi
    if [ $status != 0 ]; then
        echo "FAIL mutant_$name: does not build: $(grep -m 1 -E 'error|undefined' "$folder/said.txt")"
        return 1
    fi
    begun=$SECONDS
    hunt "$folder" "$target" >"$folder/said.txt" 2>&1 || status=$?
    why=$(grep -aoE 'SUMMARY: .*|^fuzz: found: .*|:[FE]:(hostile|found):.*' "$folder/said.txt" |
        head -n 1 || true)
    if [ $status = 0 ] || [ -z "$why" ]; then
        echo "FAIL mutant_$name: not caught by $target (it ended with $status)"
        return 1
    fi
    echo "PASS mutant_$name: caught after $((SECONDS - begun)) s: ${why//$work/}"
}

if ! (cd "$source" && cmake --preset fuzz && cmake --build "$build" --parallel "$(nproc)" \
    --target fuzz_targets) >"$work/build.txt" 2>&1; then
    echo "FAIL fuzz_mutants: the targets do not build"
    exit 1
fi
# Those that may take a minute are for the long form: a run must not fail by chance.
rare=" handle_index slab_length record_length "

total=0
caught=0
for patch in "$mutants"/*.patch; do
    name=$(basename "$patch" .patch)
    [[ ,${SHMBUS_MUTANTS:-$name}, == *,$name,* ]] || continue
    if [ -z "${SHMBUS_TEST_LONG:-}" ] && [[ $rare == *" $name "* ]]; then
        continue
    fi
    total=$((total + 1))
    if try "$name"; then caught=$((caught + 1)); fi
    rm -rf "${work:?}/$name"
done
echo "fuzz: $total mutants, $caught caught"
[ "$caught" = "$total" ]
