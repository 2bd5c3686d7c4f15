#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Makes later libraries out of this one's sources:
#   next.sh SOURCES FOLDER minor     the next minor version of the layout: a longer header, a
#                                    feature that may be ignored, and a word of a consumer's entry
#                                    that was unused before, which its consumers set to 77
#   next.sh SOURCES FOLDER feature   the same, and its buses need a feature named "sealed"
# FOLDER then holds libshmbus.so. Each edit must find its place, or it fails.
set -euo pipefail

source=$1 folder=$2 kind=$3
compiler=${SHMBUS_CC:-cc}
mkdir -p "$folder"
cp -r "$source/libshmbus/src" "$folder/src"
layout=$folder/src/layout

# edit FILE TEXT: a sed script that has to change the file.
edit()
{
    cp "$1" "$1.before"
    sed -i -E "$2" "$1"
    ! cmp -s "$1" "$1.before" || { echo "next.sh: $1 has no place for: $2" >&2; exit 1; }
    rm "$1.before"
}

# after FILE LINE TEXT: puts lines behind the one that begins so; before, in front of it.
after() { edit "$1" "s/^( *)$2.*/&\n$3/"; }
before() { edit "$1" "s/^( *)$2/$3\n&/"; }

edit "$layout/layout.h" 's/^(#define LAYOUT_MINOR +)0$/\11/'
after "$layout/layout.h" 'char features\[LAYOUT_FEATURES_BYTES\];' 'uint64_t later;'
before "$layout/layout.h" 'alignas\(LAYOUT_APART\) _Atomic uint64_t holds\[\];' 'uint32_t later;'
after "$layout/plan.c" 'layout_name_features\(&header\);' \
    'header.later = 4711; header.features_optional |= UINT64_C(1) << 40;'
after "$folder/src/consumer/join.c" 'layout_clear_unknown\(entry\);' \
    'if (consumer->header->layout_minor >= 1) entry->later = 77;'
# It believes a header only if the new field is as its version has it, and 0 in an older one.
before "$layout/check.c" 'if \(header->history >= header->capacity\)' \
    'if (header->later != (header->layout_minor >= 1 ? 4711u : 0u)) return "later";'
if [ "$kind" = feature ]; then
    # The next bit: those that are known, less LAYOUT_REQUIRES_KNOWN itself.
    bit=$(($(grep -c '^#define LAYOUT_REQUIRES_' "$layout/layout.h") - 1))
    before "$layout/layout.h" '#define LAYOUT_REQUIRES_KNOWN' \
        "#define LAYOUT_REQUIRES_SEALED (UINT64_C(1) << $bit)"
    edit "$layout/layout.h" 's/LAYOUT_REQUIRES_TIMESTAMPS \|/LAYOUT_REQUIRES_SEALED | &/'
    edit "$layout/features.c" 's/^(static const char \*const names\[\] = .*)\};/\1, "sealed"};/'
    before "$layout/plan.c" 'layout_name_features\(&header\);' \
        'header.features_required |= LAYOUT_REQUIRES_SEALED;'
fi

mapfile -t sources < <(find "$folder/src" -name '*.c' -not -path '*/record/*' | sort)
"$compiler" -std=c11 -O1 -fPIC -shared -fvisibility=hidden -fno-semantic-interposition \
    -D_GNU_SOURCE -DSHMBUS_VERSION_TEXT="\"next-$kind\"" -I"$folder/src" \
    -I"$source/libshmbus/include" -Wl,-soname,libshmbus.so.0 -Wl,-z,now \
    -Wl,--version-script="$source/libshmbus/shmbus.map" \
    -o "$folder/libshmbus.so" "${sources[@]}" -lnuma -lpthread
