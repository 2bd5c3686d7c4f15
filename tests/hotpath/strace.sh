#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Runs "hotpath --window" under strace: between the two getppid() of each case, strace must see
# nothing; in the control it must see the one that is put there. HOTPATH: the program.
set -euo pipefail

program=${HOTPATH:?the program of the hot path}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Prints how many windows there were and how many calls within them.
inside()
{
    strace -f -o "$work/trace" "$program" "$1" >"$work/output" 2>&1
    # A line is "PID name(...) = ..."; other threads' calls would count, too.
    awk '$2 ~ /^getppid\(/ { open = !open; windows += open; next } open { calls++ }
         END { print windows + 0, calls + 0 }' "$work/trace"
}

status=0
read -r windows calls < <(inside --window)
if [ "$windows" = 9 ] && [ "$calls" = 0 ]; then
    echo "PASS strace: $windows windows of 1,000,000 messages, $calls system calls"
else
    echo "FAIL strace: $windows windows, $calls system calls"
    status=1
fi
read -r windows calls < <(inside --control)
if [ "$windows" = 1 ] && [ "$calls" -gt 0 ]; then
    echo "PASS strace_control: $windows window, $calls system calls seen, as they must be"
else
    echo "FAIL strace_control: $windows windows, $calls system calls seen"
    status=1
fi
exit $status
