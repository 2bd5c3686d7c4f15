#!/bin/sh
# SPDX-License-Identifier: MIT
# The first and only process of the machine that machine.sh boots: mounts what a Linux has, runs
# /rig/job with its output on the console, and ends the machine.
mount -t proc none /proc
mount -t sysfs none /sys
mount -t devtmpfs none /dev
mkdir -p /dev/shm /tmp
mount -t tmpfs -o size=75%,mode=1777 none /dev/shm
mount -t tmpfs -o mode=1777 none /tmp
cd /rig || exit 1
sh /rig/job >/dev/console 2>&1 </dev/null
echo "END $?" >/dev/console
sync
reboot -f
