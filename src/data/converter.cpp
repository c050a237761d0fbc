#include "data/converter.h"

#include <cerrno>
#include <utility>

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include "core/error.h"
#include "core/file.h"
#include "data/document_shuffle.h"
#include "data/shard_series.h"
#include "tokenizer/utf8.h"

namespace nanochat {
namespace {

namespace fs = std::filesystem;

/// <out>/.convert.part, ours alone; gone with this.
class WorkFolder {
 public:
  explicit WorkFolder(const fs::path& out) : path_(out / ".convert.part") {
    std::error_code error;
    fs::create_directories(path_, error);
    if (error) throw_errno("create", path_, error.value());
    fd_ = ::open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd_ < 0) throw_errno("open", path_, errno);
    if (::flock(fd_, LOCK_EX | LOCK_NB) != 0) {
      ::close(fd_);
      throw UsageError("{}: another conversion is writing to this folder", out.string());
    }
    for (const auto& entry : fs::directory_iterator(path_, error)) {
      fs::remove_all(entry.path(), error);  // left by a process that was killed
    }
  }
  ~WorkFolder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
    ::close(fd_);
  }
  WorkFolder(const WorkFolder&) = delete;
  WorkFolder& operator=(const WorkFolder&) = delete;

  [[nodiscard]] const fs::path& path() const noexcept { return path_; }

 private:
  fs::path path_;
  int fd_ = -1;
};

/// Two sets of shards in one folder would be read as one corpus.
void check_out(const fs::path& out) {
  std::error_code error;
  if (!fs::exists(out, error)) return;
  const std::vector<std::string> paths{out.string()};
  std::vector<fs::path> files;
  try {
    files = find_document_files(paths);
  } catch (const NotFoundError&) {
    return;  // none
  }
  if (!fs::is_directory(out, error)) throw_errno("write", out, ENOTDIR);
  throw UsageError("{}: holds documents already ({}): name another folder, or empty it",
                   out.string(), files.front().filename().string());
}

struct Totals {
  int64_t documents = 0, characters = 0, repaired = 0;
};

/// Reads them all, as valid UTF-8, with how many characters each has.
template <typename F>
Totals read_documents(DocumentSource& source, F&& f) {
  Totals totals;
  DocumentBatch batch;
  while (source.next(batch)) {
    for (std::string_view document : batch.documents) {
      std::string repaired;
      if (utf8::find_invalid(document) != document.size()) {
        document = repaired = utf8::replace_invalid(document);
        ++totals.repaired;
      }
      const auto characters = static_cast<int64_t>(utf8::count(document));
      ++totals.documents;
      totals.characters += characters;
      f(document, characters, totals);
    }
  }
  return totals;
}

void check_any(const Totals& totals, std::span<const std::string> paths) {
  if (totals.documents > 0) return;
  throw DataError("{}: no documents in it to convert", paths.empty() ? "" : paths.front());
}

/// Renames them out of the work folder.
void take_names(std::vector<ConvertedShard>& shards, const fs::path& out) {
  for (ConvertedShard& shard : shards) {
    const fs::path path = out / shard.path.filename();
    if (::rename(shard.path.c_str(), path.c_str()) != 0) throw_errno("replace", path, errno);
    shard.path = path;
  }
  sync_folder(out);
}

}  // namespace

ConvertReport convert_documents(
    std::span<const std::string> paths, const DocumentSourceOptions& source_options,
    const ConvertOptions& options,
    const std::function<void(ConvertPhase, int64_t done, int64_t total)>& progress) {
  NC_CHECK(options.shard_chars > 0 && options.row_group > 0 && options.memory_bytes > 0);
  DocumentSource source(paths, source_options);
  check_out(options.out);
  const WorkFolder work(options.out);

  DocumentShuffle shuffle(work.path(), options.memory_bytes, options.seed);
  const Totals totals =
      read_documents(source, [&](std::string_view document, int64_t, const Totals& so_far) {
        if (options.shuffle) shuffle.add(document);
        progress(ConvertPhase::kReading, so_far.documents, 0);
      });
  check_any(totals, paths);

  ShardSeries series(work.path(), ShardCuts(totals.documents, totals.characters, options),
                     options.row_group);
  int64_t written = 0;
  const auto write = [&](std::string_view document, int64_t characters) {
    series.add(document, characters);
    progress(ConvertPhase::kWriting, ++written, totals.documents);
  };
  if (options.shuffle) {
    shuffle.drain([&](std::string_view document) {
      write(document, static_cast<int64_t>(utf8::count(document)));
    });
  } else {
    DocumentSource again(paths, source_options);
    const Totals second = read_documents(
        again, [&](std::string_view document, int64_t characters, const Totals& so_far) {
          if (so_far.documents <= totals.documents) write(document, characters);
        });
    if (second.documents != totals.documents || second.characters != totals.characters) {
      throw DataError("{}: the files changed while they were read: convert them again",
                      paths.front());
    }
  }
  ConvertReport report{.shards = series.finish(),
                       .documents = totals.documents,
                       .characters = totals.characters,
                       .repaired_documents = totals.repaired,
                       .files = std::ssize(source.files()),
                       .skipped = {source.skipped().begin(), source.skipped().end()}};
  take_names(report.shards, options.out);
  return report;
}

}  // namespace nanochat
