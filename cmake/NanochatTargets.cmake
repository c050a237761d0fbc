# What every target of ours is built with, and the helper that makes a room of the house a library.

find_package(fmt REQUIRED)
set(NANOCHAT_FMT fmt::fmt)
if(CMAKE_CXX_COMPILER_ID MATCHES "Clang")
  # GCC and clang give fmt 9's vformat_to different names, so clang cannot link Debian's library.
  set(NANOCHAT_FMT fmt::fmt-header-only)
endif()

add_library(nanochat_flags INTERFACE)
target_compile_options(nanochat_flags INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wno-sign-conversion -Wnon-virtual-dtor
  -Woverloaded-virtual -Wcast-qual -Wundef -Werror=return-type -Wno-psabi
  -fno-math-errno -ffp-contract=off)
if(CMAKE_CXX_COMPILER_ID MATCHES "Clang")
  target_compile_options(nanochat_flags INTERFACE -Wno-gnu-zero-variadic-macro-arguments)
endif()
if(NANOCHAT_SANITIZE STREQUAL "address")
  target_compile_options(nanochat_flags INTERFACE -fsanitize=address,undefined
    -fno-sanitize-recover=undefined -fno-omit-frame-pointer)
  target_link_options(nanochat_flags INTERFACE -fsanitize=address,undefined)
elseif(NANOCHAT_SANITIZE STREQUAL "thread")
  target_compile_options(nanochat_flags INTERFACE -fsanitize=thread)
  target_link_options(nanochat_flags INTERFACE -fsanitize=thread)
  target_compile_definitions(nanochat_flags INTERFACE NC_THREAD_SANITIZER)
elseif(NANOCHAT_SANITIZE)
  message(FATAL_ERROR "NANOCHAT_SANITIZE is address, thread or empty, not ${NANOCHAT_SANITIZE}")
endif()
if(NANOCHAT_FUZZ)
  # libFuzzer follows the branches of the code under test, so every room reports its own.
  target_compile_options(nanochat_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()

# nanochat_room(core LINK ${NANOCHAT_FMT}): the sources of src/core become the library nanochat_core. A
# room links the rooms under it and includes only those (tests/architecture checks the includes).
function(nanochat_room name)
  cmake_parse_arguments(ROOM "" "" "LINK;EXTRA_SOURCES" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${name}/*.cpp)
  add_library(nanochat_${name} STATIC ${sources} ${ROOM_EXTRA_SOURCES})
  target_include_directories(nanochat_${name} PUBLIC ${PROJECT_SOURCE_DIR}/src)
  target_link_libraries(nanochat_${name} PUBLIC ${ROOM_LINK} PRIVATE nanochat_flags)
  if(NANOCHAT_SANITIZE)
    target_link_options(nanochat_${name} INTERFACE $<TARGET_PROPERTY:nanochat_flags,INTERFACE_LINK_OPTIONS>)
  endif()
endfunction()

# nanochat_cpu_kernels(avx2 NC_ISA_AVX2 -mavx2 -mfma): compiles every file of ops/cpu/kernels once
# more, into namespace nanochat::cpu::avx2 (see ops/cpu/simd.h).
function(nanochat_cpu_kernels isa macro)
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/ops/cpu/kernels/*.cpp)
  add_library(nanochat_kernels_${isa} OBJECT ${sources})
  target_include_directories(nanochat_kernels_${isa} PRIVATE ${PROJECT_SOURCE_DIR}/src)
  target_compile_definitions(nanochat_kernels_${isa} PRIVATE NC_ISA=${isa} ${macro})
  target_compile_options(nanochat_kernels_${isa} PRIVATE -O3 ${ARGN})
  target_link_libraries(nanochat_kernels_${isa} PRIVATE nanochat_flags)
endfunction()

# nanochat_emulated_kernels(a.cu b.cu): object library nanochat_cuda_kernels of CUDA files as C++, with
# what stands in for the GPU, the CUDA runtime and cuBLAS (tests/cuda_emulation/emulation.h).
function(nanochat_emulated_kernels)
  find_package(Python3 REQUIRED COMPONENTS Interpreter)
  set(folder ${PROJECT_SOURCE_DIR}/tests/cuda_emulation)
  set(sources ${folder}/emulation.cpp ${folder}/runtime.cpp)
  foreach(kernel ${ARGN})
    get_filename_component(name ${kernel} NAME_WE)
    set(source ${CMAKE_CURRENT_BINARY_DIR}/emulated_${name}.cpp)
    add_custom_command(OUTPUT ${source} DEPENDS ${kernel} ${folder}/as_cpp.py
      COMMAND Python3::Interpreter ${folder}/as_cpp.py ${kernel} ${source})
    list(APPEND sources ${source})
  endforeach()
  add_library(nanochat_cuda_kernels OBJECT ${sources})
  target_include_directories(nanochat_cuda_kernels BEFORE PRIVATE ${folder})
  target_include_directories(nanochat_cuda_kernels SYSTEM PRIVATE ${CUDAToolkit_INCLUDE_DIRS})
endfunction()

# nanochat_embed(nanochat_report page_css path/to/page.css): puts a file into a library, between the
# symbols nanochat_page_css and nanochat_page_css_end.
function(nanochat_embed target symbol file)
  set(source ${CMAKE_CURRENT_BINARY_DIR}/embed_${symbol}.cpp)
  file(CONFIGURE OUTPUT ${source} CONTENT [=[
__asm__(
    ".section .rodata\n"
    ".global nanochat_@symbol@\n"
    ".global nanochat_@symbol@_end\n"
    "nanochat_@symbol@:\n"
    ".incbin \"@file@\"\n"
    "nanochat_@symbol@_end:\n"
    ".byte 0\n"
    ".text\n");
]=] @ONLY)
  set_source_files_properties(${source} PROPERTIES OBJECT_DEPENDS ${file})
  target_sources(${target} PRIVATE ${source})
endfunction()
