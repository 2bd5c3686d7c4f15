#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Shows that the rig can fail: builds the library once for each patch of mutants/, which puts one
# defect into a copy of one of its sources, boots a machine of two nodes with them, and one with a node
# without memory, and sees that the test that a patch names in its first line ("# test: NAME") fails
# there with that library. With the true one it passes: numa.sh.
#
# Needs SHMBUS_SOURCE_FOLDER, SHMBUS_BUILD_FOLDER and SHMBUS_NUMA_RIG (the program); SHMBUS_CC: the
# compiler.
set -euo pipefail

rig=${SHMBUS_NUMA_RIG:?the program}
compiler=${SHMBUS_CC:-cc}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# shellcheck source=tests/numa/boot.sh
. "${SHMBUS_SOURCE_FOLDER:?the folder of the sources}/tests/numa/boot.sh"
need_machine numa_mutants

root=$work/root
make_root "$root"
add_program "$root" "$rig"
mkdir "$root/rig/mutants"

# compile SOURCES FILE OBJECT: FILE is relative to the folder SOURCES.
compile()
{
    "$compiler" -std=c11 -O1 -fPIC -fvisibility=hidden -D_GNU_SOURCE \
        -DSHMBUS_VERSION_TEXT='"mutant"' -I"$1" -I"$source/libshmbus/include" -c -o "$3" "$1/$2"
}

# What all have in common: an object of each source, its slashes turned into dashes.
compile_all()
{
    local file running=0
    mkdir "$work/objects"
    while read -r file; do
        [ "$running" -lt "$(nproc)" ] || { wait -n; running=$((running - 1)); }
        compile "$source/libshmbus/src" "$file" "$work/objects/${file//\//-}.o" &
        running=$((running + 1))
    done < <(cd "$source/libshmbus/src" && find . -name '*.c' -not -path '*/record/*' -printf '%P\n')
    wait
}

# build FOLDER FILE NAME: the library of one mutant, which has another FILE.
build()
{
    local objects object=$work/objects/${2//\//-}.o
    mapfile -t objects < <(find "$work/objects" -name '*.o' ! -path "$object")
    compile "$1/src" "$2" "$1/mutant.o" &&
        "$compiler" -shared -Wl,-soname,libshmbus.so.0 -Wl,-z,now \
            -o "$root/rig/mutants/$3/libshmbus.so.0" "$1/mutant.o" "${objects[@]}" -lnuma -lpthread
}

# Makes one mutant; why it cannot be made goes to FOLDER/verdict.
make_mutant()
{
    local name=$1 folder=$work/$1 file
    mkdir "$folder" "$root/rig/mutants/$name"
    cp -r "$source/libshmbus/src" "$folder/src"
    file=$(sed -n 's,^+++ b/libshmbus/src/,,p' "$source/tests/numa/mutants/$name.patch")
    if ! patch -s -d "$folder" -p2 <"$source/tests/numa/mutants/$name.patch" \
        >"$folder/patch.txt" 2>&1; then
        echo "FAIL mutant_$name: does not apply any more: $(tail -n 1 "$folder/patch.txt")"
    elif ! build "$folder" "$file" "$name" >"$folder/build.txt" 2>&1; then
        echo "FAIL mutant_$name: does not build: $(grep -m 1 error "$folder/build.txt")"
    fi >"$folder/verdict"
}

compile_all
names=()
for patch in "$source"/tests/numa/mutants/*.patch; do
    names+=("$(basename "$patch" .patch)")
done
for name in "${names[@]}"; do
    make_mutant "$name"
done

# test_of NAME: the test that a mutant's patch names.
test_of()
{
    sed -n '1s/^# test: //p' "$source/tests/numa/mutants/$1.patch"
}

# run_machine NODES [BARE]: those mutants whose test is for that machine (boot.sh).
run_machine()
{
    local nodes=$1 bare=${2:-} own name test kind
    own=$root-$nodes
    cp -r "$root" "$own"
    {
        echo 'export CK_DEFAULT_TIMEOUT=60 CK_TIMEOUT_MULTIPLIER=4'
        for name in "${names[@]}"; do
            test=$(test_of "$name")
            kind=
            [ "$test" != a_node_without_memory ] || kind=bare
            [ "$kind" = "$bare" ] || continue
            cat <<JOB
status=0
LD_LIBRARY_PATH=/rig/mutants/$name CK_RUN_CASE=$test timeout 200 ./$(basename "$rig") >/tmp/said 2>&1 ||
    status=\$?
echo "RAN $name \$status \$(grep -m 1 ':[FE]:' /tmp/said)"
JOB
        done
        echo 'exit 0'
    } >"$own/rig/job"
    boot "$own" "$nodes" "$work/log-$nodes" "$bare" || {
        echo "FAIL numa_mutants: the machine of $nodes nodes did not get to the end:"
        cat "$work/log-$nodes.qemu"
        tail -n 40 "$work/log-$nodes.kernel"
    }
}
run_machine 2 &
run_machine 3 bare &
wait
cat "$work"/log-[23] >"$work/log"

caught=0
for name in "${names[@]}"; do
    if [ -s "$work/$name/verdict" ]; then
        cat "$work/$name/verdict"
    elif grep "^RAN $name 1 .*:[FE]:" "$work/log" >/dev/null; then
        caught=$((caught + 1))
        echo "PASS mutant_$name: caught: $(sed -n "s,^RAN $name 1 [^:]*:[0-9]*:[FE]:,,p" "$work/log" | tr -d '\r')"
    else
        echo "FAIL mutant_$name: not caught: $(grep "^RAN $name " "$work/log" || true)"
    fi
done
echo "numa: ${#names[@]} mutants, $caught caught"
[ "$caught" = "${#names[@]}" ]
