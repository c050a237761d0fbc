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

# nanochat_embed_page(nanochat_serve ${PROJECT_SOURCE_DIR}/ui): puts the page into a library, as the
# table that serve/page.h declares: the files of the folder, and what its vendor.txt names. Its
# README.md has the format of that list.
function(nanochat_embed_page target folder)
  set(work ${CMAKE_CURRENT_BINARY_DIR}/page)
  file(MAKE_DIRECTORY ${work})
  set(served)   # paths, and
  set(sources)  # where each lies
  file(GLOB_RECURSE own CONFIGURE_DEPENDS RELATIVE ${folder} ${folder}/*)
  list(FILTER own EXCLUDE REGEX "\\.md$")
  foreach(file ${own})
    list(APPEND served ${file})
    list(APPEND sources ${folder}/${file})
  endforeach()

  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${folder}/vendor.txt)
  file(STRINGS ${folder}/vendor.txt lines REGEX "^[a-z]")
  set(packages)
  set(missing)
  foreach(line ${lines})
    separate_arguments(words UNIX_COMMAND "${line}")
    list(POP_FRONT words kind path package source)
    list(APPEND packages ${package})
    if(NOT EXISTS ${source} OR NOT EXISTS /usr/share/doc/${package}/copyright)
      list(APPEND missing ${package})
      continue()
    endif()
    if(kind STREQUAL bundle)
      list(POP_FRONT words modules)
      file(READ ${source} text)
      set(bundle "globalThis.hljs=(function(module){${text}\nreturn module.exports;})({});\n")
      foreach(name ${words})
        file(READ ${modules}/${name}.js text)
        string(APPEND bundle "hljs.registerLanguage(\"${name}\",(function(module){${text}\n"
          "return module.exports;})({}));\n")
      endforeach()
      string(MAKE_C_IDENTIFIER ${path} source)
      set(source ${work}/${source})
      nanochat_write_if_different(${source} "${bundle}")
    endif()
    list(APPEND served ${path})
    list(APPEND sources ${source})
  endforeach()
  if(missing)
    list(REMOVE_DUPLICATES missing)
    list(JOIN missing " " missing)
    message(FATAL_ERROR "The page of `nanochat serve` is made with packages that are not installed: "
      "./run setup, or apt-get install ${missing}")
  endif()

  set(licenses)
  list(REMOVE_DUPLICATES packages)
  foreach(package ${packages})
    file(READ /usr/share/doc/${package}/copyright text)
    string(APPEND licenses "=== ${package}\n\n${text}\n\n")
  endforeach()
  nanochat_write_if_different(${work}/licenses.txt "${licenses}")
  list(APPEND served vendor/licenses.txt)
  list(APPEND sources ${work}/licenses.txt)

  set(data)
  set(symbols)
  set(table)
  foreach(path source IN ZIP_LISTS served sources)
    string(MAKE_C_IDENTIFIER nanochat_ui_${path} symbol)
    string(APPEND data "    \"${symbol}:\\n.incbin \\\"${source}\\\"\\n${symbol}_end: .byte 0\\n\"\n")
    string(APPEND symbols "extern const char ${symbol}[], ${symbol}_end[];\n")
    string(APPEND table "    {\"${path}\", {${symbol}, static_cast<size_t>(${symbol}_end - ${symbol})}},\n")
  endforeach()
  nanochat_write_if_different(${work}/page_files.cpp "#include \"serve/page.h\"

__asm__(
    \".section .rodata\\n\"
${data}    \".text\\n\");
extern \"C\" {
${symbols}}

namespace nanochat::serve {

std::span<const PageFile> page_files() {
  static const PageFile kFiles[] = {
${table}  };
  return kFiles;
}

}  // namespace nanochat::serve
")
  set_source_files_properties(${work}/page_files.cpp PROPERTIES OBJECT_DEPENDS "${sources}")
  target_sources(${target} PRIVATE ${work}/page_files.cpp)
endfunction()

# So that what is made of the file is not made again at each configuration.
function(nanochat_write_if_different file text)
  file(WRITE ${file}.new "${text}")
  file(COPY_FILE ${file}.new ${file} ONLY_IF_DIFFERENT)
endfunction()
