#!/bin/sh
# SPDX-License-Identifier: MIT
# The first and only process of the machine that boot.sh makes: mounts what a Linux has, runs
# /rig/job with its output on the second serial line, and ends the machine.
mount -t proc none /proc
mount -t sysfs none /sys
mount -t devtmpfs none /dev
mkdir -p /dev/shm /tmp /huge /hugetlb
mount -t tmpfs -o size=100%,mode=1777 none /dev/shm
mount -t tmpfs -o mode=1777 none /tmp
mount -t tmpfs -o size=100%,huge=advise none /huge
mount -t hugetlbfs -o pagesize=2M none /hugetlb
# The kernel would move pages without a policy to those that use them.
echo 0 >/proc/sys/kernel/numa_balancing
stty -F /dev/ttyS1 raw
cd /rig || exit 1
sh /rig/job >/dev/ttyS1 2>&1 </dev/null
echo "END $?" >/dev/ttyS1
sync
reboot -f
