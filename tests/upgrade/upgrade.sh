#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# shellcheck disable=SC2317 # some functions are called by until_so, by name
# A reader one minor layout version older or newer works on a live bus, or refuses with the feature
# named; a producer takes over from an older one, and not from a newer one. Two builds, all over
# processes: the tools, with this library or with a later one in its place.
set -euo pipefail

source=${SHMBUS_SOURCE_FOLDER:?the folder of the sources}
tools=${SHMBUS_TOOLS:?the folder of the tools}
here=$source/tests/upgrade
work=$(mktemp -d)
SHMBUS_DIR=$(mktemp -d /dev/shm/shmbus-test.XXXXXX)
export SHMBUS_DIR
# Only what was started here is ended.
cleanup()
{
    # shellcheck disable=SC2046 # a list of numbers
    kill -9 $(jobs -p) 2>/dev/null || true
    wait 2>/dev/null || true
    rm -rf "$work" "$SHMBUS_DIR"
}
trap cleanup EXIT

bash "$here/next.sh" "$source" "$work/minor" minor
bash "$here/next.sh" "$source" "$work/feature" feature

status=0
case=none
ok=yes
begin()
{
    case=$1
    ok=yes
}
pass() { [ $ok = no ] || echo "PASS $case"; }
fail()
{
    echo "FAIL $case: $1"
    status=1
    ok=no
}

# run LIBRARY TOOL ARGUMENT...: LIBRARY is old, minor or feature.
run()
{
    local library=$1 tool=$2
    shift 2
    exec 3>&- # or the publisher's input would have no end
    if [ "$library" = old ]; then
        exec "$tools/shmbus-$tool" "$@"
    fi
    LD_PRELOAD=$work/$library/libshmbus.so exec "$tools/shmbus-$tool" "$@"
}

# until COMMAND...: waits until it succeeds.
until_so()
{
    local i
    for ((i = 0; i < 2000; i++)); do
        if "$@" >/dev/null 2>&1; then return 0; fi
        sleep 0.02
    done
    fail "waited in vain for: $*"
    return 1
}

lines() { [ "$(wc -l <"$1")" -ge "$2" ]; }
word() { od -An -t u4 -j "$2" -N 4 "$1" | tr -d ' '; }

# The shown version, by the tools of LIBRARY.
shown() { (run "$1" stat "$2") | grep -o 'layout [0-9.]*' | head -n 1; }

