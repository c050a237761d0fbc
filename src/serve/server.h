/// The HTTP server: sockets, limits and deadlines. It knows nothing of what it serves.
///
/// One thread does all of it. HTTP/1.1 (RFC 9112) with keep-alive, pipelining, chunked bodies and
/// Expect: 100-continue; HTTP/1.0. What two programs could read in two ways is refused and the
/// connection closed: more than one Content-Length, one beside Transfer-Encoding, a transfer coding
/// other than chunked, more than one Host, folded header lines.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "serve/exchange.h"

namespace nanochat::serve {

struct ServerOptions {
  std::string host = "127.0.0.1";  ///< a name or an address
  int port = 8000;                 ///< 0: any that is free
  int64_t max_connections = 4096;  ///< those beyond it get 503
  int64_t max_body_bytes = int64_t{1} << 20;
  int64_t max_header_bytes = int64_t{16} << 10;
  int64_t max_headers = 100;
  /// Of an answer that its client does not take in. More, and the connection is closed.
  int64_t max_unsent_bytes = int64_t{256} << 10;
  // Seconds.
  double idle_timeout = 75;    ///< between requests, and before the first
  double header_timeout = 30;  ///< from a request's first byte to the end of its head
  double body_timeout = 30;    ///< from there to the end of its body
  double write_timeout = 30;   ///< in which the client must take something of what is sent
  double ping_interval = 5;    ///< of a quiet stream
  double drain = 30;           ///< in which answers may end when the server is to stop
};

/// How many connections there are.
struct ConnectionStats {
  int64_t open = 0;      ///< now
  int64_t accepted = 0;  ///< ever, with those refused
  int64_t refused = 0;   ///< for lack of room
  int64_t timed_out = 0;
};

class Server {
 public:
  /// Listens. The handler must outlive the server. Raises the process's limit of open files.
  /// Throws UsageError for a host that is none, IoError when the port is in use or may not be used.
  Server(const ServerOptions& options, Handler& handler);
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  /// Serves on this thread until `stop`, asked ten times a second, says yes; then takes no more
  /// connections and lets answers end for `drain` seconds. True: all ended by themselves.
  bool run(const std::function<bool()>& stop);

  /// Does it on the server's thread, soon. From any thread, also before run() and after it (then
  /// nothing happens).
  void post(std::function<void()> work);

  /// "http://127.0.0.1:8000".
  [[nodiscard]] const std::string& url() const noexcept;
  [[nodiscard]] int port() const noexcept;
  /// At most so many connections, which the limit of open files may have lowered.
  [[nodiscard]] int64_t max_connections() const noexcept;
  /// On the server's thread, or while it does not run.
  [[nodiscard]] ConnectionStats stats() const;

  struct Impl;  ///< of server.cpp

 private:
  std::unique_ptr<Impl> impl_;
};

}  // namespace nanochat::serve
