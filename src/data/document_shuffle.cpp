#include "data/document_shuffle.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <deque>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/error.h"
#include "core/file.h"
#include "core/rng.h"

namespace nanochat {
namespace {

namespace fs = std::filesystem;

constexpr int kBits = 7;
constexpr size_t kBuckets = size_t{1} << kBits;
constexpr int kMaxLevel = 64 / kBits;
constexpr size_t kBufferBytes = 64 << 10;  // of each bucket's file; 8 MiB in all
constexpr size_t kBlockBytes = 1 << 20;

/// Where a document stands in the order: by key, and of equal keys, as they came.
struct Place {
  uint64_t key;
  uint64_t number;
};

/// Documents in memory.
class Pile {
 public:
  void add(Place place, std::string_view document) {
    entries_.push_back({place, {store(document), document.size()}});
  }
  [[nodiscard]] int64_t bytes() const {
    return block_bytes_ + std::ssize(entries_) * static_cast<int64_t>(sizeof(Entry));
  }
  template <typename F>
  void for_each(F&& f) const {
    for (const Entry& entry : entries_) f(entry.place, entry.document);
  }
  void sort() {
    std::ranges::sort(entries_, {}, [](const Entry& entry) {
      return std::tuple(entry.place.key, entry.place.number);
    });
  }
  void clear() { *this = {}; }

 private:
  struct Entry {
    Place place;
    std::string_view document;
  };

  /// Blocks never move, so views into them stay.
  const char* store(std::string_view document) {
    if (blocks_.empty() || blocks_.back().capacity() - blocks_.back().size() < document.size()) {
      blocks_.emplace_back().reserve(std::max(kBlockBytes, document.size()));
      block_bytes_ += static_cast<int64_t>(blocks_.back().capacity());
    }
    std::vector<char>& block = blocks_.back();
    const size_t at = block.size();
    block.insert(block.end(), document.begin(), document.end());
    return block.data() + at;
  }

  std::vector<Entry> entries_;
  std::deque<std::vector<char>> blocks_;
  int64_t block_bytes_ = 0;
};

/// A temporary file without a name: records of a Place, a length and a document.
class SpillFile {
 public:
  explicit SpillFile(const fs::path& folder) : folder_(folder) {
    fd_ = ::open(folder.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd_ < 0) fd_ = open_and_unlink();  // a file system that cannot make nameless ones
    if (fd_ < 0) throw_errno("write temporary files in", folder, errno);
  }
  ~SpillFile() {
    if (fd_ >= 0) ::close(fd_);
  }
  SpillFile(const SpillFile&) = delete;
  SpillFile& operator=(const SpillFile&) = delete;

  static constexpr int64_t kHeadBytes = 3 * sizeof(uint64_t);

  void add(Place place, std::string_view document) {
    const std::array<uint64_t, 3> head{place.key, place.number, document.size()};
    append({reinterpret_cast<const char*>(head.data()), sizeof(head)});
    append(document);
    ++count_;
    document_bytes_ += std::ssize(document);
  }
  [[nodiscard]] int64_t count() const noexcept { return count_; }
  /// What a Pile of it would take.
  [[nodiscard]] int64_t bytes_in_memory() const noexcept {
    return document_bytes_ + count_ * int64_t{sizeof(Place) + sizeof(std::string_view)};
  }

  /// All records, in the order in which they came. Nothing can be added afterwards.
  template <typename F>
  void for_each(F&& f) {
    flush();
    ::lseek(fd_, 0, SEEK_SET);
    const auto file_bytes = static_cast<size_t>(document_bytes_ + count_ * kHeadBytes);
    buffer_.resize(std::min(kBlockBytes, file_bytes));
    begin_ = end_ = 0;
    std::string document;
    for (int64_t i = 0; i < count_; ++i) {
      std::array<uint64_t, 3> head{};
      read({reinterpret_cast<char*>(head.data()), sizeof(head)});
      document.resize(head[2]);
      read(document);
      f(Place{head[0], head[1]}, std::string_view(document));
    }
  }

