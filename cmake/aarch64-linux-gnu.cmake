# Cross-compiles for 64-bit ARM with Debian's g++-aarch64-linux-gnu and runs the tests under
# qemu-user. It checks the portable kernels on another architecture; it is not a way to ship
# binaries for ARM.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
set(CMAKE_CXX_COMPILER aarch64-linux-gnu-g++)
set(CMAKE_CROSSCOMPILING_EMULATOR "qemu-aarch64;-L;/usr/aarch64-linux-gnu")

# The installed libraries are for the build machine, so what we need of them is taken as headers
# (fmt, nlohmann-json, CLI11) or built from source (GoogleTest).
list(PREPEND CMAKE_MODULE_PATH ${CMAKE_CURRENT_LIST_DIR}/aarch64)
