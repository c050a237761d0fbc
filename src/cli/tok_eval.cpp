#include "tokenizer/tok_eval.h"

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

#include "cli/report_section.h"
#include "cli/text_io.h"
#include "cli/tok.h"
#include "cli/tokenizer_store.h"
#include "core/log.h"
#include "data/document_source.h"

namespace nanochat::cli {
namespace {

namespace fs = std::filesystem;

/// The first documents of a file, joined by line breaks as upstream does: about its first row
/// group. Empty for an empty file.
std::string sample_of(const fs::path& file, const std::string& text_field) {
  DocumentSource source(std::vector<fs::path>{file}, {.text_field = text_field});
  DocumentBatch batch;
  if (!source.next(batch)) return "";
  return fmt::format("{}", fmt::join(batch.documents, "\n"));
}

/// One text of a file; of a folder or glob with several, one of the first file (train) and one of
/// the last (val).
void add_samples(const std::string& path, const std::string& text_field,
                 std::vector<EvalText>& texts) {
  const std::string paths[] = {path};
  const std::vector<fs::path> files = find_document_files(paths);
  const auto add = [&](std::string name, const fs::path& file) {
    std::string text = sample_of(file, text_field);
    if (!text.empty()) texts.push_back({std::move(name), std::move(text)});
  };
  if (files.size() == 1) {
    const std::string name = files[0].filename().string();
    return add(name.substr(0, name.find('.')), files[0]);
  }
  const std::string name = fs::path(path).lexically_normal().filename().string();
  add(name.empty() ? "train" : name + "-train", files.front());
  add(name.empty() ? "val" : name + "-val", files.back());
}

/// What a tokenizer is called in the tables: our own is "Ours".
std::string short_name(const std::string& name) {
  const std::string file = fs::path(name).filename().string();
  return file.empty() ? name : file;
}

EvalResult result_of(const CommonOptions& common, const std::string& tokenizer_name,
                     std::string name, std::span<const EvalText> texts) {
  const Tokenizer tokenizer = load_tokenizer(common, tokenizer_name);
  return {std::move(name), tokenizer.vocab_size(), evaluate(tokenizer, texts)};
}

nlohmann::ordered_json to_json(const EvalResult& result) {
  auto texts = nlohmann::ordered_json::array();
  for (const EvalRow& row : result.rows) {
    texts.push_back({{"name", row.name},
                     {"bytes", row.bytes},
                     {"characters", row.characters},
                     {"tokens", row.tokens},
                     {"bytes_per_token", row.bytes_per_token()},
                     {"characters_per_token", row.characters_per_token()},
                     {"tokens_per_second", row.tokens_per_second()}});
  }
  return {{"name", result.name}, {"vocab_size", result.vocab_size}, {"texts", std::move(texts)}};
}

}  // namespace

void run_tok_eval(const CommonOptions& common, const TokEvalOptions& options) {
  // First what can be missing, then what takes time.
  for (const std::string& name : options.against) {
    static_cast<void>(find_tokenizer(common, name));
  }
  std::vector<EvalText> texts = built_in_eval_texts();
  for (const std::string& path : options.data) add_samples(path, options.text_field, texts);

  const EvalResult ours = result_of(common, options.tokenizer, "Ours", texts);
  std::vector<EvalResult> others;
  for (const std::string& name : options.against) {
    others.push_back(result_of(common, name, short_name(name), texts));
  }

  auto result = to_json(ours);
  result["name"] = options.tokenizer;
  result["against"] = nlohmann::ordered_json::array();
  for (const EvalResult& other : others) {
    auto json = to_json(other);
    for (size_t i = 0; i < ours.rows.size(); ++i) {
      json["texts"][i]["relative_difference_percent"] =
          relative_difference_percent(other.rows[i], ours.rows[i]);
    }
    result["against"].push_back(std::move(json));
  }
  record_section(common, {.name = "tokenizer-evaluation", .results = result});
  if (common.json) {
    print_json(result);
    return;
  }
  print_bytes(eval_table(ours));
  for (const EvalResult& other : others) {
    print_bytes(fmt::format("\n{}", comparison_table(other, ours, wants_colour(STDOUT_FILENO))));
  }
}

}  // namespace nanochat::cli
