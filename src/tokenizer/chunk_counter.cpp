#include "tokenizer/chunk_counter.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <limits>
#include <mutex>
#include <new>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/parallel.h"

// Words are few and repeat, so most chunks of a text are in a table that fits into the cache. Each
// thread counts into one of its own and empties it into shared tables when it is full. The shared
// ones are cut by hash into shards with a lock each, so that the threads seldom meet, and so that
// a table that grows is small.

namespace nanochat {
namespace {

// Documents are dealt to threads in pieces of about this size: large beside the dealing, small
// enough that the threads finish together.
constexpr size_t kPieceBytes = 32 << 10;
// A thread's table: 2^18 slots of 32 bytes, used up to a half. Most corpora of one language and a
// few hundred megabytes never empty it more than a few times.
constexpr int kLocalBits = 18;
constexpr size_t kLocalCapacity = size_t{1} << (kLocalBits - 1);
constexpr size_t kLocalArenaBytes = 8 << 20;
constexpr int kShardBits = 6;
constexpr size_t kShards = size_t{1} << kShardBits;
// Longer chunks are rare; they go to the shared tables at once and never crowd a thread's arena.
constexpr size_t kLongChunk = 1024;
constexpr size_t kInlineBytes = 16;

__extension__ using Uint128 = unsigned __int128;

// Both halves of a 64 x 64 bit product: every bit of the result depends on nearly every bit of a
// and b, so the tables may take their index from either end.
uint64_t fold_product(uint64_t a, uint64_t b) noexcept {
  const Uint128 product = static_cast<Uint128>(a) * b;
  return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
}

// Arbitrary odd numbers with half of their bits set.
constexpr uint64_t kSeed0 = 0x9e3779b97f4a7c15;
constexpr uint64_t kSeed1 = 0xd1b54a32d192ed03;
constexpr uint64_t kSeed2 = 0x8cb92ba72f3d8dd7;

uint64_t load_word(const char* p) noexcept {
  uint64_t word;
  std::memcpy(&word, p, sizeof word);
  return word;
}

uint64_t hash_long(const char* p, size_t size) noexcept {
  uint64_t h = kSeed2 ^ size;
  for (; size > 16; p += 16, size -= 16) {
    h = fold_product(load_word(p) ^ kSeed0 ^ h, load_word(p + 8) ^ kSeed1);
  }
  // The last 16 bytes, which may overlap those before: the chunk is longer than that.
  return fold_product(load_word(p + size - 16) ^ kSeed0 ^ h, load_word(p + size - 8) ^ kSeed1);
}

// A chunk with its hash. Up to 16 bytes are held in two words, zeros behind them, so that they
// compare in two instructions; of longer ones `lo` is the hash and the bytes stay where they are.
struct Key {
  uint64_t lo, hi;
  uint64_t hash;
  const char* data;  // of a long chunk
  uint32_t size;
};

uint64_t hash_inline(uint64_t lo, uint64_t hi, uint32_t size) noexcept {
  return fold_product(lo ^ kSeed0, hi ^ kSeed1 ^ (uint64_t{size} << 56));
}

// `readable` bytes may be read from p, size <= readable.
Key make_key(const char* p, size_t size, size_t readable) noexcept {
  static_assert(std::endian::native == std::endian::little, "the masks keep the first bytes");
  const auto size32 = static_cast<uint32_t>(size);
  if (size > kInlineBytes) {
    const uint64_t hash = hash_long(p, size);
    return {hash, 0, hash, p, size32};
  }
  uint64_t words[2] = {0, 0};
  if (readable >= kInlineBytes) {
    words[0] = load_word(p);
    words[1] = load_word(p + 8);
    if (size <= 8) {
      words[0] &= ~uint64_t{0} >> (64 - 8 * size);  // size >= 1
      words[1] = 0;
    } else {
      words[1] &= ~uint64_t{0} >> (128 - 8 * size);
    }
  } else {
    std::memcpy(words, p, size);
  }
  return {words[0], words[1], hash_inline(words[0], words[1], size32), nullptr, size32};
}

struct Entry {
  uint64_t lo;
  union {
    uint64_t hi;       // size <= 16
    const char* data;  // longer: in the table's arena
  };
  int64_t count;
  uint32_t size;      // 0: the slot is free
  uint32_t low_hash;  // the lower half, to grow a table without looking at the bytes

