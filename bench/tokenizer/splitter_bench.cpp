// Cutting text, one core: the scanner against PCRE2 with its JIT, in one run. The goal is 250 MB/s
// of English and 600 MB/s of Chinese, and twice PCRE2. Rates are per second of CPU time, so that a
// busy machine counts less; still, believe the ratio.
// Texts: generated English, Chinese and code, and files of $NANOCHAT_DATA/pretrain when there.
//   ./splitter_bench [--benchmark_filter=chinese]
#include <cstdlib>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include <benchmark/benchmark.h>

#include "core/error.h"
#include "core/file.h"
#include "core/rng.h"
#include "tokenizer/pcre2_splitter.h"
#include "tokenizer/splitter.h"
#include "tokenizer/utf8.h"

namespace nanochat {
namespace {

constexpr size_t kBytes = 2 << 20;

/// Random words and what stands between them, in proportions like those of books and programs.
class Generator {
 public:
  [[nodiscard]] std::string english() {
    return text([&](std::string& t) {
      word(t, 1 + draw(3) + draw(8));
      const uint32_t r = draw(100);
      constexpr std::string_view kRare[] = {".\n", "'s ", " 1914 ", " \"", ".\n\n"};
      t += r < 80 ? " " : r < 88 ? ", " : r < 93 ? ". " : kRare[r % std::size(kRare)];
    });
  }
  [[nodiscard]] std::string chinese() {
    return text([&](std::string& t) {
      for (uint32_t n = 3 + draw(10); n > 0; --n) utf8::append(t, 0x4E00 + draw(0x2000));
      const uint32_t r = draw(10);
      t += r < 6 ? "，" : r < 9 ? "。" : "。\n";
    });
  }
  [[nodiscard]] std::string code() {
    return text([&](std::string& t) {
      t.append(2 * draw(5), ' ');
      for (uint32_t n = 1 + draw(6); n > 0; --n) {
        word(t, 1 + draw(10));
        constexpr std::string_view kBetween[] = {" = ", ".", "(", ", ", "_", "::", " + 1", "[0]"};
        t += kBetween[draw(std::size(kBetween))];
      }
      t += draw(4) == 0 ? ");\n\n" : ");\n";
    });
  }

 private:
  template <typename F>
  static std::string text(F&& more) {
    std::string t;
    while (t.size() < kBytes) more(t);
    return t;
  }
  void word(std::string& t, uint32_t n) {
    for (; n > 0; --n) t += static_cast<char>('a' + draw(26));
  }
  uint32_t draw(size_t n) { return random_.bits(n_drawn_++) % static_cast<uint32_t>(n); }

  RandomStream random_{1, RandomPurpose::kTest};
  int64_t n_drawn_ = 0;
};

void finish(benchmark::State& state, const std::string& text, size_t n_chunks) {
  state.SetBytesProcessed(static_cast<int64_t>(text.size()) * state.iterations());
  state.counters["bytes_per_chunk"] =
      static_cast<double>(text.size()) / static_cast<double>(n_chunks);
}

void scanner(benchmark::State& state, const std::string& text) {
  const Splitter splitter;
  size_t n_chunks = 0;
  for (auto _ : state) {
    n_chunks = 0;
    splitter.for_each_chunk(text, [&](std::string_view chunk) {
      benchmark::DoNotOptimize(chunk.data());
      ++n_chunks;
    });
  }
  finish(state, text, n_chunks);
}

template <typename AnySplitter>
void split(benchmark::State& state, const std::string& text) {
  const AnySplitter splitter(kNanochatPattern);
  std::vector<size_t> ends;
  for (auto _ : state) {
    splitter.split(text, ends);
    benchmark::DoNotOptimize(ends.data());
  }
  finish(state, text, ends.size());
}

void add(const std::string& name, const std::string& text) {
  std::vector<size_t> ends, expected;
  Splitter().split(text, ends);
  Pcre2Splitter(kNanochatPattern).split(text, expected);
  NC_CHECK(ends == expected, "{}: the scanner and PCRE2 disagree", name);
  const auto run = [&](const char* what, auto&& f) {
    benchmark::RegisterBenchmark((name + "/" + what).c_str(), f, text)
        ->Unit(benchmark::kMillisecond);
  };
  run("scanner", scanner);
  run("scanner_ends", split<Splitter>);
  run("pcre2_ends", split<Pcre2Splitter>);
}

void add_all() {
  Generator generator;
  add("english", generator.english());
  add("chinese", generator.chinese());
  add("code", generator.code());
  const char* const data = std::getenv("NANOCHAT_DATA");
  if (data == nullptr) return;
  const std::filesystem::path folder = std::filesystem::path(data) / "pretrain";
  for (const char* const name : {"tinyshakespeare.txt", "wikitext2/valid.txt", "chinese.txt"}) {
    if (exists(folder / name)) add(name, read_file(folder / name, int64_t{1} << 30));
  }
}

}  // namespace
}  // namespace nanochat

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  nanochat::add_all();
  benchmark::RunSpecifiedBenchmarks();
}
