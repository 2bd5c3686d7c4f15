# shellcheck shell=bash
# SPDX-License-Identifier: MIT
# shellcheck disable=SC2034,SC2154 # what run.sh and these files set for each other
# Shows that the cases can fail: for each patch of mutants/, which puts one defect into a copy of one
# source, links a library of the other architecture with it, and sees that the case fails that the
# patch names in its first line ("# ARCHITECTURE CASE: what"). For run.sh to read in, after cases.sh.

# build_mutant PATCH FOLDER NAME: FOLDER/libshmbus.so.0 for the architecture NAME.
build_mutant()
{
    local patch=$1 folder=$2 name=$3 full file objects
    full=$(triplet "$name")
    mkdir -p "$folder"
    cp -r libshmbus/src "$folder/src"
    file=$(sed -n 's,^+++ b/libshmbus/src/,,p' "$patch")
    patch -s -d "$folder" -p2 <"$patch" || return 1
    mapfile -t objects < <(find "build/$name/libshmbus/CMakeFiles/shmbus.dir" -name '*.o' \
        ! -path "*/src/$file.o")
    "$full-gcc" -std=c11 -O1 -fPIC -fvisibility=hidden -D_GNU_SOURCE \
        -DSHMBUS_VERSION_TEXT='"mutant"' -isystem "$root/$name/usr/include" -I"$folder/src" \
        -Ilibshmbus/include -shared -Wl,-soname,libshmbus.so.0 -Wl,-z,now \
        -Wl,--version-script=libshmbus/shmbus.map \
        -o "$folder/libshmbus.so.0" "$folder/src/$file" "${objects[@]}" \
        -L"$root/$name/usr/lib/$full" -lnuma -lpthread
}

# try_mutant PATCH: says its verdict.
try_mutant()
{
    local patch=$1 name folder architecture case
    name=$(basename "$patch" .patch)
    folder=$work/mutants/$name
    read -r _ architecture case _ <"$patch"
    case=${case%:}
    if ! build_mutant "$patch" "$folder" "$architecture" >"$work/mutant.txt" 2>&1; then
        echo "FAIL mutant_$name: is not built: $(head -n 1 "$work/mutant.txt")"
        return 1
    fi
    library=$folder
    if "$case"; then
        library=
        echo "FAIL mutant_$name: not caught by $case: $said"
        return 1
    fi
    library=
    echo "PASS mutant_$name: caught by $case: ended with $code: $(head -n 1 <<<"$said")"
}

# All of them; the last line has the figures.
try_mutants()
{
    local patch total=0 caught=0
    for patch in tests/arch/mutants/*.patch; do
        total=$((total + 1))
        if try_mutant "$patch"; then caught=$((caught + 1)); fi
    done
    echo "arch: $total mutants, $caught caught"
    [ "$caught" = "$total" ]
}
