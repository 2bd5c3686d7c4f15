#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# rig: builds for itself
# Every protocol under the thread sanitizer, by gcc and by clang, with threads in place of processes
# over one mapping of each segment; then each mutant of tests/race/mutants. See README.md.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

# Times that each scenario is run; a mutant ends with the first report.
times=1
mutant_times=20
if [ -n "${SHMBUS_TEST_LONG:-}" ]; then
    times=40
    mutant_times=200
fi

.ci/packages.sh run test ci
work=$(mktemp -d)
export SHMBUS_DIR=/dev/shm/shmbus-test.race.$$
trap 'rm -rf "$work" "$SHMBUS_DIR"' EXIT
mkdir "$SHMBUS_DIR"
# Descriptors are no order between processes.
export TSAN_OPTIONS="io_sync=0 exitcode=0"

scenarios=0
rounds=0
messages=0
races=0
failed=0
mutants=0
caught=0

# Builds the program in a preset.
build()
{
    { cmake --preset "$1" && cmake --build "build/$1" --target race --parallel "$(nproc)"; } \
        >"$work/build.txt" 2>&1 </dev/null
}

# The detector knows few layouts of memory: where the kernel makes another, without its randomness.
launch=()
can_run()
{
    "$1" --list >"$work/list.txt" 2>&1 && return 0
    launch=(setarch -R)
    setarch -R "$1" --list >"$work/list.txt" 2>&1
}

# figure NAME FILE: the number before a word of the program's last line.
figure()
{
    sed -nE "s/^race: (.*, )?([0-9]+) $1.*/\\2/p" "$2" | tail -n 1
}

# All scenarios as the library is.
run_all()
{
    local compiler=$1 program=$2 out=$work/$1.txt
    timeout 7200 "${launch[@]}" "$program" --times $times >"$out" 2>&1 || true
    sed -nE "s/^(PASS|FAIL) /\\1 ${compiler}_/p" "$out"
    if ! grep -q '^race: ' "$out"; then
        tail -n 20 "$out"
        echo "FAIL ${compiler}_race: it did not come to its end"
        failed=$((failed + 1))
        return
    fi
    # What was reported, the first few of it.
    grep -A 40 '^WARNING: ThreadSanitizer' "$out" | head -n 200 || true
    scenarios=$((scenarios + $(figure scenarios "$out")))
    rounds=$((rounds + $(figure rounds "$out")))
    messages=$((messages + $(figure 'messages read' "$out")))
    races=$((races + $(figure races "$out")))
    failed=$((failed + $(figure failed "$out")))
}

# One site weak: the detector has to report it.
run_mutant()
{
    local compiler=$1 program=$2 site=$3 scenario=$4 place out=$work/mutant.txt
    place=$(python3 tests/race/places.py "$site")
    mutants=$((mutants + 1))
    timeout 1200 "${launch[@]}" "$program" --times $mutant_times --weak "$place" "$scenario" \
        >"$out" 2>&1 || true
    if grep -q '^WARNING: ThreadSanitizer: data race' "$out"; then
        echo "PASS ${compiler}_mutant_${site//:/_}"
        caught=$((caught + 1))
    else
        tail -n 3 "$out"
        echo "FAIL ${compiler}_mutant_${site//:/_}: no race was reported in $scenario"
    fi
}

for preset in tsan tsan-clang; do
    compiler=gcc
    [ $preset = tsan ] || compiler=clang
    program=build/$preset/tests/race/program/race
    if ! build $preset; then
        grep -E 'error|CMake Error' -A 4 "$work/build.txt" | head -n 40 || tail "$work/build.txt"
        echo "FAIL ${compiler}_build: see above"
        failed=$((failed + 1))
        continue
    fi
    if ! can_run "$program"; then
        echo "SKIP race: the thread sanitizer does not run here: $(head -n 1 "$work/list.txt")"
        exit 77
    fi
    run_all $compiler "$program"
    while read -r site scenario form; do
        [ -z "$form" ] || [ -n "${SHMBUS_TEST_LONG:-}" ] || continue
        run_mutant $compiler "$program" "$site" "$scenario"
    done < <(grep -v '^#' tests/race/mutants)
done

echo "race: $scenarios scenarios, $rounds rounds, $messages messages, $races races, $failed failed;" \
    "$mutants mutants, $caught caught"
[ $failed = 0 ] && [ $races = 0 ] && [ $caught = $mutants ]
