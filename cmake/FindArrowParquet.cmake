# Apache Arrow and Parquet for C++: the system's, else those that the PyPI wheel pyarrow carries
# (Debian 12 has no package of them). Defines the target ArrowParquet::ArrowParquet.
#
# The wheel is looked for with the Python of NANOCHAT_PYTHON, of .cache/venv (./run setup makes it),
# and of the PATH, in this order. The libraries in it have the release in their names, so what is
# linked here runs with that wheel only; its folder becomes the rpath.
set(NANOCHAT_PYTHON "" CACHE FILEPATH "a Python that has pyarrow; empty: look for one")

find_package(Arrow CONFIG QUIET)
find_package(Parquet CONFIG QUIET)
if(TARGET Arrow::arrow_shared AND TARGET Parquet::parquet_shared)
  set(ArrowParquet_INCLUDE_DIR "the system's")
  set(ArrowParquet_VERSION ${Arrow_VERSION})
  if(NOT TARGET ArrowParquet::ArrowParquet)
    add_library(ArrowParquet::ArrowParquet INTERFACE IMPORTED)
    target_link_libraries(ArrowParquet::ArrowParquet
      INTERFACE Arrow::arrow_shared Parquet::parquet_shared)
  endif()
else()
  # Asked on every run: a wheel that was installed, upgraded or removed since must be noticed.
  foreach(python ${NANOCHAT_PYTHON} ${PROJECT_SOURCE_DIR}/.cache/venv/bin/python python3)
    execute_process(
      COMMAND ${python} -c "import os, pyarrow
print(pyarrow.__version__, pyarrow.cpp_build_info.so_version, os.path.dirname(pyarrow.__file__))"
      OUTPUT_VARIABLE answer OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET RESULT_VARIABLE status)
    if(status STREQUAL "0" AND answer MATCHES "^([^ ]+) ([0-9]+) (.+)$")
      set(ArrowParquet_VERSION ${CMAKE_MATCH_1})
      set(so_version ${CMAKE_MATCH_2})
      set(wheel ${CMAKE_MATCH_3})
      set(arrow_library ${wheel}/libarrow.so.${so_version})
      set(parquet_library ${wheel}/libparquet.so.${so_version})
      if(EXISTS ${arrow_library} AND EXISTS ${parquet_library}
          AND EXISTS ${wheel}/include/parquet/arrow/reader.h)
        set(ArrowParquet_INCLUDE_DIR ${wheel}/include)
        break()
      endif()
    endif()
  endforeach()
  if(ArrowParquet_INCLUDE_DIR AND NOT TARGET ArrowParquet::ArrowParquet)
    # The wheel may want a newer C++ than this compiler's: then the build goes on without it.
    include(CheckCXXSourceCompiles)
    set(CMAKE_REQUIRED_INCLUDES ${ArrowParquet_INCLUDE_DIR})
    set(CMAKE_REQUIRED_LIBRARIES ${parquet_library} ${arrow_library})
    set(checked ArrowParquet_COMPILES_${ArrowParquet_VERSION})
    check_cxx_source_compiles("
      #include <parquet/arrow/reader.h>
      int main() { return parquet::arrow::FileReaderBuilder().OpenFile(\"\").ok(); }" ${checked})
    unset(CMAKE_REQUIRED_INCLUDES)
    unset(CMAKE_REQUIRED_LIBRARIES)
    if(${checked})
      add_library(ArrowParquet::ArrowParquet INTERFACE IMPORTED)
      target_include_directories(ArrowParquet::ArrowParquet
        SYSTEM INTERFACE ${ArrowParquet_INCLUDE_DIR})
      target_link_libraries(ArrowParquet::ArrowParquet
        INTERFACE ${parquet_library} ${arrow_library})
    else()
      unset(ArrowParquet_INCLUDE_DIR)
    endif()
  endif()
endif()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(ArrowParquet REQUIRED_VARS ArrowParquet_INCLUDE_DIR
  VERSION_VAR ArrowParquet_VERSION
  REASON_FAILURE_MESSAGE "no parquet files then. ./run setup installs pyarrow, which carries it")