  [[nodiscard]] bool is(const Key& key) const noexcept {
    if (size != key.size || lo != key.lo) return false;
    return size <= kInlineBytes ? hi == key.hi : std::memcmp(data, key.data, size) == 0;
  }
  [[nodiscard]] Key key() const noexcept {
    if (size > kInlineBytes) return {lo, 0, lo, data, size};
    return {lo, hi, hash_inline(lo, hi, size), nullptr, size};
  }
  [[nodiscard]] std::string_view bytes() const noexcept {
    return {size > kInlineBytes ? data : reinterpret_cast<const char*>(&lo), size};
  }
};
static_assert(sizeof(Entry) == 32 && offsetof(Entry, hi) == 8);

// The bytes of long chunks, one after another.
class ByteArena {
 public:
  const char* copy(const char* p, size_t size) {
    if (size > left_) {
      const size_t block = std::max(size, next_block_);
      blocks_.push_back(std::make_unique_for_overwrite<char[]>(block));
      next_block_ = std::min<size_t>(next_block_ * 2, 256 << 10);
      free_ = blocks_.back().get();
      left_ = block;
    }
    char* const copied = free_;
    std::memcpy(copied, p, size);
    free_ += size;
    left_ -= size;
    used_ += size;
    return copied;
  }
  void clear() noexcept {
    blocks_.clear();
    left_ = used_ = 0;
  }
  [[nodiscard]] size_t used() const noexcept { return used_; }

 private:
  std::vector<std::unique_ptr<char[]>> blocks_;
  char* free_ = nullptr;
  size_t left_ = 0, used_ = 0;
  size_t next_block_ = 4 << 10;
};

Entry make_entry(const Key& key, int64_t count, ByteArena& arena) {
  Entry entry;
  entry.lo = key.lo;
  if (key.size > kInlineBytes) {
    entry.data = arena.copy(key.data, key.size);
  } else {
    entry.hi = key.hi;
  }
  entry.count = count;
  entry.size = key.size;
  entry.low_hash = static_cast<uint32_t>(key.hash);
  return entry;
}

// Part of the shared table: open addressing from the hash's lower bits. (Not from the upper ones:
// a thread's table is walked in their order, and filling a small table in the order of its own
// slots makes one long cluster.)
class Shard {
 public:
  std::mutex mutex;

  void add(const Key& key, int64_t count) {
    if (n_entries_ * 4 >= slots_.size() * 3) grow();
    const size_t mask = slots_.size() - 1;
    size_t i = static_cast<uint32_t>(key.hash) & mask;
    for (; slots_[i].size != 0; i = (i + 1) & mask) {
      if (slots_[i].is(key)) {
        slots_[i].count += count;
        return;
      }
    }
    slots_[i] = make_entry(key, count, arena_);
    ++n_entries_;
  }
  [[nodiscard]] size_t n_entries() const noexcept { return n_entries_; }
  [[nodiscard]] const std::vector<Entry>& slots() const noexcept { return slots_; }

 private:
  void grow() {
    std::vector<Entry> old(slots_.empty() ? 64 : slots_.size() * 2);
    NC_CHECK(old.size() <= size_t{1} << 32, "a slot's index has the 32 bits of low_hash");
    old.swap(slots_);
    const size_t mask = slots_.size() - 1;
    for (const Entry& entry : old) {
      if (entry.size == 0) continue;
      size_t i = entry.low_hash & mask;
      while (slots_[i].size != 0) i = (i + 1) & mask;
      slots_[i] = entry;
    }
  }

  std::vector<Entry> slots_;
  size_t n_entries_ = 0;
  ByteArena arena_;
};

using Shards = std::array<Shard, kShards>;

// What one thread has counted since it last emptied its table.
class LocalTable {
 public:
  LocalTable()
      // calloc: the pages of a table that stays small are never touched.
      : slots_(static_cast<Entry*>(std::calloc(size_t{1} << kLocalBits, sizeof(Entry)))) {
    if (!slots_) throw std::bad_alloc();
  }

