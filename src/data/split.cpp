#include "data/split.h"

#include <algorithm>
#include <string_view>

#include "core/error.h"
#include "data/grouped_documents.h"
#include "data/tok_shard.h"

namespace nanochat {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kHeldOutOneIn = 10;

std::vector<DataPart> whole_files(const std::vector<fs::path>& files) {
  std::vector<DataPart> parts;
  for (const fs::path& file : files) parts.push_back({.file = file});
  return parts;
}

[[noreturn]] void refuse_too_little(const fs::path& file, std::string_view what) {
  throw DataError(
      "{}: {} to be cut into text to train on and text to hold out: give more, or name other files "
      "with --val-data",
      file.string(), what);
}

DataSplit split_at(const fs::path& file, int64_t cut) {
  if (cut == 0) refuse_too_little(file, "its one document is too short");
  return {.train = {{.file = file, .end_offset = cut}},
          .val = {{.file = file, .begin_offset = cut}}};
}

DataSplit split_documents(const fs::path& file, int64_t n) {
  if (n == 0) throw DataError("{}: no documents in it", file.string());
  const int64_t cut = n - std::max<int64_t>(n / kHeldOutOneIn, 1);
  return {.train = {{.file = file, .end_document = cut}},
          .val = {{.file = file, .begin_document = cut}}};
}

DataSplit split_tok(const fs::path& file) {
  const TokShardHeader header = TokShard(file).header();
  if (header.n_documents != 1) return split_documents(file, header.n_documents);
  if (header.cut_token == 0) refuse_too_little(file, "its one document has no known place");
  return split_at(file, header.cut_token);
}

DataSplit split_file(const fs::path& file, const DocumentSourceOptions& options) {
  if (is_tok_file(file)) return split_tok(file);
  GroupedDocuments documents(file, options);
  const int64_t n = documents.count();
  std::string_view text;
  if (n != 1 || !documents.open_group(0) || !documents.next(text)) return split_documents(file, n);
  return split_at(file, held_out_cut(text));
}

void check_distinct(const DataSplit& split) {
  for (const DataPart& held_out : split.val) {
    for (const DataPart& trained : split.train) {
      std::error_code ignored;
      if (fs::equivalent(held_out.file, trained.file, ignored)) {
        throw UsageError("{}: named twice, to train on and to hold out", held_out.file.string());
      }
    }
  }
}

}  // namespace

int64_t held_out_cut(std::string_view text) {
  const size_t wanted = text.size() - text.size() / kHeldOutOneIn;
  const auto is_inside = [&](size_t cut) { return cut > 0 && cut < text.size(); };
  const std::string_view near = text.substr(0, wanted + (text.size() - wanted) / 2);
  const size_t line = near.find('\n', wanted);
  if (line != std::string_view::npos && is_inside(line + 1)) return static_cast<int64_t>(line) + 1;
  // In front of the space, which belongs to the token of the word behind it.
  const size_t space = near.find(' ', wanted);
  if (space != std::string_view::npos && is_inside(space)) return static_cast<int64_t>(space);
  size_t cut = std::min(wanted, text.size() - std::min<size_t>(text.size(), 1));
  const auto is_continuation = [&](size_t i) {
    return (static_cast<unsigned char>(text[i]) & 0xC0) == 0x80;
  };
  while (cut > 0 && is_continuation(cut)) --cut;
  return is_inside(cut) ? static_cast<int64_t>(cut) : 0;
}

DataSplit split_data(std::span<const std::string> paths, std::span<const std::string> val_paths,
                     const DocumentSourceOptions& options) {
  std::vector<fs::path> files = find_training_files(paths);
  if (files.empty()) throw UsageError("no data to train on: name some with --data");
  DataSplit split;
  if (!val_paths.empty()) {
    split = {.train = whole_files(files), .val = whole_files(find_training_files(val_paths))};
  } else if (files.size() == 1) {
    return split_file(files.front(), options);
  } else {
    split.val = {{.file = files.back()}};
    files.pop_back();
    split.train = whole_files(files);
  }
  check_distinct(split);
  return split;
}

}  // namespace nanochat
