/// The main function of a fuzz target outside libFuzzer: runs it once on every file of a folder.
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <limits>
#include <vector>

#include <fmt/core.h>

#include "core/file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

int main(int argc, char** argv) {
  if (argc != 2) {
    fmt::print(stderr, "usage: {} FOLDER\n", argv[0]);
    return 2;
  }
  try {
    int n_inputs = 0;
    for (const auto& input : std::filesystem::directory_iterator(argv[1])) {
      const std::string bytes =
          nanochat::read_file(input.path(), std::numeric_limits<int64_t>::max());
      // An exact copy on the heap, so that a sanitizer sees a read behind the end.
      const std::vector<uint8_t> exact(bytes.begin(), bytes.end());
      fmt::print("{}\n", input.path().string());
      std::fflush(stdout);  // the last line names the input that crashes
      LLVMFuzzerTestOneInput(exact.data(), exact.size());
      ++n_inputs;
    }
    if (n_inputs == 0) {
      fmt::print(stderr, "{} has no inputs\n", argv[1]);
      return 1;
    }
  } catch (const std::exception& error) {
    fmt::print(stderr, "{}\n", error.what());
    return 1;
  }
}
