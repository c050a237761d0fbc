#include <algorithm>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <future>
#include <limits>
#include <numeric>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "cli/interrupt.h"
#include "cli/report_section.h"
#include "cli/text_io.h"
#include "cli/tok.h"
#include "cli/tokenizer_store.h"
#include "core/error.h"
#include "core/log.h"
#include "core/parallel.h"
#include "core/progress.h"
#include "data/document_source.h"
#include "tokenizer/bpe_trainer.h"
#include "tokenizer/formats.h"
#include "tokenizer/utf8.h"

namespace nanochat::cli {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

constexpr int64_t kBytes = 256;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

std::vector<fs::path> files_of_split(const TokTrainOptions& options) {
  std::vector<fs::path> files = find_document_files(options.data);
  if (options.split == "all") return files;
  if (files.size() < 2) {
    throw UsageError("--split {} needs at least two files, the last of which is val: there is {}",
                     options.split, files.size());
  }
  if (options.split == "train") {
    files.pop_back();
    return files;
  }
  return {files.back()};
}

struct Corpus {
  int64_t documents = 0, characters = 0;
  int64_t bytes = 0;      // kept
  int64_t all_bytes = 0;  // before documents were cropped
  int64_t cropped_documents = 0;
};

/// Crops the documents of a batch and drops those behind the one that makes the total exceed
/// max_chars; false when there were such.
bool crop(const TokTrainOptions& options, std::vector<std::string_view>& documents,
          Corpus& corpus) {
  const size_t cap =
      options.doc_cap > 0 ? static_cast<size_t>(options.doc_cap) : std::string_view::npos;
  const auto n = std::ssize(documents);
  std::vector<std::string_view> cropped(documents.size());
  std::vector<int64_t> characters(documents.size());
  parallel_for(n, 16, [&](int64_t begin, int64_t end) {
    for (auto i = static_cast<size_t>(begin); i < static_cast<size_t>(end); ++i) {
      cropped[i] = utf8::crop(documents[i], cap);
      characters[i] = cropped[i].size() < documents[i].size()
                          ? options.doc_cap
                          : static_cast<int64_t>(utf8::count(cropped[i]));
    }
  });
  size_t kept = 0;
  while (kept < documents.size() && corpus.characters <= options.max_chars) {
    corpus.characters += characters[kept];
    corpus.bytes += std::ssize(cropped[kept]);
    corpus.all_bytes += std::ssize(documents[kept]);
    corpus.cropped_documents += cropped[kept].size() < documents[kept].size() ? 1 : 0;
    ++kept;
  }
  cropped.resize(kept);
  documents = std::move(cropped);
  corpus.documents += static_cast<int64_t>(kept);
  return corpus.characters <= options.max_chars;
}

Corpus count_chunks(const TokTrainOptions& options, DocumentSource& source, ChunkCounter& counter,
                    const InterruptGuard& interrupts) {
  Corpus corpus;
  Progress progress({.label = "reading", .unit = "bytes"});
  DocumentBatch batch, ahead;
  const auto read_ahead = [&] {
    return std::async(std::launch::async, [&] { return source.next(ahead); });
  };
  auto pending = read_ahead();  // the destructor waits for it
  for (bool more = true; more && pending.get();) {
    interrupts.check();
    std::swap(batch, ahead);
    pending = read_ahead();
    more = crop(options, batch.documents, corpus);
    counter.add(batch.documents);
    progress.update(corpus.all_bytes,
                    fmt::format("file {} of {}", batch.file + 1, source.files().size()));
  }
  interrupts.check();
  return corpus;
}

/// Contractions, digits, signs, three scripts and what takes four bytes.
void check_round_trip(const Tokenizer& tokenizer) {
  constexpr std::string_view kText =
      "I'm sure it's 1234567 & {'a': [3.14]}!\n\n\tna\u00efve \u4f60\u597d\uff0c\u4e16\u754c "
      "\ud55c\uad6d\uc5b4 \U0001F30D";
  NC_CHECK(tokenizer.decode_bytes(tokenizer.encode(kText)) == kText, "the sanity check failed");
}

/// Over the tokens that are not special, as upstream's report has it.
nlohmann::ordered_json token_bytes_statistics(const Tokenizer& tokenizer) {
  std::vector<double> bytes;
  for (const int32_t n : token_byte_counts(tokenizer)) {
    if (n > 0) bytes.push_back(n);
  }
  const auto n = static_cast<double>(bytes.size());
  const double mean = std::accumulate(bytes.begin(), bytes.end(), 0.0) / n;
  double squares = 0;
  for (const double b : bytes) squares += (b - mean) * (b - mean);
  const auto [min, max] = std::minmax_element(bytes.begin(), bytes.end());
  return {{"min", *min}, {"max", *max}, {"mean", mean}, {"std", std::sqrt(squares / (n - 1))}};
}

void warn_about(const Corpus& corpus, const TokTrainOptions& options) {
  if (corpus.bytes < corpus.all_bytes / 2) {
    log_warning(
        "--doc-cap {} kept {:.1f}% of the text, the beginnings of {} documents: raise it, 0 keeps "
        "all, or cut .txt files into documents with --txt-separator",
        options.doc_cap,
        100 * static_cast<double>(corpus.bytes) / static_cast<double>(corpus.all_bytes),
        grouped(corpus.cropped_documents));
  }
}

}  // namespace

