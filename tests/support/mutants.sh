# shellcheck shell=bash
# SPDX-License-Identifier: MIT
# For scripts that show that a rig can fail: copies of the library with a defect put in. The library is
# compiled once; of a mutant only what its patch touches.
#
#   mutants_begin FOLDER     compiles the library as it is; FOLDER is the script's own
#   mutants_build PATCH OUT  builds OUT/libshmbus.so with the patch; says why not, if it cannot be
#
# Needs SHMBUS_SOURCE_FOLDER; SHMBUS_CC: the compiler.

mutants_source=${SHMBUS_SOURCE_FOLDER:?the folder of the sources}
mutants_base=""

# mutants_compile SRC OUT FILE...: files below SRC, as objects of the same names below OUT.
mutants_compile()
{
    local src=$1 out=$2 file
    shift 2
    for file in "$@"; do
        mkdir -p "$out/$(dirname "$file")"
        echo "$file"
    done | xargs -P "$(nproc)" -I{} "${SHMBUS_CC:-cc}" -std=c11 -O2 -fPIC -fvisibility=hidden \
        -fno-semantic-interposition -D_GNU_SOURCE -DSHMBUS_VERSION_TEXT='"mutant"' -I"$src" \
        -I"$mutants_source/libshmbus/include" -c "$src/{}" -o "$out/{}.o"
}

# All C files below a folder.
mutants_files()
{
    (cd "$1" && find . -name '*.c' -not -path '*/record/*' -printf '%P\n' | sort)
}

mutants_begin()
{
    local files
    mutants_base=$1/base
    mapfile -t files < <(mutants_files "$mutants_source/libshmbus/src")
    mutants_compile "$mutants_source/libshmbus/src" "$mutants_base" "${files[@]}"
}

mutants_build()
{
    local patch=$1 out=$2 files objects
    mkdir -p "$out"
    cp -r "$mutants_source/libshmbus/src" "$out/src"
    cp -r "$mutants_base" "$out/objects"
    if ! patch -s -d "$out" -p2 <"$patch" >"$out/patch.txt" 2>&1; then
        echo "does not apply any more: $(tail -n 1 "$out/patch.txt")"
        return 1
    fi
    mapfile -t files < <(sed -nE 's,^\+\+\+ b/libshmbus/src/([^ \t]*).*,\1,p' "$patch")
    if printf '%s\n' "${files[@]}" | grep '\.h$' >/dev/null; then
        mapfile -t files < <(mutants_files "$out/src")
    fi
    mapfile -t objects < <(mutants_files "$out/src" | sed "s,.*,$out/objects/&.o,")
    if ! mutants_compile "$out/src" "$out/objects" "${files[@]}" >"$out/build.txt" 2>&1 ||
        ! "${SHMBUS_CC:-cc}" -shared -Wl,-soname,libshmbus.so.0 -Wl,-z,now \
            -o "$out/libshmbus.so" "${objects[@]}" -lnuma -lpthread >>"$out/build.txt" 2>&1; then
        echo "does not build: $(grep -m 1 error "$out/build.txt")"
        return 1
    fi
}
