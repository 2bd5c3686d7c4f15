#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Explores every C model in full, under RC11 and IMM, by the stateless model checker GenMC; then
# every fault that it has to catch: the orders of the list "weaker" and the patches of mutants/.
#
#   SHMBUS_GENMC=FOLDER tests/models/genmc.sh
#
# FOLDER is where GenMC 0.10 was built with LLVM 14, with genmc and include/ in it; needs clang and
# opt of the same LLVM (SHMBUS_LLVM, the suffix of their names: "-14").
set -euo pipefail
SHMBUS_SOURCE_FOLDER=${SHMBUS_SOURCE_FOLDER:-$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)}
# shellcheck source=tests/models/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
checker=${SHMBUS_GENMC:?the folder that GenMC was built in}
suffix=${SHMBUS_LLVM:--14}
limit_s=${SHMBUS_GENMC_SECONDS:-1800}

# Copies of structs as the checker can read them.
copy='call void @llvm\.memcpy\.p0i8\.p0i8\.i64\(i8\* align 8 (%[^,]+), i8\* align 8 (%[^,]+), i64'
copy_words="s/$copy (32|40), i1 false\)/call void @checker_copy_words(i8* \\1, i8* \\2, i64 \\3)/"
# A claim, which has words of several sizes, is left to the checker to take apart.
copy_words="/= bitcast %struct\.shmbus_claim\*/,/llvm\.memcpy/b; $copy_words"
copy_slab="s/$copy 24, i1 false\)/call void @checker_copy_slab(i8* \\1, i8* \\2)/"

# check NAME SRC MODEL: explores a model over these sources; what the checker says.
check()
{
    local name=$1 src=$2 words options=(--disable-estimation "--$3") before=() level=(-O0)
    local folder copies=$copy_words
    folder=$(mktemp -d -p "$work")
    read -r -a words <<<"$(of_list "$name")"
    level+=(-Xclang -disable-O0-optnone)
    # A local variable of what is called in a loop is free too early for the checker, unless inlined.
    if [ "${words[1]}" = slabs ]; then
        copies="$copy_words; $copy_slab"
    fi
    if [[ "${words[1]}" =~ ^(inline|slabs)$ ]]; then
        before=(-inline)
        level=(-O1 -Xclang -disable-llvm-passes)
    elif [ "${words[1]}" = rounds ]; then
        options+=(--unroll=4)
    elif [ "${words[1]}" = racing ]; then
        options+=(--disable-race-detection)
    fi
    # No private variable is in memory then, nor anything that is not called.
    # shellcheck disable=SC2046 # one flag a word
    "clang$suffix" $(flags "$src") -w -D__CONFIG_GENMC_INODE_DATA_SIZE=64 \
        -isystem "$checker/include" -include "$models/checker.h" "${words[@]:2}" "${level[@]}" \
        -fno-discard-value-names -emit-llvm -S -o - "$models/${words[0]}.c" |
        sed -E "$copies" >"$folder/all.ll"
    "opt$suffix" -enable-new-pm=0 -internalize -internalize-public-api-list=main "${before[@]}" \
        -sroa -globaldce "$folder/all.ll" -o "$folder/model.bc"
    timeout "$limit_s" "$checker/genmc" "${options[@]}" --input-from-bitcode-file \
        "$folder/model.bc" 2>&1 || true
    rm -rf "$folder"
}

explore()
{
    local name=${1%% *} model=${1##* } text
    text=$(check "$name" "$source/libshmbus/src" "$model")
    if grep -F 'No errors were detected' <<<"$text" >/dev/null; then
        echo "PASS ${model}_$name: $(sed -n 's/^Number of complete executions explored: //p' \
            <<<"$text") executions, $(sed -n 's/^Total wall-clock time: //p' <<<"$text")"
    else
        echo "FAIL ${model}_$name: $(grep -m 1 -iE 'error|violation' <<<"$text" || echo cut short)"
    fi
}

# judge WHAT NAME FOLDER: a model over faulty sources has to fail.
judge()
{
    local text found
    text=$(check "$2" "$3/src" rc11)
    found=$(grep -m 1 -E '^Error: (Safety violation|Non-atomic race)' <<<"$text" || true)
    if [ -n "$found" ]; then
        echo "PASS mutant_$2: $1: ${found#Error: }"
    else
        echo "FAIL mutant_$2: $1 was not caught: $(grep -m 1 -iE 'error' <<<"$text")"
    fi
}

weaker()
{
    local site order name
    read -r site order name _ <<<"$1"
    mutant_source "$work/$site.$name.$order" "$site" "$order"
    judge "$site $order" "$name" "$work/$site.$name.$order"
}

patched()
{
    local name
    name=$(sed -n '1s/^# model: //p' "$models/mutants/$1.patch")
    mutant_source "$work/$1" "$models/mutants/$1.patch"
    judge "$1" "$name" "$work/$1"
}

began=$SECONDS
many explore < <(awk '!/^#/ { print $1, "rc11" } !/^#/ && $3 !~ /^(rounds|rc11)$/ { print $1, "imm" }' \
    "$models/list")
good=$passed
bad=$failed
many weaker < <(grep -v '^#' "$models/weaker")
caught=$passed
missed=$failed
many patched < <(find "$models/mutants" -name '*.patch' -printf '%f\n' | sed 's/\.patch$//' | sort)
caught=$((caught + passed))
missed=$((missed + failed))
echo "genmc: $good explorations without error, $bad not; $((caught + missed)) mutants," \
    "$caught caught; $((SECONDS - began)) s; $("$checker/genmc" --version | grep -oE "GenMC v[0-9.]+")"
[ $((bad + missed)) = 0 ]
