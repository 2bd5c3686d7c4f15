#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Builds shmbus for arm64 and runs there, under qemu-user, what that emulates well, and in the long
# form everything in a whole machine; builds it for s390x, whose byte order is the other one, and sees
# that each side refuses the other's bus. Closes with mutants of what it sees.
set -euo pipefail
cd "${SHMBUS_SOURCE_FOLDER:?the folder of the sources}"

native=${SHMBUS_BUILD_FOLDER:?the folder of the build}/tools
root=build/arch
work=$(mktemp -d /dev/shm/shmbus-test.XXXXXX)
children=()
# shellcheck disable=SC2317  # the trap calls it
cleanup()
{
    [ ${#children[@]} = 0 ] || kill -KILL "${children[@]}" 2>/dev/null || true
    rm -rf "$work"
}
trap cleanup EXIT
status=0

skip()
{
    echo "SKIP arch: $1"
    exit 77
}

# shellcheck source=tests/arch/cases.sh
. tests/arch/cases.sh
# shellcheck source=tests/arch/mutants.sh
. tests/arch/mutants.sh
# shellcheck source=tests/arch/machine.sh
. tests/arch/machine.sh

# The programs of these tests run under qemu-user: README.md says why not all.
tests=(layout_page
    unit_stamps unit_pool unit_wait unit_takeover unit_heads
    message_claim message_publish message_batch message_slabs message_exhaust message_arena
    message_book message_poll message_retain message_full message_flush message_ends message_evict
    message_many message_wrap message_threads
    kinds_observer kinds_required kinds_types death_replace death_rejoin pipeline_words
    segment_names segment_pools segment_files segment_windows segment_look segment_leaks
    segment_replace)
# Those that a whole machine runs.
machine_tests=()
if [ -n "${SHMBUS_TEST_LONG:-}" ]; then
    tests+=(among_holes among_ends death_full death_resume death_takeover segment_options
        segment_layout segment_damage segment_races segment_permission affinity_choose
        affinity_limits waiting_options)
    machine_tests=("${tests[@]:1}" # the first reads the documentation, which is not there
        unit_ring unit_claim unit_gate unit_joiner unit_pool_model unit_holds
        message_hold message_join message_fork message_stress
        kinds_skip kinds_takeover kinds_optional kinds_join kinds_events
        death_health death_exact death_tamper death_reap death_fork
        among_order among_parts among_windows
        pipeline_order pipeline_gone pipeline_back pipeline_cycles
        segment_owner segment_place segment_room segment_hugetlb
        select_event select_selector affinity_settle
        waiting_park waiting_others waiting_death waiting_refused waiting_no_park waiting_stress)
fi

# Package lists of their own for other architectures: what is fetched by them is not installed, and
# apt's own settings stay as they are.
apt_options=(-q -o APT::Architectures::=arm64 -o APT::Architectures::=s390x
    -o "Dir::State::lists=$PWD/$root/lists" -o "Dir::Cache=$PWD/$root/cache"
    -o Acquire::Languages=none)
begin_lists()
{
    mkdir -p "$root"/{lists,cache/archives}/partial
    apt-get "${apt_options[@]}" update
}

# Unpacks the libraries of other architectures.
fetch_libraries()
{
    local name package packages=()
    for name in arm64 s390x; do
        [ -e "$root/$name/whole" ] || break
    done
    [ ! -e "$root/$name/whole" ] || return 0
    rm -rf "$root"
    mkdir -p "$root"/{arm64,s390x}
    begin_lists || return 1
    for name in arm64 s390x; do
        packages=()
        for package in check libsubunit0 libsubunit-dev libnuma1 libnuma-dev; do
            packages+=("$package:$name")
        done
        (cd "$root/$name" && apt-get "${apt_options[@]}" download "${packages[@]}") || return 1
        for package in "$root/$name"/*.deb; do
            dpkg-deb -x "$package" "$root/$name" || return 1
        done
        touch "$root/$name/whole"
    done
    rm -rf "$root"/{lists,cache}
}

# build PRESET TARGET...
build()
{
    local preset=$1
    shift
    if { cmake --preset "$preset" && cmake --build "build/$preset" --parallel "$(nproc)" --target "$@"; } \
        >"$root/$preset.txt" 2>&1; then
        echo "PASS ${preset}_builds"
    else
        grep -E 'error|CMake Error' -A4 "$root/$preset.txt" | head -n 40
        echo "FAIL ${preset}_builds: see $root/$preset.txt"
        exit 1
    fi
}

# Waits until a bus is there; its publisher keeps it until it is killed.
await()
{
    local try
    for ((try = 0; try < 300; try++)); do
        [ ! -d "$work/shmbus.$1" ] || return 0
        sleep 0.1
    done
    echo "FAIL $1: the bus was not made"
    exit 1
}

# verdict CASE: one of cases.sh.
verdict()
{
    said=
    if "$1"; then
        echo "PASS $1"
    else
        echo "FAIL $1: ended with $code: $said"
        status=1
    fi
}

said=$(.ci/packages.sh arch 2>&1) || skip "${said##*$'\n'}"
mkdir -p build
fetch_libraries >build/arch-download.txt 2>&1 ||
    skip "no libraries of other architectures to be had: $(tail -n 1 build/arch-download.txt)"

if [ ${#machine_tests[@]} -gt 0 ]; then
    said=$(.ci/packages.sh arch-machine 2>&1) || skip "${said##*$'\n'}"
    fetch_machine >build/arch-download.txt 2>&1 ||
        skip "no kernel of arm64 to be had: $(tail -n 1 build/arch-download.txt)"
fi
build arm64 "${tests[@]/#/test_}" "${machine_tests[@]/#/test_}" shmbus-pub shmbus-stat
build s390x shmbus-pub shmbus-sub shmbus-stat
pattern=$(IFS='|'; echo "${tests[*]}")
ctest --test-dir build/arm64 -R "^($pattern)\$" --no-tests=error --parallel "$(nproc)" --timeout 300 \
    --output-on-failure >"$root/tests.txt" 2>&1 || true
for name in "${tests[@]}"; do
    if grep -E " $name \.+ +Passed" "$root/tests.txt" >/dev/null; then
        echo "PASS arm64_$name"
    else
        grep -E -A8 " $name \.+.*(Failed|Timeout)" "$root/tests.txt" || true
        echo "FAIL arm64_$name: see $root/tests.txt"
        status=1
    fi
done

if [ ${#machine_tests[@]} -gt 0 ]; then
    run_machine "${machine_tests[@]}" || status=1
fi

export SHMBUS_DIR=$work
mkfifo "$work/lines"
exec 9<>"$work/lines"
"$native/shmbus-pub" little <&9 >"$work/little.txt" 2>&1 &
children+=($!)
await little
qemu-s390x -L /usr/s390x-linux-gnu -E "LD_LIBRARY_PATH=$root/s390x/usr/lib/s390x-linux-gnu" \
    build/s390x/tools/shmbus-pub big <&9 >"$work/big.txt" 2>&1 &
children+=($!)
await big
for case in "${cases[@]}"; do
    verdict "$case"
done
try_mutants || status=1
exit $status
