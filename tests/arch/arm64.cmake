# SPDX-License-Identifier: MIT
# Toolchain for arm64, run by qemu-user.
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(arch_triplet aarch64-linux-gnu)
set(arch_debian arm64)
set(arch_emulator qemu-aarch64)
include(${CMAKE_CURRENT_LIST_DIR}/cross.cmake)
