#include "support/hostile_server.h"

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <stdexcept>

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace nanochat::test {

std::string SeenRequest::header(const std::string& name) const {
  const auto found = headers.find(name);
  return found == headers.end() ? "" : found->second;
}

int64_t SeenRequest::range_begin() const {
  const std::string range = header("range");
  return range.starts_with("bytes=") ? std::atoll(range.c_str() + 6) : 0;
}

void ServerConnection::send(std::string_view bytes) const {
  while (!bytes.empty()) {
    const ssize_t n = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n <= 0) return;  // the client has gone
    bytes.remove_prefix(static_cast<size_t>(n));
  }
}

void ServerConnection::send_head(std::string_view status,
                                 const std::vector<std::string>& lines) const {
  std::string head = fmt::format("HTTP/1.1 {}\r\n", status);
  for (const std::string& line : lines) head += line + "\r\n";
  send(head + "\r\n");
}

void ServerConnection::stall(std::chrono::milliseconds time) const {
  const auto end = std::chrono::steady_clock::now() + time;
  while (!stopping_ && std::chrono::steady_clock::now() < end) {
    pollfd poll{.fd = fd_, .events = POLLRDHUP, .revents = 0};
    if (::poll(&poll, 1, 20) > 0) return;
  }
}

HostileServer::HostileServer(Answer answer) : answer_(std::move(answer)) {
  ::setenv("no_proxy", "127.0.0.1", 1);  // a machine's proxy cannot reach this server
  listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = ::htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  auto* const any = reinterpret_cast<sockaddr*>(&address);
  if (::bind(listener_, any, size) != 0 || ::listen(listener_, 64) != 0 ||
      ::getsockname(listener_, any, &size) != 0) {
    throw std::runtime_error("cannot listen on 127.0.0.1");
  }
  port_ = ::ntohs(address.sin_port);
  thread_ = std::jthread([this] { listen_for_connections(); });
}

HostileServer::~HostileServer() {
  stopping_ = true;
  thread_.join();
  {
    const std::lock_guard lock(mutex_);
    for (const int fd : open_) ::shutdown(fd, SHUT_RDWR);
  }
  connections_.clear();
  ::close(listener_);
}

std::string HostileServer::url(std::string_view path) const {
  return fmt::format("http://127.0.0.1:{}{}", port_, path);
}

std::vector<SeenRequest> HostileServer::requests() const {
  const std::lock_guard lock(mutex_);
  return requests_;
}

void HostileServer::listen_for_connections() {
  while (!stopping_) {
    pollfd poll{.fd = listener_, .events = POLLIN, .revents = 0};
    if (::poll(&poll, 1, 20) <= 0) continue;
    const int fd = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (fd < 0) continue;
    const std::lock_guard lock(mutex_);
    open_.push_back(fd);
    connections_.emplace_back([this, fd] { serve(fd); });
  }
}

void HostileServer::serve(int fd) {
  const ServerConnection connection(fd, stopping_);
  std::string input;
  for (bool stays = true; stays && !stopping_;) {
    size_t end = 0;
    while ((end = input.find("\r\n\r\n")) == std::string::npos) {
      char buffer[4096];
      const ssize_t n = ::recv(fd, buffer, sizeof(buffer), 0);
      if (n <= 0) break;
      input.append(buffer, static_cast<size_t>(n));
    }
    if (end == std::string::npos) break;
    SeenRequest request;
    size_t at = input.find("\r\n");
    const std::string first = input.substr(0, at);  // "GET /path HTTP/1.1"
    request.path = first.substr(4, first.find(' ', 4) - 4);
    while (at < end) {
      const size_t begin = at + 2;
      at = input.find("\r\n", begin);
      const std::string line = input.substr(begin, at - begin);
      const size_t colon = line.find(": ");
      if (colon == std::string::npos) continue;
      std::string name = line.substr(0, colon);
      std::ranges::transform(name, name.begin(),
                             [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
      request.headers[name] = line.substr(colon + 2);
    }
    input.erase(0, end + 4);
    {
      const std::lock_guard lock(mutex_);
      for (const SeenRequest& seen : requests_) {
        if (seen.path == request.path) ++request.number;
      }
      requests_.push_back(request);
    }
    stays = answer_(connection, request);
  }
  const std::lock_guard lock(mutex_);
  std::erase(open_, fd);
  ::close(fd);
}

bool serve_file(const ServerConnection& connection, const SeenRequest& request,
                std::string_view bytes, std::string_view etag) {
  const int64_t begin = request.range_begin();
  const std::string if_range = request.header("if-range");
  const auto size = std::ssize(bytes);
  const std::string tag = fmt::format("ETag: {}", etag);
  if (begin > 0 && (if_range.empty() || if_range == etag)) {
    if (begin >= size) {
      return serve_status(connection, "416 Range Not Satisfiable",
                          {fmt::format("Content-Range: bytes */{}", size)});
    }
    connection.send_head("206 Partial Content",
                         {tag, fmt::format("Content-Length: {}", size - begin),
                          fmt::format("Content-Range: bytes {}-{}/{}", begin, size - 1, size)});
    connection.send(bytes.substr(static_cast<size_t>(begin)));
    return true;
  }
  connection.send_head("200 OK", {tag, fmt::format("Content-Length: {}", size)});
  connection.send(bytes);
  return true;
}

bool serve_status(const ServerConnection& connection, std::string_view status,
                  const std::vector<std::string>& lines) {
  std::vector<std::string> head = lines;
  head.emplace_back("Content-Length: 0");
  connection.send_head(status, head);
  return true;
}

}  // namespace nanochat::test
