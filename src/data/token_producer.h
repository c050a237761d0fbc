/// The thread of a token loader: reads shards and encodes them, some batches ahead.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "data/shard_reader.h"
#include "data/token_loader.h"

namespace nanochat {

/// A place in the endless stream of documents of one process.
struct StreamPosition {
  int64_t epoch = 1;
  int64_t file = 0;      ///< index into the parts; as many as there are: the epoch's end
  int64_t group = 0;     ///< row group of the part
  int64_t document = 0;  ///< TokenPiece's; one that the group has not: the group's end
  int64_t offset = 0;    ///< TokenPiece's
  int64_t token = 0;     ///< of that piece

  friend bool operator==(const StreamPosition&, const StreamPosition&) = default;
};

/// Some documents of one row group, in order, and where what follows them begins.
struct TokenChunk {
  std::vector<int32_t> tokens;
  /// Stream: the pieces, which may begin and end in the middle of documents.
  struct Piece {
    StreamPosition at;  ///< of its first token; token counts from there
    int64_t begin = 0;  ///< of `tokens`
  };
  std::vector<Piece> pieces;
  /// Best fit: whole documents' lengths; of each, the first T + 1 tokens at most are in `tokens`.
  std::vector<int64_t> lengths;
  StreamPosition after;  ///< where what follows the last one begins
};

class TokenProducer {
 public:
  /// Starts the thread. `tokenizer` and `parts` must outlive the producer.
  TokenProducer(const std::vector<DataPart>& parts, const Tokenizer& tokenizer,
                const TokenLoaderOptions& options, const StreamPosition& start);
  /// Ends the thread, wherever it is.
  ~TokenProducer();
  TokenProducer(const TokenProducer&) = delete;
  TokenProducer& operator=(const TokenProducer&) = delete;

  /// The next chunk, which is waited for; none at the end. Throws what the thread met with.
  [[nodiscard]] std::optional<TokenChunk> take();
  /// Spent in take() waiting.
  [[nodiscard]] double wait_seconds() const noexcept { return wait_seconds_; }
  [[nodiscard]] std::vector<std::string> skipped() const;

 private:
  struct Stopped {};

  void run() noexcept;
  void produce(StreamPosition at);
  void read_epoch(StreamPosition& at);
  void read_file(StreamPosition& at);
  void read_stream(ShardReader& shard, StreamPosition& at);
  void read_documents(ShardReader& shard, StreamPosition& at);
  void push(TokenChunk chunk);
  void give_up_file(const DataPart& part, const std::string& reason);
  [[noreturn]] void refuse_empty() const;

  const std::vector<DataPart>& parts_;
  const Tokenizer& tokenizer_;
  const TokenLoaderOptions options_;
  const StreamPosition start_;
  const int64_t capacity_tokens_;

  bool found_documents_ = false;  // in this epoch; the thread's
  std::atomic<bool> stop_ = false;
  mutable std::mutex mutex_;
  std::condition_variable not_full_, not_empty_;
  std::deque<TokenChunk> queue_;
  int64_t queued_tokens_ = 0;
  bool finished_ = false;
  std::exception_ptr failure_;
  std::vector<std::string> skipped_;
  std::vector<bool> is_skipped_;  // per part
  double wait_seconds_ = 0;       // the consumer's
  std::thread thread_;
};

}  // namespace nanochat
