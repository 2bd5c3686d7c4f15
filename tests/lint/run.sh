#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# rig: builds for itself
# The project's own lints over the tree, and each lint over samples that it has to catch.
# shellcheck disable=SC2317 # functions are called by check and caught, by name
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

status=0
temporary=$(mktemp -d)
trap 'rm -rf "$temporary"' EXIT

# check NAME COMMAND...: PASS if the command succeeds, else FAIL and what it said.
check()
{
    local name=$1
    shift
    if "$@" >"$temporary/said" 2>&1; then
        sed 's/^/    /' "$temporary/said"
        echo "PASS $name"
    else
        sed 's/^/    /' "$temporary/said"
        echo "FAIL $name: $(grep -c . "$temporary/said") problems, above"
        status=1
    fi
}

# caught NAME TEXT COMMAND...: PASS if the command fails and says TEXT.
caught()
{
    local name=$1 text=$2
    shift 2
    if "$@" >"$temporary/said" 2>&1; then
        echo "FAIL $name: not caught"
        status=1
    elif ! grep -qF -- "$text" "$temporary/said"; then
        echo "FAIL $name: caught without the words '$text', but: $(head -n 1 "$temporary/said")"
        status=1
    else
        echo "PASS $name"
    fi
}

# The words that a sample says it has to be caught with.
expected()
{
    sed -n 's,^/\* expect: \(.*\) \*/$,\1,p' "$1"
}

order_samples()
{
    local sample model
    for sample in tests/lint/bad/*.c; do
        model=()
        [ ! -f "${sample%.c}.md" ] || model=(--model "${sample%.c}.md")
        caught "order_$(basename "$sample" .c)" "$(expected "$sample")" \
            tests/lint/order_lint "${model[@]}" "$sample"
    done
    check order_accepted tests/lint/order_lint --model tests/lint/good/accepted.md \
        tests/lint/good/accepted.c
}

# tree NAME: a small tree without faults, to be given one.
tree()
{
    local folder=$temporary/$1 part
    mkdir -p "$folder"/{libshmbus/src/{layout,ring,pool,consumer},libshmbus/include/shmbus} \
        "$folder"/{tools,tests/lint}
    cp tests/lint/layers "$folder/tests/lint/layers"
    for part in libshmbus/include/shmbus/shmbus libshmbus/src/{layout/layout,ring/ring,pool/pool} \
        libshmbus/src/consumer/consumer tools/cli; do
        printf '/* SPDX-License-Identifier: MIT */\n' >"$folder/$part.h"
    done
    add "$1" libshmbus/src/consumer/consumer.h '#include "ring/ring.h"' '#include <errno.h>'
    add "$1" libshmbus/src/ring/ring.h '#include "layout/layout.h"'
    add "$1" tools/cli.h '#include <shmbus/shmbus.h>'
}

# add TREE FILE LINE...: puts lines at the end of a file.
add()
{
    local file=$temporary/$1/$2
    shift 2
    printf '%s\n' "$@" >>"$file"
}

# file_sample NAME TEXT FILE LINE...: the small tree with these lines in that file is caught.
file_sample()
{
    local name=$1 text=$2 file=$3
    shift 3
    tree "$name"
    add "$name" "$file" "$@"
    caught "file_$name" "$text" tests/lint/file_lint "$temporary/$name"
}

file_samples()
{
    local src=libshmbus/src long=()
    tree accepted
    check file_accepted tests/lint/file_lint "$temporary/accepted"
    file_sample upward "above ring's 2" $src/ring/ring.h '#include "consumer/consumer.h"'
    file_sample sideways 'ring may include only layout' $src/ring/ring.h '#include "pool/pool.h"'
    file_sample relative 'above layout'"'"'s 1' $src/layout/layout.h '#include "../ring/ring.h"'
    file_sample nowhere 'not found in' $src/ring/ring.h '#include "ring/rings.h"'
    file_sample tool_inside 'internal' tools/cli.h '#include "../libshmbus/src/ring/ring.h"'
    file_sample tool_by_path 'internal' tools/cli.h '#include "ring/ring.h"'
    file_sample public_inside 'public headers only' libshmbus/include/shmbus/shmbus.h \
        '#include "layout/layout.h"'
    file_sample no_licence 'no SPDX' tools/new.c 'int x;'
    file_sample unfinished 'unfinished work' tools/cli.h "/* TO""DO later */"
    tree new_module
    mkdir "$temporary/new_module/$src/surprise"
    add new_module $src/surprise/surprise.c '/* SPDX-License-Identifier: MIT */'
    caught file_new_module 'does not name' tests/lint/file_lint "$temporary/new_module"
    for _ in {1..81}; do long+=('    x++;'); done
    file_sample long_function 'a function of 81 lines' tools/cli.h 'void f(void)' '{' "${long[@]}" '}'
    for _ in {1..8}; do long+=("${long[@]:0:81}"); done
    file_sample long_file 'more than 700' tools/cli.h "${long[@]}"
}

manual()
{
    awk -f docs/man/generate.awk "$@"
}

# Every page is made, and groff has nothing to say about it.
manual_pages()
{
    local pages=$temporary/pages functions
    mkdir -p "$pages"
    manual -v out="$pages" -v version=0 libshmbus/include/shmbus/shmbus.h || return 1
    functions=$(grep -c '^SHMBUS_API' libshmbus/include/shmbus/shmbus.h)
    if [ "$(find "$pages" -name '*.3' | wc -l)" != $((functions + 1)) ]; then
        echo "not a page for each of $functions functions"
        return 1
    fi
    groff -man -Tutf8 -ww -z "$pages"/*.3 2>&1 | tee "$temporary/groff"
    [ ! -s "$temporary/groff" ]
}

manual_samples()
{
    local sample
    for sample in tests/lint/bad-headers/*.h; do
        caught "manual_$(basename "$sample" .h)" "$(expected "$sample")" manual "$sample"
    done
}

mapfile -t sources < <(find libshmbus/src -name '*.[ch]' | sort)
check order tests/lint/order_lint --model docs/memory-model.md "${sources[@]}"
order_samples
check files tests/lint/file_lint .
file_samples
check manual manual_pages
manual_samples
exit $status
