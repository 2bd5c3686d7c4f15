#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Installs what is missing, builds, and runs the tests: all the quick rigs, or those named.
#
# A rig is a ctest label: a folder of tests/ with a CMakeLists.txt, or a label given there; or else
# a folder with a run.sh. What runs may say "PASS case", "FAIL case: why", "SKIP case: why".
set -euo pipefail

usage()
{
    cat <<'TEXT'
Usage: tests/run.sh [OPTION]... [RIG...]
Builds shmbus in build/NAME and runs the RIGs. Without one: all but those that take long (arch,
coverage, fuzz, models, numa, race) and mutants, which shows that other rigs can fail; a RIG that is named
brings its mutants along.

  --preset NAME        how to build, out of CMakePresets.json (default: release)
  --without RIG[,RIG]  leave these out
  --long               run each rig's long form, where it has one
  --list               name the rigs

Closes with a line "N passed, N failed, N skipped"; exits with 0 if all passed, 1 if not, 2 if the
command line is wrong. A skip that tests/SKIPS does not list counts as failed.
TEXT
}

fail()
{
    echo "run.sh: $1" >&2
    exit "${2:-1}"
}

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"

# Rigs that run only when they are named.
on_request=" arch coverage fuzz models mutants numa race "

# Every rig there is, one a line.
rigs()
{
    {
        find tests -mindepth 2 -maxdepth 2 \( -name CMakeLists.txt -o -name run.sh \) -printf '%h\n' |
            sed 's,.*/,,'
        sed -nE 's/.*shmbus_(test|script_test|test_settings)\([^ ]+ ([a-z_-]+).*/\2/p' \
            tests/*/CMakeLists.txt
        if grep -qE '_mutants ' tests/*/CMakeLists.txt; then
            echo mutants # what a test so named is labelled, too
        fi
    } | sort -u
}

is_script()
{
    [ -f "tests/$1/run.sh" ] && [ ! -f "tests/$1/CMakeLists.txt" ]
}

check_rig()
{
    rigs | grep -xF -- "$1" >/dev/null || fail "$1: no such rig (there are: $(rigs | tr '\n' ' '))" 2
}

without=" "
preset=release
wanted=()
while [ $# -gt 0 ]; do
    case $1 in
        --help | -h) usage; exit 0 ;;
        --list) rigs; exit 0 ;;
        --long) export SHMBUS_TEST_LONG=1 ;;
        --preset)
            [ $# -ge 2 ] || fail "--preset: no name (see cmake --list-presets)" 2
            preset=$2
            shift
            ;;
        --without)
            [ $# -ge 2 ] || fail "--without: no rig (see tests/run.sh --list)" 2
            for rig in ${2//,/ }; do
                check_rig "$rig"
                without+="$rig "
            done
            shift
            ;;
        -*) fail "$1: unknown option (see tests/run.sh --help)" 2 ;;
        *)
            check_rig "$1"
            wanted+=("$1")
            ;;
    esac
    shift
done
grep -q "\"name\": \"$preset\"" CMakePresets.json ||
    fail "$preset: no such preset (see cmake --list-presets)" 2
if [ ${#wanted[@]} = 0 ]; then
    for rig in $(rigs); do
        [[ $on_request == *" $rig "* ]] || wanted+=("$rig")
    done
    without+="mutants "
fi

labels=""
scripts=()
needs_build=no
for rig in "${wanted[@]}"; do
    [[ $without != *" $rig "* ]] || continue
    if ! is_script "$rig"; then
        labels+="${labels:+|}$rig"
        needs_build=yes
    else
        scripts+=("$rig")
        grep -q '^# rig: builds for itself' "tests/$rig/run.sh" || needs_build=yes
    fi
done

sections=(run test)
case $preset in clang | *san | *san-clang | fuzz) sections+=(ci) ;; esac
.ci/packages.sh "${sections[@]}"

build=$root/build/$preset
results=$build/results
rm -rf "$results"
mkdir -p "$results"

# What a rig is told.
export SHMBUS_SOURCE_FOLDER=$root SHMBUS_BUILD_FOLDER=$build SHMBUS_PRESET=$preset
limit_s=900
if [ -n "${SHMBUS_TEST_LONG:-}" ]; then
    limit_s=14400
    export CK_TIMEOUT_MULTIPLIER=${CK_TIMEOUT_MULTIPLIER:-60}
fi
case $preset in
    *san | *san-clang | coverage | fuzz) export CK_TIMEOUT_MULTIPLIER=${CK_TIMEOUT_MULTIPLIER:-4} ;;
