#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Fuzzes every target for some time each: README.md. Needs SHMBUS_SOURCE_FOLDER.
#
#   SHMBUS_FUZZ_SECONDS  for each target (10; with SHMBUS_TEST_LONG 300)
#   SHMBUS_FUZZ_TARGETS  which ones (all)
#   SHMBUS_FUZZ_KEEP     where inputs that were found useful are kept, to go on from there
#   SHMBUS_FUZZ_FIGURES  the file that a line of figures for each target is appended to
# The last two are /var/tmp/shmbus-fuzz and /var/tmp/shmbus-fuzz.txt with SHMBUS_TEST_LONG.
set -euo pipefail

source=${SHMBUS_SOURCE_FOLDER:?the folder of the sources}
build=$source/build/fuzz
programs=$build/tests/fuzz
found=$build/found
corpus=$source/tests/fuzz/corpus
seconds=${SHMBUS_FUZZ_SECONDS:-10}
keep=${SHMBUS_FUZZ_KEEP:-}
figures=${SHMBUS_FUZZ_FIGURES:-}
if [ -n "${SHMBUS_TEST_LONG:-}" ]; then
    seconds=${SHMBUS_FUZZ_SECONDS:-300}
    keep=${keep:-/var/tmp/shmbus-fuzz}
    figures=${figures:-/var/tmp/shmbus-fuzz.txt}
fi
read -ra targets <<<"${SHMBUS_FUZZ_TARGETS:-segment options arguments lists input recording}"

if ! command -v clang >/dev/null; then
    echo "SKIP fuzz: no clang"
    exit 77
fi

work=$(mktemp -d /dev/shm/shmbus-test.XXXXXX)
running=
# Ends what is running, and leaves nothing behind.
# shellcheck disable=SC2317 # called by trap
end()
{
    [ -z "$running" ] || kill "$running" 2>/dev/null || true
    rm -rf "$work"
}
trap end EXIT
trap 'exit 1' TERM INT HUP

# run COMMAND...: in the background, so that a signal ends it and this at once.
run()
{
    local status=0
    "$@" &
    running=$!
    wait "$running" || status=$?
    running=
    return $status
}

build_targets()
{
    cd "$source"
    run cmake --preset fuzz && run cmake --build "$build" --parallel "$(nproc)" --target fuzz_targets
}

# The value of one of libFuzzer's final figures.
figure()
{
    sed -n "s/^stat::$1: *//p" "$2" | tail -n 1
}

# One target; says its verdict. An input that fails is kept in build/fuzz/found.
fuzz()
{
    local target=$1 status=0 log=$work/$1.txt line kept input
    kept=${keep:+$keep/$target}
    kept=${kept:-$work/$target}
    mkdir -p "$kept" "$found" "$work/buses"
    export SHMBUS_DIR=$work/buses
    run "$programs/fuzz_$target" -max_total_time="$seconds" -max_len=32768 -timeout=60 \
        -rss_limit_mb=4096 -handle_xfsz=0 -close_fd_mask=3 -print_final_stats=1 \
        -artifact_prefix="$found/$target-" "$kept" "$corpus/$target" >"$log" 2>&1 || status=$?
    line="fuzz $target: $seconds s, $(figure number_of_executed_units "$log") inputs,"
    line+=" coverage $(sed -n 's/.* cov: \([0-9]*\) .*/\1/p' "$log" | tail -n 1),"
    line+=" $([ $status = 0 ] && echo 0 || echo 1) found"
    echo "$line"
    [ -z "$figures" ] || echo "$(date -u +%FT%TZ) $line" >>"$figures"
    if [ $status = 0 ]; then
        echo "PASS fuzz_$target"
        return 0
    fi
    grep -aE 'ERROR|SUMMARY|runtime error|^fuzz: found|^ +#[0-9]+ ' "$log" | head -n 30
    input=$(sed -n 's/.*Test unit written to //p' "$log" | tail -n 1)
    echo "FAIL fuzz_$target: ended with $status; again:" \
        "SHMBUS_DIR=\$(mktemp -d) $programs/fuzz_$target -handle_xfsz=0 ${input:-(no input kept)}"
    return 1
}

# AFL++ on the first target, without its own seeds' blessing: that it builds, runs and finds paths.
afl()
{
    local folder=$work/afl status=0 log=$work/afl.txt
    local sources=("$source"/tests/fuzz/{segment,bed,case,steps,look}.c
        "$source"/tools/{cli,stat_json,stat_page,stat_words,text}.c)
    mapfile -t -O ${#sources[@]} sources \
        < <(find "$source/libshmbus/src" -name '*.c' -not -path '*/record/*')
    local flags=(-std=c11 -O1 -g -D_GNU_SOURCE -DSHMBUS_VERSION_TEXT='"fuzz"'
        -I"$source/libshmbus/src" -I"$source/libshmbus/include" -I"$source/tools")
    mkdir -p "$folder" "$work/buses"
    export SHMBUS_DIR=$work/buses
    run afl-clang-fast "${flags[@]}" -fsanitize=fuzzer -Wl,--wrap=nanosleep,--wrap=clock_gettime \
        -o "$folder/target" "${sources[@]}" -lnuma -lpthread >"$log" 2>&1 || status=$?
    if [ $status = 0 ] && run clang -fPIC -shared "${flags[@]}" \
        -o "$folder/mutator.so" "$source"/tests/fuzz/{afl,mutate,case}.c \
        "$source"/libshmbus/src/{layout/*,error/*}.c >>"$log" 2>&1; then
        export AFL_CUSTOM_MUTATOR_LIBRARY=$folder/mutator.so AFL_NO_UI=1 AFL_SKIP_CPUFREQ=1 \
            AFL_NO_AFFINITY=1 AFL_I_DONT_CARE_ABOUT_MISSING_CRASHES=1 AFL_NO_AUTODICT=1
        run afl-fuzz -V "$seconds" -t 20000 -m none -i "$corpus/segment" -o "$folder/out" -- \
            "$folder/target" >>"$log" 2>&1 || status=$?
    else
        status=1
    fi
    local stats=$folder/out/default/fuzzer_stats crashes=0
    crashes=$(sed -n 's/^saved_crashes *: //p' "$stats" 2>/dev/null || true)
    if [ $status != 0 ] || [ "${crashes:-1}" != 0 ]; then
        cp "$folder"/out/default/crashes/id* "$found/" 2>/dev/null || true
        tail -n 5 "$log"
        echo "FAIL fuzz_afl: ended with $status, ${crashes:-no} crashes (inputs: $found)"
        return 1
    fi
    echo "fuzz afl: $seconds s, $(sed -n 's/^execs_done *: //p' "$stats") inputs," \
        "$(sed -n 's/^corpus_count *: //p' "$stats") paths, 0 found"
    echo "PASS fuzz_afl"
}

if ! build_targets >"$work/build.txt" 2>&1; then
    grep -E '(error|Error):|undefined reference' "$work/build.txt" | head -n 20
    echo "FAIL fuzz: the targets do not build"
    exit 1
fi
result=0
for target in "${targets[@]}"; do
    fuzz "$target" || result=1
done
if [ -n "${SHMBUS_FUZZ_TARGETS:-}" ]; then
    exit $result
fi
if command -v afl-fuzz >/dev/null; then
    afl || result=1
else
    echo "SKIP fuzz_afl: no afl++"
fi
exit $result
