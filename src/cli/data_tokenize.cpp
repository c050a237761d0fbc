#include "cli/data_tokenize.h"

#include <algorithm>
#include <chrono>
#include <filesystem>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "cli/interrupt.h"
#include "cli/text_io.h"
#include "cli/tokenizer_store.h"
#include "core/error.h"
#include "core/log.h"
#include "core/progress.h"
#include "data/tokenize.h"

namespace nanochat::cli {
namespace {

namespace fs = std::filesystem;

struct Totals {
  int64_t written = 0, kept = 0, bad = 0;
  int64_t documents = 0, tokens = 0, bytes = 0;  // bytes: of documents tokenised now
};

void make_folder(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (!error && fs::is_directory(folder)) return;
  throw_errno("make the folder", folder, error ? error.value() : ENOTDIR);
}

/// Training would read them with the others.
void warn_about_strangers(const fs::path& folder, const std::vector<fs::path>& names) {
  for (const auto& entry : fs::directory_iterator(folder)) {
    const fs::path name = entry.path().filename();
    if (!is_tok_file(name) || name.native().starts_with('.')) continue;
    if (std::ranges::find(names, name) == names.end()) {
      log_warning("{} is of none of these files: training on the folder reads it too",
                  entry.path().string());
    }
  }
}

/// False when the file is bad and left out.
bool tokenize(const fs::path& text, const fs::path& tok, const Tokenizer& tokenizer,
              const DocumentSourceOptions& options, const std::function<void(int64_t)>& progress,
              Totals& totals) {
  int64_t bytes = 0;
  try {
    std::optional<TokShardHeader> header = find_tokenized(text, tok, tokenizer, options);
    if (header) {
      ++totals.kept;
    } else {
      header = tokenize_file(text, tok, tokenizer, options, [&](int64_t done) {
        bytes = done;
        progress(totals.bytes + done);
      });
      ++totals.written;
    }
    totals.documents += header->n_documents;
    totals.tokens += header->n_tokens;
    totals.bytes += bytes;
    return true;
  } catch (const Error& e) {
    const bool is_files_fault =
        e.exit_code() == ExitCode::kBadData || e.exit_code() == ExitCode::kNotFound;
    if (!options.skip_bad_shards || !is_files_fault) throw;
    log_warning("left out: {}", e.what());
    ++totals.bad;
    return false;
  }
}

}  // namespace

void run_data_tokenize(const CommonOptions& common, const DataTokenizeOptions& options) {
  const auto start = std::chrono::steady_clock::now();
  const std::vector<fs::path> files = find_document_files(options.data);
  const std::vector<fs::path> names = tok_file_names(files);
  const Tokenizer tokenizer = load_tokenizer(common, options.tokenizer);
  const DocumentSourceOptions documents{.text_field = options.text_field,
                                        .skip_bad_shards = options.skip_bad_shards,
                                        .txt_separator = options.txt_separator};
  const fs::path folder = options.out;
  make_folder(folder);
  warn_about_strangers(folder, names);

  const InterruptGuard interrupts;
  Totals totals;
  Progress progress({.label = "tokenising", .unit = "bytes"});
  for (size_t i = 0; i < files.size(); ++i) {
    const auto report = [&](int64_t bytes) {
      interrupts.check();
      progress.update(bytes, fmt::format("file {} of {}", i + 1, files.size()));
    };
    report(totals.bytes);
    tokenize(files[i], folder / names[i], tokenizer, documents, report, totals);
  }
  progress.finish();
  if (totals.documents == 0) {
    throw DataError("{}: no documents in it to tokenise", options.data.front());
  }
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();

  if (common.json) {
    const nlohmann::ordered_json result{
        {"path", folder.string()},
        {"files", files.size()},
        {"written_files", totals.written},
        {"kept_files", totals.kept},
        {"skipped_files", totals.bad},
        {"documents", totals.documents},
        {"tokens", totals.tokens},
        {"bytes", totals.bytes},
        {"seconds", seconds},
    };
    print_json(result);
    return;
  }
  fmt::print("{} documents, {} tokens in {} files ({} done before, {} left out), {:.1f}s\n",
             totals.documents, totals.tokens, totals.written + totals.kept, totals.kept, totals.bad,
             seconds);
  fmt::print("saved in {}: train with --data {}\n", folder.string(), folder.string());
}

}  // namespace nanochat::cli
