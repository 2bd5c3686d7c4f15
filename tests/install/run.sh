#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# rig: builds for itself
# Installs into a folder and uses the library from there as a stranger would: headers that compile
# alone, pkg-config, linking shared and static, the symbols, the manual pages, the tools.
# shellcheck disable=SC2317 # the functions are called by check, by name
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

here=$PWD/tests/install
build=$PWD/build/install
temporary=$(mktemp -d)
trap 'rm -rf "$temporary"' EXIT
prefix=$temporary/prefix
status=0

# check NAME COMMAND...: PASS if the command succeeds, else FAIL and what it said.
check()
{
    local name=$1
    shift
    if "$@" >"$temporary/said" 2>&1; then
        echo "PASS $name"
    else
        sed 's/^/    /' "$temporary/said"
        echo "FAIL $name: its command failed, see above: $*"
        status=1
    fi
}

install_all()
{
    cmake -S . -B "$build" -DCMAKE_INSTALL_PREFIX="$prefix" -DCMAKE_BUILD_TYPE=Release \
        -DSHMBUS_EXAMPLES=OFF &&
        cmake --build "$build" --parallel "$(nproc)" && cmake --install "$build"
}

check install install_all
[ $status = 0 ] || exit 1
library=$(dirname "$(find "$prefix" -name 'libshmbus.so')")
export PKG_CONFIG_PATH=$library/pkgconfig
export LD_LIBRARY_PATH=$library

flags()
{
    local text
    text=$(pkg-config "$@" shmbus)
    read -ra flags_out <<<"$text"
}

link_shared()
{
    flags --cflags --libs
    cc -std=c11 -D_GNU_SOURCE -Wall -Wextra -Werror "$here/outside.c" -o "$temporary/shared" \
        "${flags_out[@]}" && "$temporary/shared" &&
        readelf -d "$temporary/shared" | grep -F 'NEEDED' | grep -F '[libshmbus.so.0]'
}

link_static()
{
    flags --cflags --libs --static
    cc -std=c11 -D_GNU_SOURCE -Wall -Wextra -Werror "$here/outside.c" -o "$temporary/static" \
        "${flags_out[@]/#-lshmbus/-l:libshmbus.a}" && env -u LD_LIBRARY_PATH "$temporary/static" &&
        ! readelf -d "$temporary/static" | grep -F '[libshmbus'
}

# What libshmbus.so exports, what the map lists and what the header declares are the same.
symbols()
{
    nm -D --defined-only "$library/libshmbus.so" | awk '$2 != "A" { sub(/@.*/, "", $3); print $3 }' |
        sort >"$temporary/exported"
    awk '/^[ \t]*local:/ { inside = 0 } inside && /;/ { gsub(/[ \t;]/, ""); print }
         /^[ \t]*global:/ { inside = 1 }' libshmbus/shmbus.map | sort >"$temporary/mapped"
    awk '/^SHMBUS_API/ { text = $0; sub(/\(.*/, "", text); sub(/.*[ *]/, "", text); print text }' \
        "$prefix/include/shmbus/shmbus.h" | sort >"$temporary/declared"
    [ -s "$temporary/exported" ] && diff "$temporary/mapped" "$temporary/exported" &&
        diff "$temporary/mapped" "$temporary/declared"
}

# A header that is included alone, twice.
header_alone()
{
    local standard=$1 header=$2 language=c flags_out
    [[ $standard == c++* ]] && language=c++
    flags --cflags
    printf '#include <shmbus/%s>\n#include <shmbus/%s>\n' "$header" "$header" |
        gcc "-std=$standard" -Wall -Wextra -Wpedantic -Werror "${flags_out[@]}" \
            -fsyntax-only -x "$language" -
}

manual_pages()
{
    local name
    while read -r name; do
        [ -s "$prefix/share/man/man3/$name.3" ] || { echo "$name.3: not installed"; return 1; }
    done <"$temporary/mapped"
    for name in "$prefix"/bin/shmbus-*; do
        name=$(basename "$name")
        [ -s "$prefix/share/man/man1/$name.1" ] || { echo "$name.1: not installed"; return 1; }
    done
}

tool()
{
    local version
    version=$(awk '/^project\(/ { for (i = 1; i < NF; i++) if ($i == "VERSION") print $(i + 1) }' \
        CMakeLists.txt)
    env -u LD_LIBRARY_PATH "$1" --version | grep -F "$version" && "$1" --help | grep '^Usage: '
}

check pkg_config_version test "$(pkg-config --modversion shmbus)" = "$(awk -F'[ "]' \
    '/define SHMBUS_VERSION_(MAJOR|MINOR|PATCH)/ { v = v (v == "" ? "" : ".") $3 } END { print v }' \
    "$prefix/include/shmbus/shmbus.h")"
check link_shared link_shared
check link_static link_static
check symbols symbols
for header in "$prefix"/include/shmbus/*; do
    header=$(basename "$header")
    [[ $header != *.h ]] || check "header_c11_$header" header_alone c11 "$header"
    check "header_cxx17_$header" header_alone c++17 "$header"
done
check manual_pages manual_pages
for program in "$prefix"/bin/shmbus-*; do
    check "$(basename "$program")" tool "$program"
done
exit $status