  void count_piece(const Splitter& splitter, std::string_view piece, Shards& shards) {
    // Hashing a few chunks ahead of looking them up hides the time that a slot takes to arrive.
    constexpr size_t kAhead = 16;
    Key keys[kAhead];
    size_t n = 0;
    const char* const end = piece.data() + piece.size();
    splitter.for_each_chunk(piece, [&](std::string_view chunk) {
      const Key& key = keys[n++] =
          make_key(chunk.data(), chunk.size(), static_cast<size_t>(end - chunk.data()));
      __builtin_prefetch(&slots_[slot_of(key)]);
      if (n < kAhead) return;
      for (const Key& k : keys) increment(k, shards);
      n_chunks_ += kAhead;
      n = 0;
    });
    for (size_t i = 0; i < n; ++i) increment(keys[i], shards);
    n_chunks_ += static_cast<int64_t>(n);
  }

  // Starts with a shard that other threads do not start with.
  void empty_into(Shards& shards, size_t first_shard) {
    if (n_entries_ == 0) return;
    const size_t n_slots = size_t{1} << kLocalBits;
    size_t held = kShards;
    std::unique_lock<std::mutex> lock;
    for (size_t k = 0, i = first_shard * (n_slots / kShards); k < n_slots;
         ++k, i = (i + 1) & (n_slots - 1)) {
      if (slots_[i].size == 0) continue;
      const Key key = slots_[i].key();
      const size_t shard = shard_of(key);
      if (shard != held) {
        lock = {};  // never two at a time
        lock = std::unique_lock(shards[shard].mutex);
        held = shard;
      }
      shards[shard].add(key, slots_[i].count);
    }
    std::memset(static_cast<void*>(slots_.get()), 0, n_slots * sizeof(Entry));
    n_entries_ = 0;
    arena_.clear();
  }

  [[nodiscard]] int64_t n_chunks() const noexcept { return n_chunks_; }
  static size_t shard_of(const Key& key) noexcept { return key.hash >> (64 - kShardBits); }

 private:
  static size_t slot_of(const Key& key) noexcept { return key.hash >> (64 - kLocalBits); }

  void increment(const Key& key, Shards& shards) {
    if (key.size > kLongChunk) {
      Shard& shard = shards[shard_of(key)];
      const std::lock_guard lock(shard.mutex);
      shard.add(key, 1);
      return;
    }
    size_t i = slot_of(key);
    for (; slots_[i].size != 0; i = (i + 1) & ((size_t{1} << kLocalBits) - 1)) {
      if (slots_[i].is(key)) {
        ++slots_[i].count;
        return;
      }
    }
    slots_[i] = make_entry(key, 1, arena_);
    if (++n_entries_ >= kLocalCapacity || arena_.used() >= kLocalArenaBytes) {
      empty_into(shards, shard_of(key));
    }
  }

  struct Free {
    void operator()(Entry* p) const noexcept { std::free(p); }
  };
  std::unique_ptr<Entry[], Free> slots_;
  size_t n_entries_ = 0;
  int64_t n_chunks_ = 0;
  ByteArena arena_;
};

bool is_ascii_letter(char c) noexcept { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

// A place at or after `from` where every scanner pattern ends a chunk whatever comes before or
// after, so that the two sides may be split apart; text.size() if there is none. Such places are
// - between a letter and a space: a run of letters ends its chunk, and nothing else has letters;
// - after a line feed and before what is surely no white space: line ends end their chunk, and
//   only white space may follow them in it. (No white space of Unicode starts with 0xE4 or more.)
size_t safe_cut(std::string_view text, size_t from) noexcept {
  for (size_t i = std::max<size_t>(from, 1); i < text.size(); ++i) {
    const auto next = static_cast<unsigned char>(text[i]);
    if (next == ' ' ? is_ascii_letter(text[i - 1])
                    : text[i - 1] == '\n' && ((next > ' ' && next < 0x7f) || next >= 0xe4)) {
      return i;
    }
  }
  return text.size();
}

}  // namespace

struct ChunkCounter::Impl {
  explicit Impl(const Splitter& s) : splitter(&s) {}

  const Splitter* splitter;
  std::unique_ptr<Shards> shards = std::make_unique<Shards>();
  std::vector<std::unique_ptr<LocalTable>> locals;  // [thread], null until it has work
  int64_t n_added_chunks = 0;                       // by add_chunk()
  std::vector<std::string_view> pieces;             // of the batch at hand
  std::vector<size_t> item_ends;                    // into pieces: what a thread takes at once

