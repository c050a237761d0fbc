/// Requests and responses as values: what the rest of the room knows of HTTP.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace nanochat::serve {

/// In the order in which they came. Names are compared without regard to case.
using Headers = std::vector<std::pair<std::string, std::string>>;
/// The first of that name; empty when there is none.
[[nodiscard]] std::string_view find_header(const Headers& headers, std::string_view name) noexcept;
[[nodiscard]] int64_t count_headers(const Headers& headers, std::string_view name) noexcept;

[[nodiscard]] bool equal_ignoring_case(std::string_view a, std::string_view b) noexcept;

struct HttpRequest {
  std::string method{};     ///< as sent: "GET"
  std::string path{};       ///< percent-encoding undone; begins with a slash, or is "*"
  std::string query{};      ///< what stands behind the question mark, as sent
  std::string authority{};  ///< of an absolute target, else the Host header: "localhost:8000"
  int version = 11;         ///< 10 or 11
  Headers headers{};
  std::string body{};
  std::string peer{};  ///< address of the client
  bool has_body = false;
  std::optional<uint64_t> content_length{};

  [[nodiscard]] std::string_view header(std::string_view name) const noexcept {
    return find_header(headers, name);
  }
  [[nodiscard]] bool is_head() const noexcept { return method == "HEAD"; }
};

struct HttpResponse {
  int status = 200;
  std::string content_type{};
  Headers headers{};
  std::string body{};
  std::string_view fixed_body{};  ///< in place of `body`: bytes that outlive everything
  bool close = false;             ///< the connection is of no use afterwards

  [[nodiscard]] std::string_view bytes() const noexcept {
    return fixed_body.empty() ? std::string_view(body) : fixed_body;
  }
};

/// "Not Found" for 404.
[[nodiscard]] std::string_view reason_phrase(int status) noexcept;

/// %41 becomes A. Nothing when a percent sign has no two hexadecimal digits behind it, or when a
/// zero byte or bytes that are not UTF-8 come out.
[[nodiscard]] std::optional<std::string> percent_decoded(std::string_view text);

/// Takes a request target apart: "/path?query", "http://host/path?query" or "*". Nothing: it is
/// none of these.
struct Target {
  std::string path, query, authority;  ///< the path decoded
};
[[nodiscard]] std::optional<Target> parse_target(std::string_view target);

/// The value of `name` in "a=1&b=2", as sent; nothing when it is not there.
[[nodiscard]] std::optional<std::string_view> query_value(std::string_view query,
                                                          std::string_view name);

/// Whether the client takes gzip (Accept-Encoding, RFC 9110 section 12.5.3).
[[nodiscard]] bool accepts_gzip(std::string_view accept_encoding) noexcept;

/// "text/html; charset=utf-8" is "text/html", in lower case.
[[nodiscard]] std::string media_type(std::string_view content_type);

/// "localhost" of "localhost:8000", "[::1]" of "[::1]:8000".
[[nodiscard]] std::string_view host_of_authority(std::string_view authority) noexcept;
/// A name or an address that means this machine.
[[nodiscard]] bool is_loopback_host(std::string_view host) noexcept;

/// "Sun, 06 Nov 1994 08:49:37 GMT".
[[nodiscard]] std::string http_date(int64_t seconds_since_1970);

}  // namespace nanochat::serve
