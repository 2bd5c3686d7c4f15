#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Builds shmbus for arm64 and runs there, under qemu-user, what that emulates well; builds it for
# s390x, whose byte order is the other one, and sees that each side refuses the other's bus.
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

# The programs of these tests: README.md says why not all.
tests=(layout_page
    unit_stamps unit_pool unit_wait unit_takeover unit_heads
    message_claim message_publish message_batch message_slabs message_exhaust message_arena
    message_book message_poll message_retain message_full message_flush message_ends message_evict
    message_many message_wrap message_threads
    kinds_observer kinds_required kinds_types death_replace death_rejoin
    segment_names segment_pools segment_files segment_windows segment_look segment_leaks
    segment_replace)
if [ -n "${SHMBUS_TEST_LONG:-}" ]; then
    tests+=(among_holes among_ends death_full death_resume death_takeover segment_options
        segment_layout segment_damage segment_races segment_permission affinity_choose
        affinity_limits waiting_options)
fi

# Unpacks the libraries of other architectures, with package lists of their own: these packages are
# not installed, and apt's own settings stay as they are.
fetch_libraries()
{
    local name package packages=() options
    for name in arm64 s390x; do
        [ -e "$root/$name/whole" ] || break
    done
    [ ! -e "$root/$name/whole" ] || return 0
    rm -rf "$root"
    mkdir -p "$root"/{lists,cache/archives}/partial "$root"/{arm64,s390x}
    options=(-q -o APT::Architectures::=arm64 -o APT::Architectures::=s390x
        -o "Dir::State::lists=$PWD/$root/lists" -o "Dir::Cache=$PWD/$root/cache"
        -o Acquire::Languages=none)
    apt-get "${options[@]}" update || return 1
    for name in arm64 s390x; do
        packages=()
        for package in check libsubunit0 libsubunit-dev libnuma1 libnuma-dev; do
            packages+=("$package:$name")
        done
        (cd "$root/$name" && apt-get "${options[@]}" download "${packages[@]}") || return 1
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

# shellcheck disable=SC2317  # refused calls it, too
other()
{
    local triplet=s390x-linux-gnu name=$1
    shift
    timeout 60 qemu-s390x -L "/usr/$triplet" -E "LD_LIBRARY_PATH=$root/s390x/usr/lib/$triplet" \
        "build/s390x/tools/$name" "$@"
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

# refused NAME THEIRS OURS COMMAND...: fails, and names both byte orders.
refused()
{
    local name=$1 theirs=$2 ours=$3 said code=0
    shift 3
    said=$("$@" 2>&1 </dev/null) || code=$?
    if [ $code != 0 ] && [[ $said == *"other byte order (0x$theirs, here 0x$ours)"* ]]; then
        echo "PASS $name"
    else
        echo "FAIL $name: ended with $code: $said"
        status=1
    fi
}

said=$(.ci/packages.sh arch 2>&1) || skip "${said##*$'\n'}"
mkdir -p build
fetch_libraries >build/arch-download.txt 2>&1 ||
    skip "no libraries of other architectures to be had: $(tail -n 1 build/arch-download.txt)"

build arm64 "${tests[@]/#/test_}"
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
if other shmbus-stat big >"$work/own.txt" 2>&1; then
    echo "PASS big_reads_its_own"
else
    echo "FAIL big_reads_its_own: $(cat "$work/own.txt")"
    status=1
fi
for tool in stat sub; do
    refused "big_refuses_little_$tool" 04030201 01020304 other shmbus-$tool little
    refused "little_refuses_big_$tool" 04030201 01020304 timeout 60 "$native/shmbus-$tool" big
done
exit $status
