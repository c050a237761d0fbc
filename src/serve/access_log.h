/// A line of JSON for each request.
#pragma once

#include <filesystem>
#include <string>

#include <nlohmann/json.hpp>

#include "serve/exchange.h"

namespace nanochat::serve {

/// Appends; each line is one write(), so several processes may share a file. Failing writes are
/// ignored: an answer is not lost for a log.
class AccessLog {
 public:
  /// An empty path: the console, unless it is quiet. Throws NotFoundError, IoError.
  explicit AccessLog(const std::filesystem::path& path);
  ~AccessLog();
  AccessLog(const AccessLog&) = delete;
  AccessLog& operator=(const AccessLog&) = delete;

  void write(const Exchange& exchange, const ExchangeResult& result);
  /// A request that could not be read.
  void write_unreadable(std::string_view peer, int status);

 private:
  void write_line(const nlohmann::ordered_json& line);

  int fd_ = -1;  // -1: the console
};

}  // namespace nanochat::serve
