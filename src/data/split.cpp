#include "data/split.h"

#include <algorithm>
#include <string_view>

#include "core/error.h"
#include "data/grouped_documents.h"

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

DataSplit split_text(const fs::path& file, std::string_view text) {
  const int64_t cut = held_out_cut(text);
  if (cut == 0) refuse_too_little(file, "its one document is too short");
  return {.train = {{.file = file, .end_offset = cut}},
          .val = {{.file = file, .begin_offset = cut}}};
}

DataSplit split_file(const fs::path& file, const DocumentSourceOptions& options) {
  GroupedDocuments documents(file, options);
  const int64_t n = documents.count();
  if (n == 0) throw DataError("{}: no documents in it", file.string());
  if (n == 1) {
    std::string_view text;
    const bool found = documents.open_group(0) && documents.next(text);
    NC_CHECK(found, "{} has a document", file.string());
    return split_text(file, text);
  }
  const int64_t cut = n - std::max<int64_t>(n / kHeldOutOneIn, 1);
  return {.train = {{.file = file, .end_document = cut}},
          .val = {{.file = file, .begin_document = cut}}};
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
  for (const char separator : {'\n', ' '}) {
    const size_t found = near.find(separator, wanted);
    if (found != std::string_view::npos && is_inside(found + 1)) {
      return static_cast<int64_t>(found) + 1;
    }
  }
  size_t cut = std::min(wanted, text.size() - std::min<size_t>(text.size(), 1));
  const auto is_continuation = [&](size_t i) {
    return (static_cast<unsigned char>(text[i]) & 0xC0) == 0x80;
  };
  while (cut > 0 && is_continuation(cut)) --cut;
  return is_inside(cut) ? static_cast<int64_t>(cut) : 0;
}

DataSplit split_data(std::span<const std::string> paths, std::span<const std::string> val_paths,
                     const DocumentSourceOptions& options) {
  std::vector<fs::path> files = find_document_files(paths);
  if (files.empty()) throw UsageError("no data to train on: name some with --data");
  DataSplit split;
  if (!val_paths.empty()) {
    split = {.train = whole_files(files), .val = whole_files(find_document_files(val_paths))};
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
