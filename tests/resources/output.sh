#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# shellcheck disable=SC2317 # finish is called by the trap
# The disk that tools write to is full: said, with exit status 1, and with --grace nothing is lost.
set -euo pipefail

tools=${SHMBUS_BUILD_FOLDER:?the folder of the build}/tools
work=$(mktemp -d)
SHMBUS_DIR=$(mktemp -d /dev/shm/shmbus-test.XXXXXX)
export SHMBUS_DIR
publisher=""
mounted=""

finish()
{
    [ -z "$publisher" ] || kill -KILL "$publisher" 2>/dev/null || true
    [ -z "$mounted" ] || umount "$mounted" || true
    rm -rf "$work" "$SHMBUS_DIR"
}
trap finish EXIT

count=20000
status=0

check()
{
    if [ "$2" = "$3" ]; then
        echo "PASS $1"
    else
        echo "FAIL $1: $2, not $3"
        status=1
    fi
}

if mount -t tmpfs -o size=64k none "$work" 2>/dev/null; then
    mounted=$work
    seq $count | "$tools/shmbus-pub" --wait-consumers 1 full &
    publisher=$!
    code=0
    "$tools/shmbus-sub" --required --name kept --grace 60 --wait 60 --from oldest full \
        >"$work/first" 2>"$SHMBUS_DIR/said" || code=$?
    check sub_on_a_full_disk "$code" 1
    check its_error "$(grep -c 'standard output: No space left on device (the place of .kept. is kept for 60 s' \
        "$SHMBUS_DIR/said")" 1
    # The last line may be cut; what was not written whole comes again.
    head -n -1 "$work/first" >"$SHMBUS_DIR/all"
    "$tools/shmbus-sub" --required --name kept --grace 60 full >"$SHMBUS_DIR/second"
    wait $publisher
    publisher=""
    cat "$SHMBUS_DIR/second" >>"$SHMBUS_DIR/all"
    check nothing_is_lost "$(sort -nu "$SHMBUS_DIR/all" | md5sum)" "$(seq $count | md5sum)"
    check both_had_some "$([ -s "$work/first" ] && [ -s "$SHMBUS_DIR/second" ] && echo yes)" yes
    rm -f "$SHMBUS_DIR"/{said,all,second}
else
    echo "SKIP a_full_disk: needs the right to mount a tmpfs"
fi

echo one | "$tools/shmbus-pub" --keep kept
for words in "shmbus-stat kept" "shmbus-stat --json kept" "shmbus-stat" "shmbus-stat --help"; do
    code=0
    # shellcheck disable=SC2086 # words of a command line
    "$tools"/$words >/dev/full 2>"$SHMBUS_DIR/said" || code=$?
    check "${words// /_}_on_a_full_disk" "$code $(grep -c 'No space left' "$SHMBUS_DIR/said")" "1 1"
done
exit $status
