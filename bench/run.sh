#!/bin/sh
# SPDX-License-Identifier: MIT
# Builds the benchmark with the settings of a release and runs it. All arguments go to
# shmbus-bench: --quick, --only TEST, --json FILE; see --help. SHMBUS_BENCH_BUILD names another
# folder to build in.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
build=${SHMBUS_BENCH_BUILD:-$root/build-bench}

if ! log=$(cmake -S "$root" -B "$build" -DCMAKE_BUILD_TYPE=Release -DSHMBUS_BENCH=ON \
    -DSHMBUS_TOOLS=OFF -DSHMBUS_EXAMPLES=OFF -DSHMBUS_TESTS=OFF -DSHMBUS_MANUAL=OFF 2>&1 &&
    cmake --build "$build" --parallel 2>&1); then
    printf '%s\n' "$log" >&2
    echo "run.sh: the benchmark does not build; see above" >&2
    exit 1
fi
exec "$build/bench/shmbus-bench" "$@"
