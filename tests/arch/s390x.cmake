# SPDX-License-Identifier: MIT
# Toolchain for s390x, whose byte order is the other one, run by qemu-user.
set(CMAKE_SYSTEM_PROCESSOR s390x)
set(arch_triplet s390x-linux-gnu)
set(arch_debian s390x)
set(arch_emulator qemu-s390x)
include(${CMAKE_CURRENT_LIST_DIR}/cross.cmake)
