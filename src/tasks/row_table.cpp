#include "tasks/row_table.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "core/error.h"
#include "core/mapped_file.h"
#include "data/byte_stream.h"
#include "data/document_reader.h"

namespace nanochat {
namespace {

namespace fs = std::filesystem;

/// All of a compressed file.
std::shared_ptr<const std::string> decompressed(const fs::path& path) {
  const auto stream = open_byte_stream(path);
  auto text = std::make_shared<std::string>();
  size_t size = 0;
  for (;;) {
    if (size == text->size()) text->resize(std::max<size_t>(2 * size, 1 << 20));
    const size_t n = stream->read({text->data() + size, text->size() - size});
    if (n == 0) break;
    size += n;
  }
  text->resize(size);
  text->shrink_to_fit();
  return text;
}

bool is_compressed(const fs::path& path) {
  return path.extension() == ".gz" || path.extension() == ".zst";
}

}  // namespace

bool is_table_file(const fs::path& path) {
  const fs::path ending = is_compressed(path) ? path.stem().extension() : path.extension();
  return ending == ".jsonl" || path.extension() == ".parquet";
}

RowTable::RowTable(const std::vector<fs::path>& files) {
  for (const fs::path& path : files) {
    if (!is_table_file(path)) {
      throw DataError(
          "{}: not a table: its name should end in .jsonl, .jsonl.gz, .jsonl.zst or "
          ".parquet",
          path.string());
    }
    if (path.extension() == ".parquet") {
      add_parquet(path);
    } else if (is_compressed(path)) {
      const auto text = decompressed(path);
      memory_.push_back(text);
      add_lines(path.string(), *text);
    } else {
      const auto mapping = std::make_shared<StoragePtr>(map_file(path));
      memory_.push_back(mapping);
      add_lines(path.string(), {static_cast<const char*>((*mapping)->data()),
                                static_cast<size_t>((*mapping)->size_bytes())});
    }
  }
}

RowTable::RowTable(std::string name, std::string_view text) { add_lines(std::move(name), text); }

void RowTable::add_lines(std::string name, std::string_view text) {
  files_.push_back({std::move(name), size(), true});
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  for (int32_t number = 1; !text.empty(); ++number) {
    const size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    if (line.find_first_not_of(" \t\r") != std::string_view::npos) {
      rows_.push_back(line);
      numbers_.push_back(number);
    }
    text.remove_prefix(std::min(end + 1, text.size()));
  }
}

void RowTable::add_parquet(const fs::path& path) {
  files_.push_back({path.string(), size(), false});
  const auto reader = open_parquet_rows(path);
  DocumentBatch batch;
  while (reader->next(batch)) {
    for (const std::string_view row : batch.documents) {
      rows_.push_back(row);
      numbers_.push_back(static_cast<int32_t>(size() - files_.back().first_row) - 1);
    }
    memory_.push_back(batch.memory);
  }
}

std::string RowTable::place(int64_t i) const {
  const auto behind = std::ranges::upper_bound(files_, i, {}, &File::first_row);
  const File& file = *(behind - 1);
  return fmt::format("{}:{}{}", file.name, file.has_lines ? "" : " row ",
                     numbers_[static_cast<size_t>(i)]);
}

}  // namespace nanochat
