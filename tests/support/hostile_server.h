/// An HTTP server on 127.0.0.1 that does what the test says, however rude.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace nanochat::test {

struct SeenRequest {
  std::string path;
  std::map<std::string, std::string> headers;  ///< names in lower case
  int number = 1;                              ///< of this path, from 1

  /// Empty when there is none.
  [[nodiscard]] std::string header(const std::string& name) const;
  /// Where the range that it asks for begins; 0 when it asks for none.
  [[nodiscard]] int64_t range_begin() const;
};

/// The socket of one connection.
class ServerConnection {
 public:
  ServerConnection(int fd, const std::atomic<bool>& stopping) : fd_(fd), stopping_(stopping) {}

  void send(std::string_view bytes) const;
  /// "HTTP/1.1 200 OK", these lines and the empty one.
  void send_head(std::string_view status, const std::vector<std::string>& lines) const;
  /// Returns early when the server stops or the client has gone.
  void stall(std::chrono::milliseconds time) const;

 private:
  int fd_;
  const std::atomic<bool>& stopping_;
};

class HostileServer {
 public:
  /// Answers one request, on the connection's thread; true: the connection stays for another.
  using Answer = std::function<bool(const ServerConnection&, const SeenRequest&)>;
  explicit HostileServer(Answer answer);
  ~HostileServer();
  HostileServer(const HostileServer&) = delete;
  HostileServer& operator=(const HostileServer&) = delete;

  /// "http://127.0.0.1:PORT" + path.
  [[nodiscard]] std::string url(std::string_view path = "") const;
  [[nodiscard]] std::vector<SeenRequest> requests() const;

 private:
  void listen_for_connections();
  void serve(int fd);

  Answer answer_;
  int listener_ = -1;
  int port_ = 0;
  std::atomic<bool> stopping_ = false;
  mutable std::mutex mutex_;  // of all below
  std::vector<SeenRequest> requests_;
  std::list<std::jthread> connections_;
  std::vector<int> open_;
  std::jthread thread_;
};

/// A polite answer: the file, or the range of it when If-Range (if any) is its ETag.
bool serve_file(const ServerConnection& connection, const SeenRequest& request,
                std::string_view bytes, std::string_view etag = "\"v1\"");
/// An answer without a body.
bool serve_status(const ServerConnection& connection, std::string_view status,
                  const std::vector<std::string>& lines = {});

}  // namespace nanochat::test