  void cut(std::span<const std::string_view> documents) {
    pieces.clear();
    item_ends.clear();
    size_t bytes = 0;
    for (std::string_view rest : documents) {
      while (!rest.empty()) {
        const size_t cut = rest.size() >= 2 * kPieceBytes && splitter->is_scanner()
                               ? safe_cut(rest, kPieceBytes)
                               : rest.size();
        pieces.push_back(rest.substr(0, cut));
        rest.remove_prefix(cut);
        bytes += cut;
        if (bytes >= kPieceBytes) {
          item_ends.push_back(pieces.size());
          bytes = 0;
        }
      }
    }
    if (bytes > 0) item_ends.push_back(pieces.size());
  }

  // Empties the threads' tables into the shared ones.
  void gather() {
    in_parallel(static_cast<int64_t>(locals.size()), [&](int64_t i, int) {
      const auto k = static_cast<size_t>(i);
      if (locals[k]) locals[k]->empty_into(*shards, k * kShards / locals.size());
    });
  }

  // parallel_items for an f that may throw: the first exception is thrown when all are done.
  template <typename F>
  static void in_parallel(int64_t n, F&& f) {
    std::exception_ptr error;
    std::mutex mutex;
    std::atomic<bool> failed = false;
    parallel_items(n, [&](int64_t i, int thread) {
      if (failed.load(std::memory_order_relaxed)) return;
      try {
        f(i, thread);
      } catch (...) {
        const std::lock_guard lock(mutex);
        if (!error) error = std::current_exception();
        failed = true;
      }
    });
    if (error) std::rethrow_exception(error);
  }
};

ChunkCounter::ChunkCounter(const Splitter& splitter) : impl_(new Impl(splitter)) {}
ChunkCounter::~ChunkCounter() = default;
ChunkCounter::ChunkCounter(ChunkCounter&&) noexcept = default;
ChunkCounter& ChunkCounter::operator=(ChunkCounter&&) noexcept = default;

void ChunkCounter::add(std::span<const std::string_view> documents) {
  Impl& impl = *impl_;
  for (const std::string_view document : documents) {
    if (document.size() > std::numeric_limits<uint32_t>::max()) {
      throw DataError("a document of {} bytes: 4 GiB is the most, cut it", document.size());
    }
  }
  impl.cut(documents);
  if (impl.locals.size() < static_cast<size_t>(num_threads())) impl.locals.resize(num_threads());
  Impl::in_parallel(static_cast<int64_t>(impl.item_ends.size()), [&](int64_t i, int thread) {
    std::unique_ptr<LocalTable>& local = impl.locals[thread];
    if (!local) local = std::make_unique<LocalTable>();
    for (size_t k = i == 0 ? 0 : impl.item_ends[i - 1]; k < impl.item_ends[i]; ++k) {
      local->count_piece(*impl.splitter, impl.pieces[k], *impl.shards);
    }
  });
}

void ChunkCounter::add_chunk(std::string_view chunk, int64_t count) {
  if (count < 0) throw UsageError("chunk \"{}\": its count is {}, below 0", chunk, count);
  if (chunk.size() > std::numeric_limits<uint32_t>::max()) {
    throw DataError("a chunk of {} bytes: 4 GiB is the most", chunk.size());
  }
  if (chunk.empty() || count == 0) return;
  const Key key = make_key(chunk.data(), chunk.size(), chunk.size());
  (*impl_->shards)[LocalTable::shard_of(key)].add(key, count);
  impl_->n_added_chunks += count;
}

int64_t ChunkCounter::n_chunks() const noexcept {
  int64_t n = impl_->n_added_chunks;
  for (const auto& local : impl_->locals) n += local ? local->n_chunks() : 0;
  return n;
}

int64_t ChunkCounter::n_distinct() const {
  impl_->gather();
  int64_t n = 0;
  for (const Shard& shard : *impl_->shards) n += static_cast<int64_t>(shard.n_entries());
  return n;
}

void ChunkCounter::visit(const std::function<void(std::string_view, int64_t)>& f) const {
  impl_->gather();
  for (const Shard& shard : *impl_->shards) {
    for (const Entry& entry : shard.slots()) {
      if (entry.size != 0) f(entry.bytes(), entry.count);
    }
  }
}

}  // namespace nanochat
