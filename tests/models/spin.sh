#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# spin.sh MODEL [DEFINITION...]: explores a Promela model in full: first its assertions and end
# states, then its liveness under weak fairness. Says how many states, or what failed.
set -euo pipefail

model=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)/$1.pml
shift
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

spin "$@" -a "$model" >spin.txt 2>&1 || { tail -n 1 spin.txt; exit 1; }
states=""
for kind in safety liveness; do
    options=(-m1000000)
    how=(-DSAFETY -DNOCLAIM)
    if [ $kind = liveness ]; then
        options+=(-a -f)
        how=(-DNFAIR=3)
    fi
    "${SHMBUS_CC:-cc}" -O1 -w -DMEMLIM=4096 "${how[@]}" -o $kind pan.c
    ./$kind "${options[@]}" >$kind.txt 2>&1 || true
    # A search that was cut short found no errors either.
    if ! grep 'errors: 0$' $kind.txt >/dev/null ||
        grep -E 'max search depth|out of memory' $kind.txt >/dev/null; then
        echo "$kind: $(grep -m 1 '^pan:' $kind.txt)"
        exit 1
    fi
    states+="${states:+, }$kind $(awk '/states, stored/ { print $1 }' $kind.txt) states"
done
echo "$states"
