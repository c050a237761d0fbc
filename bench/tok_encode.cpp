/// How fast we encode: the seconds of nothing but encoding, of documents that are in memory. Our
/// side of bench/peers/tok_encode.py, which says how the peers do on the same documents.
///
///   tok_encode english.jsonl --tokenizer T             one thread, then all cores
///   tok_encode english.jsonl --tokenizer T --threads 1 2 --repeat 5 --json
///   tok_encode a.jsonl b.jsonl --train 32768 --save FOLDER    a tokenizer to measure with
#include <algorithm>
#include <chrono>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "core/error.h"
#include "core/file.h"
#include "core/parallel.h"
#include "tokenizer/bpe_trainer.h"
#include "tokenizer/formats.h"
#include "tokenizer/tokenizer.h"

namespace nanochat::bench {
namespace {

using nlohmann::json;

struct Options {
  std::vector<std::string> files;
  std::string tokenizer;
  int64_t train = 0;  // vocabulary size; 0: load `tokenizer`
  std::string save;
  std::vector<int> threads = {1, num_threads()};
  int repeat = 3;
  bool as_json = false;
};

/// The member "text" of each line of a .jsonl file; any other file is one document.
std::vector<std::string> read_documents(const std::vector<std::string>& files) {
  std::vector<std::string> documents;
  for (const std::string& file : files) {
    std::string bytes = read_file(file, int64_t{1} << 34);
    if (!file.ends_with(".jsonl")) {
      documents.push_back(std::move(bytes));
      continue;
    }
    for (size_t begin = 0; begin < bytes.size();) {
      const size_t end = std::min(bytes.find('\n', begin), bytes.size());
      const std::string_view line = std::string_view(bytes).substr(begin, end - begin);
      if (!line.empty()) documents.push_back(json::parse(line)["text"].get<std::string>());
      begin = end + 1;
    }
  }
  return documents;
}

Vocabulary train(const std::vector<std::string_view>& documents, int64_t vocab_size) {
  const Splitter splitter;
  ChunkCounter counter(splitter);
  counter.add(documents);
  const auto n_special = static_cast<int64_t>(std::size(kSpecialTokens));
  return Vocabulary::from_tokens(
      token_strings(train_bpe(std::move(counter), vocab_size - 256 - n_special)));
}

void save(const Vocabulary& vocabulary, const std::string& folder) {
  std::filesystem::create_directories(folder);
  for (const TokenizerFormat format :
       {TokenizerFormat::kOurs, TokenizerFormat::kHuggingFace, TokenizerFormat::kTiktoken}) {
    save_vocabulary(vocabulary, folder, format);
  }
}

void measure(const Options& options) {
  const std::vector<std::string> documents = read_documents(options.files);
  const std::vector<std::string_view> views(documents.begin(), documents.end());
  size_t n_bytes = 0;
  for (const std::string& document : documents) n_bytes += document.size();
  const Vocabulary vocabulary =
      options.train > 0 ? train(views, options.train) : load_vocabulary(options.tokenizer);
  if (!options.save.empty()) save(vocabulary, options.save);
  const Tokenizer tokenizer(vocabulary);

  json results = json::array();
  for (const int n : options.threads) {
    set_num_threads(n);
    double best = 1e300;
    size_t n_tokens = 0;
    for (int i = 0; i < options.repeat; ++i) {
      const auto start = std::chrono::steady_clock::now();
      const std::vector<std::vector<int32_t>> rows = tokenizer.encode_batch(views);
      const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
      best = std::min(best, seconds.count());
      n_tokens = 0;
      for (const auto& row : rows) n_tokens += row.size();
    }
    results.push_back(
        {{"threads", n}, {"seconds", best}, {"bytes", n_bytes}, {"tokens", n_tokens}});
    if (!options.as_json) {
      fmt::print("{} threads: {:.1f} MB/s, {:.1f} million tokens/s ({} documents, {} tokens)\n", n,
                 static_cast<double>(n_bytes) / best / 1e6,
                 static_cast<double>(n_tokens) / best / 1e6, documents.size(), n_tokens);
    }
  }
  if (options.as_json) fmt::print("{}\n", results.dump());
}

}  // namespace
}  // namespace nanochat::bench

int main(int argc, char** argv) {
  nanochat::bench::Options options;
  CLI::App app("Seconds that encoding takes, the files being in memory (best of --repeat).");
  app.add_option("files", options.files, ".jsonl: the member text of each line; else one document")
      ->required();
  auto* const tokenizer = app.add_option("--tokenizer", options.tokenizer, "any format we read");
  auto* const train = app.add_option("--train", options.train, "or train one of this size on them");
  tokenizer->excludes(train);
  app.add_option("--save", options.save, "a folder for it, in every format that we write");
  app.add_option("--threads", options.threads, "one measurement for each");
  app.add_option("--repeat", options.repeat, "the best counts; 0: measure nothing");
  app.add_flag("--json", options.as_json);
  CLI11_PARSE(app, argc, argv);
  try {
    if (options.tokenizer.empty() && options.train == 0) {
      throw nanochat::UsageError("either --tokenizer or --train is needed");
    }
    if (options.repeat == 0) options.threads.clear();
    nanochat::bench::measure(options);
  } catch (const nanochat::Error& error) {
    fmt::print(stderr, "tok_encode: {}\n", error.what());
    return static_cast<int>(error.exit_code());
  }
}
