# shellcheck shell=bash
# SPDX-License-Identifier: MIT
# What the scripts of this rig share: what a model is built from, and copies of the library's sources
# with a fault.
source=${SHMBUS_SOURCE_FOLDER:?the folder of the sources}
models=$source/tests/models
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
passed=0
failed=0

# flags SRC: of a compiler, for models over the library in this folder.
flags()
{
    echo "-std=gnu11 -D_GNU_SOURCE -DSHMBUS_VERSION_TEXT=\"models\" -I$models -I$1" \
        "-I$source/libshmbus/include -Wall -Wextra -Werror -Wno-unused-function"
}

say()
{
    if [ "$1" = PASS ]; then passed=$((passed + 1)); else failed=$((failed + 1)); fi
    echo "$*"
}

# of_list NAME: the line of a model, without its name.
of_list()
{
    sed -n "s/^$1 //p" "$models/list"
}

# compile NAME SRC PROGRAM [FLAG...]: builds a model as a program. What it does not call of the
# library is not there.
compile()
{
    local name=$1 src=$2 program=$3 words
    shift 3
    read -r -a words <<<"$(of_list "$name")"
    # shellcheck disable=SC2046 # one flag a word
    "${SHMBUS_CC:-cc}" $(flags "$src") "$@" "${words[@]:2}" -O1 -no-pie -ffunction-sections \
        -Wl,--gc-sections -Wl,--unresolved-symbols=ignore-all "$models/${words[0]}.c" \
        -o "$program" -lpthread >"$program.txt" 2>&1
}

# mutant_source FOLDER SITE ORDER | PATCH: a copy of the library's sources with that fault.
mutant_source()
{
    mkdir "$1"
    cp -r "$source/libshmbus/src" "$1/src"
    if [ $# = 3 ]; then
        "$models/weaken" "$1/src" "$2" "$3"
    else
        patch -s -d "$1" -p2 <"$2"
    fi
}

# many COMMAND: runs it for each line of standard input, two at a time, and shows what they say in
# the order of the lines.
many()
{
    local line i=0 running=0
    local -a out=()
    while IFS= read -r line; do
        out+=("$work/many.$i")
        if [ "$running" = 2 ]; then wait -n || true; running=1; fi
        "$1" "$line" >"$work/many.$i" 2>&1 &
        running=$((running + 1))
        i=$((i + 1))
    done
    wait
    cat "${out[@]}"
    passed=$(cat "${out[@]}" | grep -c '^PASS' || true)
    failed=$((i - passed))
    rm "${out[@]}"
}