esac
export UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1}

# Everything of shmbus's that stands in /dev/shm.
segments()
{
    find /dev/shm -maxdepth 1 \
        \( -name 'shmbus.*' -o -name 'shmbus-test.*' -o -name '.shmbus-tmp.*' \) -printf '%f\n' |
        sort
}

# The processes, one a line, that this run started and that still live.
mark=$$-$RANDOM$RANDOM
ours()
{
    # environ is cut at NUL; a process that ends meanwhile, or is not ours to read, is no matter.
    grep -lsxzF -- "SHMBUS_TEST_RUN=$mark" /proc/[0-9]*/environ | cut -d/ -f3 || true
}

# Has a process that is not of this run (another run beside it) a lock in this segment? Those of this
# run have ended. Nobody's maps are read: that would keep the locks of the other run's dead.
is_foreign()
{
    local major minor inode
    {
        find "/dev/shm/$1" -type f -exec stat --format='%Hd %Ld %i' {} + 2>/dev/null || true
    } | while read -r major minor inode; do
        printf ' %02x:%02x:%s \n' "$major" "$minor" "$inode"
    done | grep -F -f - /proc/locks >/dev/null
}

# Says FAIL for each process that the tests left running, and each segment that they left behind.
# A segment may belong to another run on this machine: what goes away within seconds is not ours.
check_leftovers()
{
    local pid name try left=() status=0
    for pid in $(ours); do
        name=$(tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null) || continue
        echo "FAIL leftovers: process $pid is still running (ended now): $name"
        kill -KILL "$pid" 2>/dev/null || true
        status=1
    done
    for try in 1 2 3 4 5; do
        left=()
        for name in $(comm -13 "$results/segments.before" <(segments)); do
            is_foreign "$name" || left+=("$name")
        done
        if [ ${#left[@]} = 0 ] || [ "$try" = 5 ]; then break; fi
        sleep 1
    done
    for name in "${left[@]}"; do
        echo "FAIL leftovers: /dev/shm/$name was left behind (remove it; find the test that did)"
        status=1
    done
    return $status
}

# Runs a command with its output shown and kept, for the tally.
keep()
{
    local name=$1 status=0
    shift
    "$@" 2>&1 | tee "$results/$name.log" || status=$?
    echo "$status" >"$results/$name.status"
}

build_all()
{
    local log=$results/build.txt
    echo "run.sh: building $preset in build/$preset"
    if ! { cmake --preset "$preset" && cmake --build "$build" --parallel "$(nproc)"; } \
        >"$log" 2>&1 </dev/null; then
        grep -E '(error|warning|Error|Warning):|CMake Error|undefined reference|FAIL' -A4 "$log" |
            head -n 100 >&2 || true
        tail -n 5 "$log" >&2
        echo "run.sh: build of $preset: failed (all of it is in $log)" >&2
        echo "0 passed, 1 failed, 0 skipped"
        exit 1
    fi
}

segments >"$results/segments.before"
[ "$needs_build" = no ] || build_all

if [ -n "$labels" ]; then
    ctest --test-dir "$build" --show-only=json-v1 >"$results/ctest.json"
    # Unless it is said otherwise, ctest cuts the output of a passed test, and with it the counts.
    without_labels=$(echo "$without" | xargs | tr ' ' '|')
    SHMBUS_TEST_RUN=$mark ctest --test-dir "$build" --label-regex "^($labels)\$" \
        ${without_labels:+--label-exclude "^($without_labels)\$"} \
        --parallel "$(nproc)" --timeout "$limit_s" --output-on-failure --no-tests=error \
        --output-junit "$results/ctest.xml" --test-output-size-passed 10000000 \
        --test-output-size-failed 10000000 </dev/null || true
fi
for rig in "${scripts[@]}"; do
    echo "run.sh: rig $rig"
    keep "$rig" env SHMBUS_TEST_RUN="$mark" timeout --kill-after=10 $((limit_s * 4)) \
        bash "tests/$rig/run.sh" </dev/null
done
if ! check_leftovers >"$results/leftovers.txt"; then
    mv "$results/leftovers.txt" "$results/leftovers.log"
    echo 1 >"$results/leftovers.status"
fi

exec python3 tests/tally.py --skips tests/SKIPS --labels "$labels" "$results"
