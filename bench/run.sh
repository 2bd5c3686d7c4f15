#!/bin/sh
# SPDX-License-Identifier: MIT
# Builds the benchmark with the settings of a release and runs it:
#
#   bench/run.sh [--quick] [--only TEST] [--json FILE] [OPTION]...
#   bench/run.sh --gate [--pairs N] [--json FILE] [OPTION]...
#
# The first runs all tests, prints a table and writes results.json and beside it report.html, in the
# build folder unless --json says otherwise; the second measures what shmbus has to reach, row by
# row. Other options go to shmbus-bench; see --help. SHMBUS_BENCH_BUILD names another folder to build
# in. What is compared to is what is installed: .ci/packages.sh bench.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
build=${SHMBUS_BENCH_BUILD:-$root/build-bench}

fail()
{
    echo "run.sh: $1" >&2
    exit 1
}

# iceoryx's daemon, for as long as this script runs; one that somebody has started serves as well.
start_daemon()
{
    command -v iox-roudi >/dev/null && [ -e "$build/bench/peers/iceoryx.so" ] || return 0
    iox-roudi --log-level off >/dev/null 2>&1 &
    daemon=$!
    trap 'kill $daemon 2>/dev/null; wait $daemon 2>/dev/null' EXIT
    trap 'exit 130' INT TERM HUP
    sleep 2
}

if ! log=$(cmake -S "$root" -B "$build" -DCMAKE_BUILD_TYPE=Release -DSHMBUS_BENCH=ON \
    -DSHMBUS_TOOLS=OFF -DSHMBUS_EXAMPLES=OFF -DSHMBUS_TESTS=OFF -DSHMBUS_MANUAL=OFF 2>&1 &&
    cmake --build "$build" --parallel 2>&1); then
    printf '%s\n' "$log" >&2
    fail "the benchmark does not build; see above"
fi
printf '%s\n' "$log" | sed -n 's/^-- benchmark: //p'

json=
previous=
kind=all
for word in "$@"; do
    case $word in
        --gate) kind=gate ;;
        --help | --version | --list | --vs | --single) kind=plain ;;
    esac
    [ "$previous" != --json ] || json=$word
    previous=$word
done

if [ $kind = plain ]; then
    exec "$build/bench/shmbus-bench" "$@"
fi
start_daemon
status=0
if [ $kind = gate ]; then
    count=$#
    while [ "$count" -gt 0 ]; do # all words but --gate, in their order
        word=$1
        shift
        [ "$word" = --gate ] || set -- "$@" "$word"
        count=$((count - 1))
    done
    python3 "$root/bench/gate.py" "$build/bench" "$@" || status=$?
    exit $status
fi
if [ -z "$json" ]; then
    json=$build/results.json
    set -- "$@" --json "$json"
fi
"$build/bench/shmbus-bench" "$@" || status=$?
if [ "$json" != - ] && [ -s "$json" ]; then
    report=$(dirname "$json")/report.html
    python3 "$root/bench/report.py" "$json" >"$report" || fail "the report could not be made"
    echo "results: $json; report: $report"
fi
exit $status
