#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Boots a machine of two nodes, one of four, and one of three of which the last has CPUs only, and runs
# the NUMA tests there; on that of two (in the long form also on that of four) those of segments and of
# CPUs that depend on nodes, too.
#
# Needs SHMBUS_SOURCE_FOLDER, SHMBUS_BUILD_FOLDER, SHMBUS_NUMA_RIG (the program) and
# SHMBUS_NUMA_TESTS (the other programs, a space between two).
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# shellcheck source=tests/numa/boot.sh
. "${SHMBUS_SOURCE_FOLDER:?the folder of the sources}/tests/numa/boot.sh"
need_machine numa

read -ra others <<<"${SHMBUS_NUMA_TESTS:?the other programs}"
root=$work/root
make_root "$root"
for program in "${SHMBUS_NUMA_RIG:?the program}" "${others[@]}"; do
    add_program "$root" "$program"
done

# machine NODES PROGRAM...
machine()
{
    local nodes=$1 status=0 started=$SECONDS
    shift
    cp -r "$root" "$work/root-$nodes"
    cat >"$work/root-$nodes/rig/job" <<JOB
export LD_LIBRARY_PATH=/rig/lib CK_DEFAULT_TIMEOUT=60 CK_TIMEOUT_MULTIPLIER=4
status=0
for program in $(basename -a "$@" | xargs); do
    timeout 500 ./\$program || [ \$? = 77 ] || status=1
done
exit \$status
JOB
    local bare=
    [ "$nodes" != 3 ] || bare=bare
    boot "$work/root-$nodes" "$nodes" "$work/nodes-$nodes" "$bare" || status=1
    echo "$status $((SECONDS - started))" >"$work/nodes-$nodes.status"
}
machine 2 "$SHMBUS_NUMA_RIG" "${others[@]}" &
if [ -n "${SHMBUS_TEST_LONG:-}" ]; then
    machine 4 "$SHMBUS_NUMA_RIG" "${others[@]}" &
else
    machine 4 "$SHMBUS_NUMA_RIG" &
fi
machine 3 "$SHMBUS_NUMA_RIG" &
wait

failed=0
for nodes in 2 3 4; do
    read -r status seconds <"$work/nodes-$nodes.status"
    echo "numa: $nodes nodes, $seconds s"
    cat "$work/nodes-$nodes" 2>/dev/null || true
    if [ "$status" != 0 ]; then
        failed=1
        echo "FAIL numa_$nodes: the machine's last words:"
        cat "$work/nodes-$nodes.qemu"
        tail -n 40 "$work/nodes-$nodes.kernel"
    else
        echo "PASS numa_$nodes"
    fi
done
exit $failed
