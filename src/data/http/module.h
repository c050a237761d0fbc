/// HTTP lives in a module of its own, nanochat_http.so, that is loaded with the first download:
/// libcurl and the two dozen libraries under it take 8 ms to load, twice the rest of the program.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace nanochat {

/// Module and program are built together and must be of one build; this number is the guard. It
/// grows with every change of this file.
inline constexpr int kHttpModuleInterface = 1;

struct HttpRequest {
  std::string url;          ///< http or https
  int64_t range_begin = 0;  ///< > 0: the bytes from here on are asked for
  std::string if_range{};   ///< for those: only if the content is still of this ETag or date
  std::chrono::milliseconds connect_timeout{15'000};
  /// Given up when fewer than min_bytes arrive in this time, or nothing at all.
  std::chrono::milliseconds stall_timeout{30'000};
  int64_t min_bytes = 16 << 10;
  int max_redirects = 8;        ///< never from https to http
  bool new_connection = false;  ///< else one that is open may be used
};

/// The head of the last answer, redirects followed. Texts are empty, numbers -1, where it is
/// silent.
struct HttpHead {
  int status = 0;
  int64_t content_length = -1;
  std::string etag, last_modified, content_range, content_type;
  /// What the Hugging Face hub says of a file before it redirects to where the bytes are: its
  /// SHA-256 as 64 hexadecimal digits, and its length.
  std::string linked_sha256;
  int64_t linked_size = -1;
};

class HttpReceiver {
 public:
  virtual ~HttpReceiver() = default;
  /// Once, before the bytes. False: they are not wanted.
  [[nodiscard]] virtual bool on_head(const HttpHead& head) = 0;
  /// What it throws comes out of HttpClient::get().
  virtual void on_bytes(std::span<const std::byte> bytes) = 0;
  /// Asked at least ten times a second. False: stop.
  [[nodiscard]] virtual bool keep_going() = 0;
};

enum class HttpEnd : uint8_t {
  kComplete,    ///< the whole answer, whatever its status, as long as the server said
  kStopped,     ///< the receiver did not want more
  kBroken,      ///< the network failed; another attempt may not
  kImpossible,  ///< nor would another attempt work: a bad address, an untrusted certificate
};

struct HttpResult {
  HttpEnd end = HttpEnd::kComplete;
  std::chrono::seconds retry_after{0};  ///< when the server asks for that, as a time or a date
  std::string why{};                    ///< of kBroken and kImpossible
};

/// Keeps connections open between calls. $http_proxy, $https_proxy and $no_proxy hold. One thread
/// at a time.
class HttpClient {
 public:
  virtual ~HttpClient() = default;
  [[nodiscard]] virtual HttpResult get(const HttpRequest& request, HttpReceiver& receiver) = 0;
};

class Sha256 {
 public:
  virtual ~Sha256() = default;
  virtual void update(std::span<const std::byte> bytes) = 0;
  /// As 64 hexadecimal digits in lower case; once.
  [[nodiscard]] virtual std::string finish() = 0;
};

/// What the module exports; the caller owns the results.
inline constexpr const char* kHttpInterfaceSymbol = "nanochat_http_interface";
using HttpInterfaceFunction = int();
inline constexpr const char* kHttpClientSymbol = "nanochat_http_client";
using HttpClientFunction = HttpClient*(const char* user_agent);
inline constexpr const char* kSha256Symbol = "nanochat_sha256";
using Sha256Function = Sha256*();

}  // namespace nanochat
