/// Objects compiled for one instruction set may define global symbols only in their own namespace.
/// A weak symbol that other objects define too (std::max, an inline function of a header) would be
/// merged by the linker, which might keep the AVX-512 copy; older CPUs would then die in it.
#include <algorithm>
#include <cctype>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace nanochat {
namespace {

/// Symbols of `nm -P --defined-only` output that other objects could share, outside `isa`'s
/// namespace. Lines read "name type value size"; a capital, or u, v, w, is a global type.
std::vector<std::string> strays(std::string_view nm_output, std::string_view isa) {
  const std::string home = fmt::format("8nanochat3cpu{}{}", isa.size(), isa);
  std::vector<std::string> found;
  std::istringstream lines{std::string(nm_output)};
  for (std::string line; std::getline(lines, line);) {
    std::istringstream fields(line);
    std::string name;
    char type = '?';
    if (!(fields >> name >> type)) continue;
    const bool global = std::isupper(static_cast<unsigned char>(type)) != 0 || type == 'u' ||
                        type == 'v' || type == 'w';
    // What compilers and sanitizers add: data, never code.
    const bool generated = name.starts_with("DW.ref.") || name.starts_with("__odr_asan");
    // Itanium mangling: _ZN[K]<home>..., _ZZN<home>... for what is local to a function, and _ZGV,
    // _ZTV and the like before either.
    std::string_view mangled = name;
    for (const std::string_view prefix : {"_Z", "GV", "TV", "TI", "TS", "Z", "N", "K"}) {
      if (mangled.starts_with(prefix)) mangled.remove_prefix(prefix.size());
    }
    if (global && !generated && !mangled.starts_with(home)) found.push_back(name);
  }
  return found;
}

/// What nm says about a file; throws when it fails.
std::string nm(const std::filesystem::path& file) {
  const std::string command =
      fmt::format("'{}' -P --defined-only '{}' 2>&1", NANOCHAT_NM, file.string());
  std::FILE* const pipe = ::popen(command.c_str(), "r");
  if (!pipe) throw std::runtime_error("cannot run " + command);
  std::string output;
  char buffer[4096];
  for (size_t n; (n = std::fread(buffer, 1, sizeof buffer, pipe)) > 0;) output.append(buffer, n);
  if (::pclose(pipe) != 0) throw std::runtime_error(command + ": " + output);
  return output;
}

/// The object files of each instruction set, from the list that the build wrote.
std::map<std::string, std::vector<std::string>> objects() {
  std::map<std::string, std::vector<std::string>> objects;
  std::ifstream list(NANOCHAT_KERNEL_OBJECTS);
  for (std::string isa, path; list >> isa && std::getline(list >> std::ws, path);) {
    objects[isa].push_back(path);
  }
  return objects;
}

bool have_nm() { return std::filesystem::exists(NANOCHAT_NM); }

TEST(IsaSymbols, StayInTheNamespaceOfTheirInstructionSet) {
  if (!have_nm()) GTEST_SKIP() << "no nm: install binutils";
  const auto all = objects();
  if (all.empty()) GTEST_SKIP() << "this build has only the portable kernels";
  EXPECT_EQ(all.size(), 2U) << "avx2 and avx512_bf16";
  int n_kernels = 0;
  for (const auto& [isa, paths] : all) {
    EXPECT_FALSE(paths.empty()) << isa;
    for (const std::string& path : paths) {
      const std::string symbols = nm(path);
      for (const std::string& stray : strays(symbols, isa)) {
        ADD_FAILURE() << fmt::format("{} defines {} (c++filt tells its name)", path, stray);
      }
      n_kernels += static_cast<int>(std::count(symbols.begin(), symbols.end(), '\n'));
    }
  }
  EXPECT_GT(n_kernels, 10) << "the objects are empty";
}

TEST(IsaSymbols, AStrayWeakStandardFunctionIsFound) {
  constexpr std::string_view kOutput =
      "_ZN8nanochat3cpu4avx24add3EPKfS3_Pfl T 0 40\n"
      "_ZNK8nanochat3cpu4avx25TableclEi T 0 40\n"
      "_ZZN8nanochat3cpu4avx21fEvE5table u 0 8\n"
      "_ZGVZN8nanochat3cpu4avx21fEvE5table V 0 8\n"
      "_ZL6helperv t 40 8\n"
      "_ZSt3maxIfERKT_S2_S2_ W 0 12\n"
      "_ZN8nanochat3cpu6exp2_fEf W 0 12\n"
      "_ZN8nanochat3cpu11avx512_bf163addEv T 0 40\n"
      "helper T 0 8\n";
  EXPECT_EQ(strays(kOutput, "avx2"),
            (std::vector<std::string>{"_ZSt3maxIfERKT_S2_S2_", "_ZN8nanochat3cpu6exp2_fEf",
                                      "_ZN8nanochat3cpu11avx512_bf163addEv", "helper"}));
}

// This program has main() and any number of weak functions of the standard library.
TEST(IsaSymbols, TheCheckFailsOnARealFileWithStrays) {
  if (!have_nm()) GTEST_SKIP() << "no nm: install binutils";
  const auto found = strays(nm(std::filesystem::read_symlink("/proc/self/exe")), "avx2");
  EXPECT_TRUE(std::any_of(found.begin(), found.end(), [](const std::string& name) {
    return name.starts_with("_ZNSt") || name.starts_with("_ZSt");
  })) << found.size();
}

}  // namespace
}  // namespace nanochat
