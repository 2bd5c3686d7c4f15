# shellcheck shell=bash
# SPDX-License-Identifier: MIT
# shellcheck disable=SC2034,SC2154 # what run.sh and these files set for each other
# What tools built for another architecture must say, by run.sh's word and by each mutant's: functions
# that fail unless they see it, and leave in `said` and `code` what they saw. They need two live
# buses: "little", made natively, and "big", made on s390x. For run.sh to read in, after root,
# native and work are set. `library` is a folder whose libshmbus is used in place of the built one.

code=0
said=
library=
cases=(big_reads_its_own big_refuses_little_stat big_refuses_little_sub little_refuses_big_stat
    little_refuses_big_sub numa_node numa_interleave numa_local numa_unknown)

# triplet NAME: what the compiler calls an architecture.
triplet()
{
    case $1 in
        arm64) echo aarch64-linux-gnu ;;
        *) echo "$1-linux-gnu" ;;
    esac
}

# on NAME TOOL ARGUMENT...: a tool as it was built for that architecture.
on()
{
    local name=$1 tool=$2 full
    full=$(triplet "$1")
    shift 2
    timeout 60 "qemu-${full%%-*}" -L "/usr/$full" \
        -E "LD_LIBRARY_PATH=${library:+$library:}$root/$name/usr/lib/$full" \
        "build/$name/tools/shmbus-$tool" "$@"
}

# listen COMMAND...: keeps what it says and how it ends.
listen()
{
    code=0
    said=$("$@" 2>&1 </dev/null) || code=$?
}

# refused COMMAND...: it failed, and named both byte orders.
refused()
{
    listen "$@"
    [ $code != 0 ] && [[ $said == *"other byte order (0x04030201, here 0x01020304)"* ]]
}

big_reads_its_own()
{
    listen on s390x stat big
    [ $code = 0 ]
}

big_refuses_little_stat()
{
    refused on s390x stat little
}

big_refuses_little_sub()
{
    refused on s390x sub little
}

little_refuses_big_stat()
{
    refused timeout 60 "$native/shmbus-stat" big
}

little_refuses_big_sub()
{
    refused timeout 60 "$native/shmbus-sub" big
}

# unavailable PLACEMENT: no bus is made where the kernel cannot place it, and the tool says why. The
# emulator answers what the library asks of NUMA with ENOSYS.
unavailable()
{
    listen on arm64 pub --numa "$1" placed
    [ $code = 1 ] && [[ $said == *"NUMA unavailable"* ]] && [ ! -e "$work/shmbus.placed" ]
}

numa_node()
{
    unavailable 0
}

numa_interleave()
{
    unavailable interleave
}

# To be near its creator is a wish only: without NUMA all memory is.
numa_local()
{
    listen on arm64 pub --numa local placed
    [ $code = 0 ]
}

numa_unknown()
{
    listen on arm64 stat little
    [ $code = 0 ] && [[ $said == *"pages unknown: the kernel does not say where they are"* ]]
}