void run_tok_train(const CommonOptions& common, const TokTrainOptions& options) {
  const int64_t n_specials = std::ssize(kSpecialTokens);
  const int64_t n_merges = options.vocab_size - kBytes - n_specials;
  if (n_merges < 0) {
    throw UsageError("--vocab-size {}: at least {} is needed, for {} bytes and {} special tokens",
                     options.vocab_size, kBytes + n_specials, kBytes, n_specials);
  }
  const Splitter splitter(pattern_from_name(options.pattern));
  const fs::path folder = tokenizer_folder_to_write(common, options.out);
  DocumentSource source(files_of_split(options), {.text_field = options.text_field,
                                                  .skip_bad_shards = options.skip_bad_shards,
                                                  .txt_separator = options.txt_separator,
                                                  .batch_documents = 4096});
  log_info("max chars {}, doc cap {}, vocab size {}", grouped(options.max_chars),
           grouped(options.doc_cap), grouped(options.vocab_size));

  const InterruptGuard interrupts;
  const auto start = Clock::now();
  ChunkCounter counter(splitter);
  const Corpus corpus = count_chunks(options, source, counter, interrupts);
  for (const std::string& reason : source.skipped()) log_warning("skipped: {}", reason);
  if (corpus.documents == 0) {
    throw DataError("{}: no documents in it to train on", options.data.front());
  }
  warn_about(corpus, options);
  const double read_seconds = seconds_since(start);
  const int64_t n_chunks = counter.n_chunks();
  const int64_t n_distinct = counter.n_distinct();

  Progress progress({.label = "merging", .unit = "merges", .total = n_merges});
  const std::vector<Merge> merges = train_bpe(std::move(counter), n_merges, [&](int64_t done) {
    interrupts.check();
    progress.update(done);
  });
  progress.finish();
  if (std::ssize(merges) < n_merges) {
    log_warning("no pair is left after {} of {} merges: there is too little text for --vocab-size",
                grouped(std::ssize(merges)), grouped(n_merges));
  }
  const Tokenizer tokenizer(Vocabulary::from_tokens(token_strings(merges), splitter.pattern()));
  check_round_trip(tokenizer);
  const double seconds = seconds_since(start);
  interrupts.check();
  save_tokenizer(tokenizer, folder);

  const nlohmann::ordered_json result{
      {"path", folder.string()},
      {"vocab_size", tokenizer.vocab_size()},
      {"merges", merges.size()},
      {"special_tokens", n_specials},
      {"pattern", splitter.pattern()},
      {"max_chars", options.max_chars},
      {"doc_cap", options.doc_cap},
      {"files", source.files().size()},
      {"skipped_files", source.skipped().size()},
      {"documents", corpus.documents},
      {"cropped_documents", corpus.cropped_documents},
      {"characters", corpus.characters},
      {"bytes", corpus.bytes},
      {"chunks", n_chunks},
      {"distinct_chunks", n_distinct},
      {"read_seconds", read_seconds},
      {"train_seconds", seconds},
      {"token_bytes", token_bytes_statistics(tokenizer)},
  };
  record_section(common, {.name = "tokenizer-training", .results = result});
  if (common.json) {
    print_json(result);
    return;
  }
  fmt::print("{} tokens from {} documents, {} characters, {} distinct of {} chunks\n",
             grouped(tokenizer.vocab_size()), grouped(corpus.documents), grouped(corpus.characters),
             grouped(n_distinct), grouped(n_chunks));
  fmt::print("training time {:.2f}s, {:.2f}s of it reading and counting\n", seconds, read_seconds);
  fmt::print("saved in {}\n", folder.string());
}

}  // namespace nanochat::cli
