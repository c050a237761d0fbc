# xxHash, used as a header alone (XXH_INLINE_ALL): nothing to link.
find_path(xxhash_INCLUDE_DIR xxhash.h)
include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(xxhash REQUIRED_VARS xxhash_INCLUDE_DIR
  REASON_FAILURE_MESSAGE "install the package libxxhash-dev (./run setup does)")
if(xxhash_FOUND AND NOT TARGET xxhash::xxhash)
  add_library(xxhash::xxhash INTERFACE IMPORTED)
  target_include_directories(xxhash::xxhash SYSTEM INTERFACE ${xxhash_INCLUDE_DIR})
endif()
