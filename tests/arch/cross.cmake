# SPDX-License-Identifier: MIT
# What the toolchain files of other architectures share: they have set arch_triplet, arch_debian (the
# name that Debian has for it) and arch_emulator. The libraries are unpacked by tests/arch/run.sh.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_C_COMPILER ${arch_triplet}-gcc)
get_filename_component(arch_source ${CMAKE_CURRENT_LIST_DIR}/../.. ABSOLUTE)
set(arch_root ${arch_source}/build/arch/${arch_debian})
set(arch_libraries ${arch_root}/usr/lib/${arch_triplet})

set(CMAKE_FIND_ROOT_PATH ${arch_root} /usr/${arch_triplet})
set(CMAKE_LIBRARY_ARCHITECTURE ${arch_triplet})
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(ENV{PKG_CONFIG_LIBDIR} ${arch_libraries}/pkgconfig)
set(ENV{PKG_CONFIG_SYSROOT_DIR} ${arch_root})

set(CMAKE_CROSSCOMPILING_EMULATOR
  ${arch_emulator} -L /usr/${arch_triplet} -E LD_LIBRARY_PATH=${arch_libraries})
# The libraries' headers are the system's: our warnings do not judge them.
set(CMAKE_C_FLAGS_INIT "-isystem ${arch_root}/usr/include")
# libsubunit is linked by libcheck, not by the tests.
set(CMAKE_EXE_LINKER_FLAGS_INIT -Wl,-rpath-link,${arch_libraries})