# cross NAME WRITER READER...: a bus of one library is read by others as it grows, to its end.
cross()
{
    local writer=$2 reader i readers=()
    begin "$1"
    shift 2
    mkfifo "$work/in"
    (run "$writer" pub --wait-consumers $# "$case" <"$work/in" 2>"$work/pub.err") &
    writer_pid=$!
    exec 3>"$work/in"
    i=0
    for reader in "$@"; do
        (run "$reader" sub --required --from oldest --wait 30 "$case" >"$work/$i.out" \
            2>"$work/$i.err") &
        readers+=($!)
        i=$((i + 1))
    done
    seq 1 5000 >&3
    until_so lines "$work/0.out" 5000
    (run "$writer" sub --observe --from oldest --count 1 "$case" >/dev/null 2>&1) || true
    seq 5001 10000 >&3
    exec 3>&-
    for ((i = 0; i < ${#readers[@]}; i++)); do
        wait "${readers[$i]}" || { fail "a reader ended badly: $(cat "$work/$i.err")"; }
        cmp -s "$work/$i.out" <(seq 1 10000) || fail "reader $i got something else"
    done
    wait $writer_pid || fail "the writer ended badly"
    rm "$work/in"
    [ ! -s "$work/pub.err" ] || fail "the writer said: $(head -n 1 "$work/pub.err")"
    pass
}

cross old_reader_on_a_new_bus minor old
cross new_reader_on_an_old_bus old minor
cross both_on_a_new_bus minor old minor
cross both_on_an_old_bus old minor old
cross a_new_feature_among_its_own feature feature

# kept LIBRARY BUS: a bus with three messages that its producer left behind by kill -9.
kept()
{
    mkfifo "$work/in"
    (run "$1" pub "$2" <"$work/in") &
    local pid=$!
    exec 3>"$work/in"
    seq 1 3 >&3
    until_so has_tail "$2" 3
    kill -9 $pid
    exec 3>&-
    wait $pid 2>/dev/null || true
    rm "$work/in"
}
has_tail() { (run feature stat --json "$1") | grep -qE "\"tail\": *$2[^0-9]"; }

# takeover NAME READER FROM TO: a consumer that stays attached sees no gap.
takeover()
{
    local reader=$2 from=$3 to=$4
    begin "$1"
    kept "$from" "$case"
    (run "$reader" sub --required --from oldest --follow "$case" >"$work/out" 2>"$work/err") &
    local pid=$!
    until_so lines "$work/out" 3
    seq 4 6 | (run "$to" pub "$case" 2>"$work/pub.err") || fail "$(cat "$work/pub.err")"
    grep -q 'goes on at sequence 3' "$work/pub.err" || fail "it said: $(cat "$work/pub.err")"
    wait $pid || fail "the reader ended badly: $(cat "$work/err")"
    cmp -s "$work/out" <(seq 1 6) || fail "the reader got something else"
    pass
}

takeover new_takes_over_from_old old old minor
takeover new_takes_over_read_by_new minor old minor
takeover the_same_takes_over old minor minor

# refused NAME TEXT COMMAND...: ends with 1, and says it.
refused()
{
    local text=$1 code=0
    shift
    ("$@" </dev/null >"$work/said" 2>&1) || code=$?
    [ $code = 1 ] || fail "exit code $code: $(head -n 1 "$work/said")"
    grep -qF -- "$text" "$work/said" || fail "it said: $(head -n 1 "$work/said")"
}

begin old_does_not_publish_on_new
kept minor "$case"
refused 'layout version 1.1, and this library' run old pub "$case"
refused 'publishes on 1.0 to 1.0' run old pub --replace "$case"
seq 4 6 | (run minor pub --keep "$case" 2>"$work/said") || fail "its own could not take over"
grep -q 'goes on at sequence 3' "$work/said" || fail "it was not left alone: $(cat "$work/said")"
pass

begin shown
for library in old minor; do
    version=$(shown "$library" old_does_not_publish_on_new)
    [ "$version" = 'layout 1.1' ] || fail "$library shows $version"
done
pass

begin unknown_feature_is_named
kept feature "$case"
for kind in --required --observe --from=tail; do
    refused 'does not know sealed (0x' run old sub "$kind" "$case"
    refused 'does not know sealed (0x' run minor sub "$kind" "$case"
done
refused 'does not know sealed (0x' run old pub "$case"
refused 'does not know sealed (0x' run old stat --reap "$case"
(run old stat "$case") >"$work/said" 2>&1 || true
grep -q 'does not know sealed' "$work/said" || fail "stat says: $(head -n 3 "$work/said")"
seq 4 6 | (run feature pub "$case" 2>/dev/null) || fail "its own library could not take over"
pass

# An entry of one that knew more is joined by one that knows less: what it does not know is 0.
begin what_an_older_one_does_not_know_is_0
mkfifo "$work/in"
(run minor pub --max-consumers 1 --wait-consumers 1 "$case" <"$work/in") &
exec 3>"$work/in"
control=$SHMBUS_DIR/shmbus.$case/control
(run minor sub --required --from oldest --wait 30 "$case" >"$work/out") &
reader=$!
seq 1 3 >&3
until_so lines "$work/out" 1 || true
later=$((8192 + 824)) # behind the last field of control_entry
[ "$(word "$control" $later)" = 77 ] || fail "the newer one set $(word "$control" $later)"
kill -9 $reader
wait $reader 2>/dev/null || true
(run old sub --required --from oldest "$case" >"$work/out") &
reader=$!
until_so lines "$work/out" 3 || true
[ "$(word "$control" $later)" = 0 ] || fail "the older one left $(word "$control" $later)"
exec 3>&-
wait
rm "$work/in"
pass
exit $status
