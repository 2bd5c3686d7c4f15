# shellcheck shell=bash
# SPDX-License-Identifier: MIT
# Boots Debian's cloud kernel in an emulated machine of several NUMA nodes, with a small initramfs;
# for numa.sh and mutants.sh to read in.

source=${SHMBUS_SOURCE_FOLDER:?the folder of the sources}
# The kernel, downloaded once and unpacked, not installed.
kernel_folder=${SHMBUS_BUILD_FOLDER:?the folder of the build}/numa-kernel

# Says why this cannot run here and ends the test; or sees that all is there that it needs.
need_machine()
{
    local said
    if [ "$(dpkg --print-architecture 2>/dev/null)" != amd64 ]; then
        echo "SKIP $1: not a Debian on x86-64"
        exit 77
    fi
    if ! said=$("$source/.ci/packages.sh" numa 2>&1); then
        echo "SKIP $1: ${said##*$'\n'}"
        exit 77
    fi
    if ! fetch_kernel; then
        echo "SKIP $1: no kernel to be had: $(tail -n 1 "$kernel_folder/download.txt")"
        exit 77
    fi
}

# Downloads and unpacks what linux-image-cloud-amd64 depends on, in this folder.
unpack_kernel()
{
    local package
    package=$(apt-cache depends linux-image-cloud-amd64 |
        sed -n 's/.*Depends: \(linux-image-[0-9].*\)/\1/p' | head -n 1)
    [ -n "$package" ] || { echo "linux-image-cloud-amd64: not known"; return 1; }
    apt-get -q download "$package" && dpkg-deb --fsys-tarfile ./*.deb | tar -x ./boot
}

# Two tests may want it at the same time.
fetch_kernel()
{
    local folder status=0
    mkdir -p "$kernel_folder"
    (
        flock 9
        ! compgen -G "$kernel_folder/boot/vmlinuz-*" >/dev/null || exit 0
        folder=$(mktemp -d "$kernel_folder/new.XXXXXX")
        cd "$folder" || exit 1
        # What apt knows may be of yesterday.
        { unpack_kernel || { apt-get -q update && unpack_kernel; }; } >../download.txt 2>&1 ||
            status=1
        [ $status != 0 ] || mv boot ..
        rm -rf "$folder"
        exit $status
    ) 9>"$kernel_folder/lock"
}

# add_program ROOT FILE: puts a program and the libraries that it is linked with into a root, but
# for libshmbus, which stands in /rig/lib or where LD_LIBRARY_PATH says.
add_program()
{
    local root=$1 library
    cp "$2" "$root/rig/"
    ldd "$2" | awk '$2 == "=>" { print $3 } $1 ~ /^\// { print $1 }' | while read -r library; do
        case $library in
            *libshmbus*) cp "$library" "$root/rig/lib/" ;;
            *) mkdir -p "$root$(dirname "$library")" && cp -L "$library" "$root$library" ;;
        esac
    done
}

# make_root ROOT: a root with busybox and init; the caller adds programs and /rig/job.
make_root()
{
    mkdir -p "$1"/{bin,dev,proc,sys,tmp,rig/lib,lib64}
    cp "$(command -v busybox)" "$1/bin/busybox"
    local name
    for name in sh mount mkdir echo stty sync reboot cat grep timeout; do
        ln -s busybox "$1/bin/$name"
    done
    cp "$source/tests/numa/init.sh" "$1/init"
    chmod 755 "$1/init"
}

# boot ROOT NODES LOG [BARE]: runs the root on a machine of so many nodes, the last of which has CPUs
# only if there is a fourth word. What its job says is in LOG, what the kernel says in LOG.kernel.
# Returns the job's status, or 1 if the machine did not get that far.
boot()
{
    local root=$1 nodes=$2 log=$3 filled=$2 node other words=() memory cpus
    # An emulator that gets too little of the CPU fails the kernel's check of the timer, which panics.
    local leave_out="mitigations=off no_timer_check"
    [ -z "${4:-}" ] || filled=$((nodes - 1))
    (cd "$root" && find . | cpio -o -H newc --quiet -R 0:0) >"$root.cpio"
    for ((node = 0; node < nodes; node++)); do
        memory=
        if ((node < filled)); then
            words+=(-object "memory-backend-ram,id=ram$node,size=$((768 / filled))M")
            memory=,memdev=ram$node
        fi
        cpus=$((node * 4 / nodes))-$(((node + 1) * 4 / nodes - 1))
        words+=(-numa "node,nodeid=$node,cpus=$cpus$memory")
    done
    for ((node = 0; node < nodes; node++)); do
        for ((other = node + 1; other < nodes; other++)); do
            words+=(-numa "dist,src=$node,dst=$other,val=$((20 + other - node))")
        done
    done
    timeout 600 qemu-system-x86_64 -M q35 -accel tcg -cpu max -smp 4 -m 768M "${words[@]}" \
        -kernel "$kernel_folder"/boot/vmlinuz-* -initrd "$root.cpio" \
        -append "console=ttyS0 loglevel=5 hugepages=16 panic=-1 oops=panic $leave_out" \
        -display none -monitor none -no-reboot -nodefaults \
        -serial "file:$log.kernel" -serial "file:$log" </dev/null >"$log.qemu" 2>&1 || true
    grep -x 'END 0' "$log" >/dev/null 2>&1
}
