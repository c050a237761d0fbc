/// A client on a raw socket, as polite or rude as a test wants it.
#pragma once

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <arpa/inet.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <nlohmann/json.hpp>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace nanochat::test {

struct ClientResponse {
  int status = 0;  ///< 0: the connection ended before there was one
  std::multimap<std::string, std::string> headers{};  ///< names in lower case
  std::string body{};

  /// Empty when there is none.
  [[nodiscard]] std::string header(const std::string& name) const {
    const auto found = headers.find(name);
    return found == headers.end() ? "" : found->second;
  }
  [[nodiscard]] nlohmann::json json() const { return nlohmann::json::parse(body); }
  /// Of OpenAI's error object.
  [[nodiscard]] std::string error(const std::string& member = "message") const {
    const nlohmann::json parsed = nlohmann::json::parse(body, nullptr, false);
    if (!parsed.is_object() || !parsed.contains("error")) return "(no error object) " + body;
    const nlohmann::json& value = parsed.at("error").at(member);
    return value.is_string() ? value.get<std::string>() : value.dump();
  }
};

class HttpClient {
 public:
  /// receive_buffer: of the kernel, in bytes; 0: as it likes.
  explicit HttpClient(int port, int receive_buffer = 0) {
    fd_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (receive_buffer > 0) {
      ::setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
    }
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connected_ = ::connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  }
  ~HttpClient() { close(); }
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  [[nodiscard]] bool connected() const { return connected_; }
  void close() {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
  }
  /// At once, with a reset: what has not been read is lost to the server.
  void reset() {
    const linger at_once{.l_onoff = 1, .l_linger = 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    close();
  }
  void shut_down_sending() const { ::shutdown(fd_, SHUT_WR); }

  /// False: the server does not take it.
  bool send(std::string_view bytes) const {
    while (!bytes.empty()) {
      const ssize_t n = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) return false;
      bytes.remove_prefix(static_cast<size_t>(n));
    }
    return true;
  }

  /// The next response; of a HEAD request without its body.
  ClientResponse read_response(bool is_head = false) {
    ClientResponse response;
    while (buffer_.find("\r\n\r\n") == std::string::npos) {
      if (!read_more()) return response;
    }
    response = parse_head();
    if (is_head || response.status == 204 || response.status == 304 || response.status < 200) {
      return response;
    }
    if (response.header("transfer-encoding") == "chunked") {
      while (std::optional<std::string> chunk = read_chunk()) response.body += *chunk;
    } else if (!response.header("content-length").empty()) {
      const auto length = static_cast<size_t>(std::stoll(response.header("content-length")));
      while (buffer_.size() < length && read_more()) {
      }
      response.body = buffer_.substr(0, length);
      buffer_.erase(0, length);
    } else {
      response.body = read_to_end();
    }
    return response;
  }
  /// The head of a response that streams.
  ClientResponse read_head() {
    while (buffer_.find("\r\n\r\n") == std::string::npos) {
      if (!read_more()) return {};
    }
    return parse_head();
  }
  /// Nothing: the last one was there, or the connection ended.
  std::optional<std::string> read_chunk() {
    size_t line;
    while ((line = buffer_.find("\r\n")) == std::string::npos) {
      if (!read_more()) return {};
    }
    const size_t size = std::strtoull(buffer_.c_str(), nullptr, 16);
    while (buffer_.size() < line + 2 + size + 2) {
      if (!read_more()) return {};
    }
    std::string chunk = buffer_.substr(line + 2, size);
    EXPECT_EQ(buffer_.substr(line + 2 + size, 2), "\r\n");
    buffer_.erase(0, line + 2 + size + 2);
    if (size == 0) return {};
    return chunk;
  }
  std::string read_to_end() {
    while (read_more()) {
    }
    return std::exchange(buffer_, {});
  }
  /// The server closes the connection within the time, or does not.
  bool is_closed_within(std::chrono::milliseconds time) {
    const auto end = std::chrono::steady_clock::now() + time;
    while (std::chrono::steady_clock::now() < end) {
      if (!wait(std::chrono::milliseconds(20))) continue;
      if (!read_more()) return true;
    }
    return false;
  }

 private:
  bool wait(std::chrono::milliseconds time) const {
    pollfd poll{.fd = fd_, .events = POLLIN, .revents = 0};
    return ::poll(&poll, 1, static_cast<int>(time.count())) > 0;
  }
  bool read_more() {
    if (!wait(std::chrono::seconds(60))) {
      ADD_FAILURE() << "nothing came for a minute; so far: " << buffer_;
      return false;
    }
    char bytes[16384];
    const ssize_t n = ::recv(fd_, bytes, sizeof bytes, 0);
    if (n <= 0) return false;
    buffer_.append(bytes, static_cast<size_t>(n));
    return true;
  }
  ClientResponse parse_head() {
    ClientResponse response;
    const size_t end = buffer_.find("\r\n\r\n");
    std::string head = buffer_.substr(0, end + 2);
    buffer_.erase(0, end + 4);
    EXPECT_TRUE(head.starts_with("HTTP/1.1 ")) << head;
    response.status = std::atoi(head.c_str() + 9);
    head.erase(0, head.find("\r\n") + 2);
    while (!head.empty()) {
      const std::string line = head.substr(0, head.find("\r\n"));
      head.erase(0, line.size() + 2);
      std::string name = line.substr(0, line.find(':'));
      std::ranges::transform(name, name.begin(), [](unsigned char c) { return std::tolower(c); });
      response.headers.emplace(name, line.substr(std::min(name.size() + 2, line.size())));
    }
    return response;
  }

  int fd_ = -1;
  bool connected_ = false;
  std::string buffer_;
};

inline std::string get_request(std::string_view path, std::string_view headers = "",
                               std::string_view method = "GET") {
  return fmt::format("{} {} HTTP/1.1\r\nHost: localhost\r\n{}\r\n", method, path, headers);
}
inline std::string post_request(std::string_view path, std::string_view body,
                                std::string_view headers = "Content-Type: application/json\r\n") {
  return fmt::format("POST {} HTTP/1.1\r\nHost: localhost\r\n{}Content-Length: {}\r\n\r\n{}", path,
                     headers, body.size(), body);
}
/// On a connection of its own.
inline ClientResponse response_to(int port, std::string_view request, bool is_head = false) {
  HttpClient client(port);
  client.send(request);
  return client.read_response(is_head);
}

}  // namespace nanochat::test