 private:
  [[nodiscard]] int open_and_unlink() const {
    std::string name = (folder_ / ".shuffle-XXXXXX").string();
    const int fd = ::mkostemp(name.data(), O_CLOEXEC);
    if (fd >= 0) ::unlink(name.c_str());
    return fd;
  }
  void append(std::string_view bytes) {
    if (buffer_.size() + bytes.size() > kBufferBytes) flush();
    if (bytes.size() > kBufferBytes) return write(bytes);
    buffer_.insert(buffer_.end(), bytes.begin(), bytes.end());
  }
  void flush() {
    write({buffer_.data(), buffer_.size()});
    buffer_.clear();
  }
  void write(std::string_view bytes) const {
    while (!bytes.empty()) {
      const ssize_t n = ::write(fd_, bytes.data(), bytes.size());
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) throw_errno("write temporary files in", folder_, errno);
      bytes.remove_prefix(static_cast<size_t>(n));
    }
  }
  void read(std::span<char> out) {
    while (!out.empty()) {
      if (begin_ == end_) {
        const ssize_t n = ::read(fd_, buffer_.data(), buffer_.size());
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) throw_errno("read temporary files in", folder_, n < 0 ? errno : EIO);
        begin_ = 0;
        end_ = static_cast<size_t>(n);
      }
      const size_t n = std::min(out.size(), end_ - begin_);
      std::memcpy(out.data(), buffer_.data() + begin_, n);
      begin_ += n;
      out = out.subspan(n);
    }
  }

  fs::path folder_;
  int fd_ = -1;
  std::vector<char> buffer_;
  size_t begin_ = 0, end_ = 0;  // of the buffer, when reading
  int64_t count_ = 0, document_bytes_ = 0;
};

/// Files by the bits of the key that `level` is about; made when their first document comes.
class Buckets {
 public:
  Buckets(fs::path folder, int level)
      : folder_(std::move(folder)), shift_(64 - kBits * (level + 1)) {}

  void add(Place place, std::string_view document) {
    std::unique_ptr<SpillFile>& file = files_[(place.key >> shift_) & (kBuckets - 1)];
    if (!file) file = std::make_unique<SpillFile>(folder_);
    file->add(place, document);
  }
  /// Takes one out, null if nothing is in it; its disk space is free when it is destroyed.
  [[nodiscard]] std::unique_ptr<SpillFile> take(size_t bucket) { return std::move(files_[bucket]); }

 private:
  fs::path folder_;
  int shift_;
  std::array<std::unique_ptr<SpillFile>, kBuckets> files_;
};

}  // namespace

struct DocumentShuffle::Impl {
  fs::path folder;
  int64_t memory_bytes;
  RandomStream stream;
  uint64_t n_documents = 0;
  Pile pile{};
  std::unique_ptr<Buckets> buckets{};  // once the pile has become too large

  using Emit = std::function<void(std::string_view)>;

  void add(std::string_view document) {
    const auto words = stream.block(static_cast<int64_t>(n_documents));
    const Place place{uint64_t{words[1]} << 32 | words[0], n_documents++};
    if (buckets) return buckets->add(place, document);
    pile.add(place, document);
    if (pile.bytes() <= memory_bytes) return;
    buckets = std::make_unique<Buckets>(folder, 0);
    pile.for_each([&](Place p, std::string_view d) { buckets->add(p, d); });
    pile.clear();
  }
  void drain(const Emit& f) {
    if (buckets) return drain(*buckets, 0, f);
    emit(f);
  }
  void drain(Buckets& level_buckets, int level, const Emit& f) {
    for (size_t bucket = 0; bucket < kBuckets; ++bucket) {
      if (auto file = level_buckets.take(bucket)) drain(std::move(file), level, f);
    }
  }
  void drain(std::unique_ptr<SpillFile> file, int level, const Emit& f) {
    const bool fits = file->bytes_in_memory() <= memory_bytes || file->count() == 1;
    if (fits || level + 1 == kMaxLevel) {
      file->for_each([&](Place p, std::string_view d) { pile.add(p, d); });
      file.reset();
      return emit(f);
    }
    Buckets finer(folder, level + 1);
    file->for_each([&](Place p, std::string_view d) { finer.add(p, d); });
    file.reset();
    drain(finer, level + 1, f);
  }
  void emit(const Emit& f) {
    pile.sort();
    pile.for_each([&](Place, std::string_view d) { f(d); });
    pile.clear();
  }
};

DocumentShuffle::DocumentShuffle(fs::path folder, int64_t memory_bytes, uint64_t seed)
    : impl_(new Impl{.folder = std::move(folder),
                     .memory_bytes = memory_bytes,
                     .stream = RandomStream(seed, RandomPurpose::kData)}) {}
DocumentShuffle::~DocumentShuffle() = default;

void DocumentShuffle::add(std::string_view document) { impl_->add(document); }
void DocumentShuffle::drain(const std::function<void(std::string_view)>& f) { impl_->drain(f); }

}  // namespace nanochat
