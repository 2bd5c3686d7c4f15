# shellcheck shell=bash
# SPDX-License-Identifier: MIT
# shellcheck disable=SC2034,SC2154 # what run.sh and these files set for each other
# Boots a whole arm64 machine, emulated, with Debian's cloud kernel and an initramfs of busybox and
# the test programs: what qemu-user answers in the kernel's place, a kernel answers there. For run.sh
# to read in; apt_options and root are set.

# Downloads and unpacks the kernel that linux-image-cloud-arm64 depends on, and busybox.
fetch_machine()
{
    local package folder=$root/machine
    [ ! -e "$folder/whole" ] || return 0
    rm -rf "$folder"
    mkdir -p "$folder"
    begin_lists || return 1
    package=$(apt-cache "${apt_options[@]}" depends linux-image-cloud-arm64:arm64 |
        sed -n 's/.*Depends: \(linux-image-[0-9][^ :]*\).*/\1/p' | head -n 1)
    [ -n "$package" ] || { echo "linux-image-cloud-arm64: not known"; return 1; }
    (cd "$folder" && apt-get "${apt_options[@]}" download "$package:arm64" busybox-static:arm64) ||
        return 1
    dpkg-deb --fsys-tarfile "$folder"/linux-image-*.deb | tar -x -C "$folder" ./boot || return 1
    dpkg-deb --fsys-tarfile "$folder"/busybox-*.deb | tar -x -C "$folder" ./bin || return 1
    rm -rf "$root"/{lists,cache} "$folder"/*.deb
    touch "$folder/whole"
}

# make_root FOLDER TEST...: the machine's root, with the programs of these tests.
make_root()
{
    local folder=$1 name libraries=/usr/aarch64-linux-gnu/lib
    shift
    mkdir -p "$folder"/{bin,dev,etc,lib,proc,rig,sys,tmp}
    cp "$root/machine/bin/busybox" "$folder/bin/"
    for name in sh mount mkdir echo sync reboot cat grep timeout sed tr; do
        ln -s busybox "$folder/bin/$name"
    done
    cp -L "$libraries"/{ld-linux-aarch64.so.1,libc.so.6,libm.so.6,libpthread.so.0,librt.so.1} \
        "$root/arm64/usr/lib/aarch64-linux-gnu"/lib{subunit,numa}.so.[0-9] "$folder/lib/"
    echo root:x:0:0:root:/:/bin/sh >"$folder/etc/passwd"
    echo root:x:0: >"$folder/etc/group"
    for name in "$@"; do
        aarch64-linux-gnu-strip -o "$folder/rig/$name" build/arm64/tests/*/"test_$name" || return 1
    done
    cp tests/arch/init.sh "$folder/init"
    chmod 755 "$folder/init"
    cat >"$folder/rig/job" <<JOB
export CK_DEFAULT_TIMEOUT=60 CK_TIMEOUT_MULTIPLIER=10 PATH=/bin
for name in $*; do
    timeout 1800 ./\$name >/tmp/said 2>&1
    echo "RAN \$name \$? \$(grep -E '^[0-9]+%: Checks' /tmp/said) \$(grep -c '^SKIP' /tmp/said) skipped"
    grep -E ':[FE]:' /tmp/said
done
exit 0
JOB
}

# boot FOLDER LOG: runs that root; the console is LOG. Says whether it got to its end.
boot()
{
    (cd "$1" && find . | cpio -o -H newc --quiet -R 0:0) >"$1.cpio"
    timeout --foreground 14000 qemu-system-aarch64 -M virt -cpu max,pauth-impdef=on -smp 2 -m 1536M \
        -kernel "$root"/machine/boot/vmlinuz-* -initrd "$1.cpio" \
        -append "console=ttyAMA0 loglevel=1 panic=-1 oops=panic mitigations=off" \
        -display none -monitor none -no-reboot -nodefaults -serial "file:$2" </dev/null || true
    tr -d '\r' <"$2" >"$2.text"
    grep -x 'END 0' "$2.text" >/dev/null
}

# run_machine TEST...: boots it and says each test's verdict.
run_machine()
{
    local name line result=0 console=$root/machine/console
    rm -rf "$root/machine/root"
    make_root "$root/machine/root" "$@" || return 1
    if ! boot "$root/machine/root" "$console"; then
        echo "FAIL machine_ends: the machine did not get to its end: $(tail -n 5 "$console.text")"
        result=1
    fi
    for name in "$@"; do
        line=$(sed -n "s/^RAN $name //p" "$console.text")
        case $line in
            0\ * | 77\ *) echo "PASS machine_$name: ${line#* }" ;;
            *)
                grep -F "/$name." "$console.text" || true
                echo "FAIL machine_$name: ${line:-not run}"
                result=1
                ;;
        esac
    done
    return $result
}
