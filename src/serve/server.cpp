// The one file with Boost.Asio and Beast in it: they take most of the room's time to compile.
#include "serve/server.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <deque>
#include <exception>
#include <unordered_map>
#include <utility>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/v6_only.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/http/basic_parser.hpp>
#include <boost/beast/http/error.hpp>
#include <fmt/format.h>
#include <sys/resource.h>

#include "core/error.h"
#include "core/log.h"
#include "serve/api_error.h"

namespace nanochat::serve {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
using boost::system::error_code;
using tcp = asio::ip::tcp;
using Clock = std::chrono::steady_clock;

constexpr auto kSweepInterval = std::chrono::milliseconds(100);
constexpr double kLingerSeconds = 2;
constexpr int64_t kMaxLingerBytes = int64_t{16} << 20;
/// Bytes of further requests that are kept while one is answered.
constexpr size_t kMaxPipelinedBytes = size_t{64} << 10;
/// Connections beyond the most that are told so; still more are closed without a word.
constexpr int64_t kMaxRefused = 64;
/// Of the kernel, for each connection: it would take megabytes for a client that does not read, and
/// keep the engine busy for it.
constexpr int kSendBufferBytes = 256 << 10;
/// What a stream has written is sent at once when it has just begun or has been quiet, else so much
/// later: a small model writes a thousand tokens a second, and nobody reads them one by one.
constexpr auto kStreamInterval = std::chrono::milliseconds(10);
constexpr int kPromptWrites = 4;     // with which a stream begins
constexpr rlim_t kOtherFiles = 128;  // that the process has open beside connections

Clock::duration seconds(double s) {
  return std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(s));
}

/// Beast's grammar, into a request of ours.
class RequestParser : public beast::http::basic_parser<true> {
 public:
  explicit RequestParser(int64_t max_headers) : max_headers_(max_headers) {}

  HttpRequest request{};
  std::string target{};

 private:
  using View = beast::string_view;

  void on_request_impl(beast::http::verb, View method, View uri, int version,
                       error_code&) override {
    request.method.assign(method.data(), method.size());
    target.assign(uri.data(), uri.size());
    request.version = version;
  }
  void on_response_impl(int, View, int, error_code&) override {}
  void on_field_impl(beast::http::field, View name, View value, error_code& ec) override {
    if (is_header_done()) return;  // a trailer must not change what was checked
    if (std::ssize(request.headers) >= max_headers_) {
      ec = beast::http::error::header_limit;
      return;
    }
    request.headers.emplace_back(std::string(name.data(), name.size()),
                                 std::string(value.data(), value.size()));
  }
  void on_header_impl(error_code&) override {}
  void on_body_init_impl(const boost::optional<uint64_t>&, error_code&) override {}
  size_t on_body_impl(View body, error_code&) override {
    request.body.append(body.data(), body.size());
    return body.size();
  }
  void on_chunk_header_impl(uint64_t, View, error_code&) override {}
  size_t on_chunk_body_impl(uint64_t, View body, error_code&) override {
    request.body.append(body.data(), body.size());
    return body.size();
  }
  void on_finish_impl(error_code&) override {}

  int64_t max_headers_;
};

/// What Beast lets pass and two programs could read in two ways. Empty: nothing.
struct Refusal {
  int status = 0;
  std::string_view message{};
};
Refusal ambiguity(const HttpRequest& request, std::string_view head) {
  const auto& headers = request.headers;
  const int64_t lengths = count_headers(headers, "Content-Length");
  const int64_t codings = count_headers(headers, "Transfer-Encoding");
  if (lengths > 1 || request.header("Content-Length").find(',') != std::string_view::npos) {
    return {400, "more than one Content-Length"};
  }
  if (codings > 0 && lengths > 0) return {400, "both Content-Length and Transfer-Encoding"};
  if (codings > 1) return {400, "more than one Transfer-Encoding"};
  if (codings == 1) {
    if (request.version < 11) return {400, "Transfer-Encoding in HTTP/1.0"};
    if (!equal_ignoring_case(request.header("Transfer-Encoding"), "chunked")) {
      return {501, "the only Transfer-Encoding here is chunked"};
    }
  }
  const int64_t hosts = count_headers(headers, "Host");
  if (hosts > 1) return {400, "more than one Host"};
  if (hosts == 0 && request.version >= 11) return {400, "no Host"};
  if (request.header("Host").find_first_of(" \t/\\@?#,") != std::string_view::npos) {
    return {400, "the Host is none"};
  }
  if (head.find("\r\n ") != std::string_view::npos ||
      head.find("\r\n\t") != std::string_view::npos) {
    return {400, "a header that goes on in the next line"};
  }
  return {};
}

Refusal explain(const error_code& ec, std::string_view unread) {
  using beast::http::error;
  if (ec == error::header_limit) return {431, "the head of the request is too large"};
  if (ec == error::body_limit) return {413, "the body of the request is too large"};
  // "GET / HTTP/2.0" is well-formed, and "GET / HTTP/1.1" with a bare line feed is not.
  const size_t version = unread.substr(0, unread.find('\r')).rfind(" HTTP/");
  if (ec == error::bad_version && version != std::string_view::npos &&
      !unread.substr(version).starts_with(" HTTP/1.")) {
    return {505, "this is a server of HTTP/1.1"};
  }
  return {400, "this is no HTTP request"};
}

std::string hex(size_t n) { return fmt::format("{:x}", n); }

}  // namespace

class Connection;

class LiveExchange final : public Exchange {
 public:
  LiveExchange(HttpRequest request, std::weak_ptr<Connection> connection)
      : Exchange(std::move(request)), connection_(std::move(connection)) {}

  void respond(HttpResponse response) override;
  void begin(HttpResponse head, std::string_view ping) override;
  void write(std::string_view bytes) override;
  void end() override;

 private:
  friend class Connection;
  [[nodiscard]] std::shared_ptr<Connection> connection();

  std::weak_ptr<Connection> connection_;
  Clock::time_point start_ = Clock::now();
};

struct Server::Impl {
  Impl(const ServerOptions& options, Handler& handler);
  void raise_file_limit();
  void listen();
  void open_acceptor(const tcp::endpoint& endpoint);
  void wait_for_connections(size_t acceptor);
  void accept(size_t acceptor);
  void schedule_sweep();
  void sweep();
  void begin_drain();
  void drain(Clock::time_point now);
  void flush_later(std::shared_ptr<Connection> connection);
  const std::string& date();

  ServerOptions options;
  Handler& handler;
  asio::io_context io{1};
  asio::steady_timer timer{io}, flush_timer{io};
  std::deque<tcp::acceptor> acceptors;
  std::vector<char> waits;  // for each acceptor: it is being waited for
  std::unordered_map<Connection*, std::shared_ptr<Connection>> connections;
  std::array<char, size_t{64} << 10> scratch;  // what is read goes through here
  ConnectionStats stats;
  std::vector<std::shared_ptr<Connection>> unflushed;  // streams that wait for flush_timer
  int64_t refusing = 0;  // connections without room that are being told so
  std::string url;
  int port = 0;
  uint64_t next_id = 1;
  std::function<bool()> stop;
  bool draining = false, hurried = false;
  Clock::time_point drain_deadline;
  int64_t date_second = -1;
  std::string date_text;
};

class Connection : public std::enable_shared_from_this<Connection> {
 public:
  Connection(Server::Impl& server, tcp::socket socket)
      : server_(server), socket_(std::move(socket)) {}

  void start();
  /// In place of start(): there is no room.
  void refuse();
  /// Deadlines and pings.
  void check(Clock::time_point now);
  void close();
  void flush_delayed();
  [[nodiscard]] bool is_idle() const { return state_ == State::kIdle && out_.empty(); }
  [[nodiscard]] bool is_working() const {
    return state_ == State::kHead || state_ == State::kBody || state_ == State::kBusy;
  }

 private:
  friend class LiveExchange;
  enum class State : uint8_t {
    kIdle,    // no byte of a request
    kHead,    // some
    kBody,    // its head is there and welcome
    kBusy,    // all of it is there, or it was refused: it is being answered
    kLinger,  // what is still read is thrown away, so that the answer is not lost
    kClosed
  };
  struct Piece {
    std::string text;
    std::string_view fixed;  // in place of text
    [[nodiscard]] std::string_view bytes() const { return fixed.empty() ? text : fixed; }
  };

  void wait_for_bytes();
  void on_readable();
  void on_end_of_bytes();
  void parse();
  bool parse_some();
  void on_head(std::string_view head);
  void on_request();
  void refuse_unreadable(int status, std::string_view message);

  [[nodiscard]] std::string head_of(const HttpResponse& response, bool chunked, bool has_length);
  void send_whole(HttpResponse response);
  void frame_stream();
  void push(std::string text, std::string_view fixed = {});
  void schedule_flush();
  void flush();
  void on_flushed();
  void finish_exchange();
  void linger();
  void become_idle();

  Server::Impl& server_;
  tcp::socket socket_;
  State state_ = State::kIdle;
  std::string peer_;
  std::string in_;  // read and not parsed
  std::unique_ptr<RequestParser> parser_;
  std::shared_ptr<LiveExchange> exchange_;
  std::deque<Piece> out_;
  size_t out_offset_ = 0;  // so much of the front is sent
  int64_t unsent_ = 0;     // bytes in out_
  std::string stream_;     // to be framed
  std::string_view ping_;
  int status_ = 0;
  int64_t sent_ = 0;
  int n_writes_ = 0;      // of this answer
  bool refused_ = false;  // there is no room for it
  bool close_ = false;    // after this answer
  bool streams_ = false;  // begun, and not ended
  bool chunked_ = false;
  bool answered_ = false;  // all of the answer is in out_
  bool reading_ = false, writing_ = false, flush_posted_ = false, delayed_ = false,
       parsing_ = false;
  Clock::time_point deadline_, write_deadline_, last_write_;
};

// ---- the exchange ------------------------------------------------------------------------------

std::shared_ptr<Connection> LiveExchange::connection() {
  std::shared_ptr<Connection> connection = connection_.lock();
  if (!connection || connection->exchange_.get() != this || connection->answered_) return nullptr;
  return connection;
}

void LiveExchange::respond(HttpResponse response) {
  if (const auto c = connection()) c->send_whole(std::move(response));
}

void LiveExchange::begin(HttpResponse head, std::string_view ping) {
  const auto c = connection();
  if (!c) return;
  c->streams_ = true;
  c->ping_ = ping;
  c->chunked_ = request().version >= 11;
  if (!c->chunked_) c->close_ = true;
  c->server_.handler.decorate(*this, head);
  c->push(c->head_of(head, c->chunked_, false));
  c->schedule_flush();
}

void LiveExchange::write(std::string_view bytes) {
  const auto c = connection();
  if (!c || !c->streams_) return;
  if (c->unsent_ + std::ssize(c->stream_) + std::ssize(bytes) >
      c->server_.options.max_unsent_bytes) {
    c->close();  // it does not listen
    return;
  }
  c->stream_ += bytes;
  c->schedule_flush();
}

void LiveExchange::end() {
  const auto c = connection();
  if (!c || !c->streams_) return;
  c->frame_stream();
  if (c->chunked_) c->push("0\r\n\r\n");
  c->streams_ = false;
  c->answered_ = true;
  c->schedule_flush();
}

// ---- reading -----------------------------------------------------------------------------------

void Connection::start() {
  error_code ignored;
  peer_ = socket_.remote_endpoint(ignored).address().to_string(ignored);
  socket_.non_blocking(true, ignored);
  socket_.set_option(tcp::no_delay(true), ignored);
  become_idle();
  wait_for_bytes();
}

void Connection::refuse() {
  error_code ignored;
  socket_.non_blocking(true, ignored);
  refused_ = true;
  state_ = State::kBusy;
  close_ = true;
  HttpResponse response = error_response(503, "too many connections: try again later");
  response.headers.emplace_back("Retry-After", "1");
  push(head_of(response, false, true) + response.body);
  answered_ = true;
  schedule_flush();
}

void Connection::become_idle() {
  state_ = State::kIdle;
  deadline_ = Clock::now() + seconds(server_.options.idle_timeout);
  parser_.reset();
}

void Connection::wait_for_bytes() {
  if (reading_ || state_ == State::kClosed) return;
  if (state_ == State::kBusy && in_.size() >= kMaxPipelinedBytes) return;
  reading_ = true;
  socket_.async_wait(tcp::socket::wait_read, [self = shared_from_this()](const error_code& ec) {
    self->reading_ = false;
    if (!ec && self->state_ != State::kClosed) self->on_readable();
  });
}

void Connection::on_readable() {
  error_code ec;
  const size_t n = socket_.read_some(asio::buffer(server_.scratch), ec);
  if (ec == asio::error::would_block || ec == asio::error::interrupted) return wait_for_bytes();
  if (ec) return on_end_of_bytes();
  if (state_ == State::kLinger) {
    sent_ += static_cast<int64_t>(n);  // counts what is thrown away: the answer is over
    if (sent_ > kMaxLingerBytes) return close();
    return wait_for_bytes();
  }
  in_.append(server_.scratch.data(), n);
  if (state_ != State::kBusy) parse();
  wait_for_bytes();
}

void Connection::on_end_of_bytes() {
  // A client that has asked and shuts its side may still listen to an answer that is there.
  if (state_ == State::kBusy && answered_) {
    close_ = true;
    in_.clear();
    return;
  }
  close();
}

void Connection::parse() {
  if (std::exchange(parsing_, true)) return;
  while (state_ != State::kBusy && state_ != State::kClosed && state_ != State::kLinger &&
         !in_.empty() && parse_some()) {
  }
  parsing_ = false;
  if (in_.empty() && in_.capacity() > 4096) std::string().swap(in_);
}

/// False: more bytes are needed.
bool Connection::parse_some() {
  if (!parser_) {
    // An empty line before a request is passed over (RFC 9112 section 2.2).
    if (in_.starts_with("\r\n")) {
      in_.erase(0, 2);
      return true;
    }
    if (in_ == "\r") return false;
    parser_ = std::make_unique<RequestParser>(server_.options.max_headers);
    parser_->header_limit(static_cast<uint32_t>(server_.options.max_header_bytes));
    parser_->body_limit(static_cast<uint64_t>(server_.options.max_body_bytes));
    parser_->request.peer = peer_;
    state_ = State::kHead;
    deadline_ = Clock::now() + seconds(server_.options.header_timeout);
  }
  const bool had_head = parser_->is_header_done();
  error_code ec;
  const size_t n = parser_->put(asio::buffer(in_), ec);
  const std::string used = had_head ? std::string() : in_.substr(0, n);
  if (ec && ec != beast::http::error::need_more) {
    const Refusal why = explain(ec, in_);
    refuse_unreadable(why.status, why.message);
    return false;
  }
  in_.erase(0, n);
  if (!had_head && parser_->is_header_done()) {
    on_head(used);
    if (state_ == State::kBusy || state_ == State::kClosed) return false;
  }
  if (parser_->is_done()) {
    on_request();
    return false;
  }
  if (ec == beast::http::error::need_more || n == 0) {
    // A chunk's head or the trailers must fit like any head.
    if (std::ssize(in_) > server_.options.max_header_bytes) {
      refuse_unreadable(431, "the head of a chunk, or the trailers, are too large");
    }
    return false;
  }
  return true;
}

void Connection::on_head(std::string_view head) {
  HttpRequest& request = parser_->request;
  if (const Refusal why = ambiguity(request, head); why.status != 0) {
    return refuse_unreadable(why.status, why.message);
  }
  std::optional<Target> target = parse_target(parser_->target);
  if (!target) return refuse_unreadable(400, "the target of the request is none");
  request.path = std::move(target->path);
  request.query = std::move(target->query);
  request.authority =
      target->authority.empty() ? std::string(request.header("Host")) : target->authority;
  request.has_body = !parser_->is_done();
  if (const auto length = parser_->content_length()) request.content_length = *length;
  const bool keep_alive = parser_->keep_alive();
  const std::string expect(request.header("Expect"));

  exchange_ = std::make_shared<LiveExchange>(request, weak_from_this());
  exchange_->id = server_.next_id++;
  status_ = 0;
  sent_ = 0;
  n_writes_ = 0;
  answered_ = streams_ = chunked_ = false;
  close_ = !keep_alive || server_.draining;
  state_ = State::kBody;
  std::optional<HttpResponse> refusal;
  if (server_.draining) {
    refusal = error_response(503, "the server is being stopped");
  } else if (!expect.empty() && !equal_ignoring_case(expect, "100-continue")) {
    refusal = error_response(417, "the only expectation that is met here is 100-continue");
  } else {
    try {
      refusal = server_.handler.refusal(*exchange_);
    } catch (const std::exception& error) {
      log_error("a bug of ours: {}", error.what());
      refusal = error_response(500, "the server failed");
    }
  }
  if (refusal) {
    state_ = State::kBusy;
    if (request.has_body) refusal->close = true;  // it will not be read
    exchange_->respond(std::move(*refusal));
    return;
  }
  deadline_ = Clock::now() + seconds(server_.options.body_timeout);
  if (request.has_body && !expect.empty() && request.version >= 11 && in_.empty()) {
    push("HTTP/1.1 100 Continue\r\n\r\n");
    schedule_flush();
  }
}

void Connection::on_request() {
  exchange_->request_.body = std::move(parser_->request.body);
  state_ = State::kBusy;
  const std::shared_ptr<LiveExchange> exchange = exchange_;
  try {
    server_.handler.answer(exchange);
  } catch (const std::exception& error) {
    log_error("a bug of ours: {}", error.what());
    exchange->respond(error_response(500, "the server failed"));
    if (streams_) close();
  }
}

/// The connection cannot be trusted to be where we think it is.
void Connection::refuse_unreadable(int status, std::string_view message) {
  HttpResponse response = error_response(status, message);
  response.close = true;
  in_.clear();
  state_ = State::kBusy;
  if (exchange_) return exchange_->respond(std::move(response));
  status_ = status;
  close_ = true;
  server_.handler.unreadable(peer_, status);
  push(head_of(response, false, true) + response.body);
  answered_ = true;
  schedule_flush();
}

// ---- writing -----------------------------------------------------------------------------------

std::string Connection::head_of(const HttpResponse& response, bool chunked, bool has_length) {
  status_ = response.status;
  if (response.close) close_ = true;
  const int version = exchange_ ? exchange_->request().version : 11;
  std::string head = fmt::format("HTTP/1.1 {} {}\r\nDate: {}\r\nServer: nanochat\r\n",
                                 response.status, reason_phrase(response.status), server_.date());
  if (!response.content_type.empty()) {
    head += fmt::format("Content-Type: {}\r\n", response.content_type);
  }
  if (has_length && response.status != 204 && response.status != 304) {
    head += fmt::format("Content-Length: {}\r\n", response.bytes().size());
  }
  if (chunked) head += "Transfer-Encoding: chunked\r\n";
  for (const auto& [name, value] : response.headers) head += fmt::format("{}: {}\r\n", name, value);
  if (close_) {
    head += "Connection: close\r\n";
  } else if (version < 11) {
    head += "Connection: keep-alive\r\n";
  }
  return head + "\r\n";
}

void Connection::send_whole(HttpResponse response) {
  if (streams_) return close();  // a failure in the middle: cut off, so that it shows
  server_.handler.decorate(*exchange_, response);
  push(head_of(response, false, true));
  const bool no_body =
      exchange_->request().is_head() || response.status == 204 || response.status == 304;
  if (!no_body) push(std::move(response.body), response.fixed_body);
  answered_ = true;
  schedule_flush();
}

void Connection::frame_stream() {
  if (stream_.empty()) return;
  if (chunked_) {
    stream_.insert(0, hex(stream_.size()) + "\r\n");
    stream_ += "\r\n";
  }
  push(std::exchange(stream_, {}));
}

void Connection::push(std::string text, std::string_view fixed) {
  if (text.empty() && fixed.empty()) return;
  out_.push_back({std::move(text), fixed});
  unsent_ += std::ssize(out_.back().bytes());
}

/// Once for all that is written in one go.
void Connection::schedule_flush() {
  if (flush_posted_) return;
  if (streams_ && n_writes_ >= kPromptWrites && Clock::now() - last_write_ < kStreamInterval) {
    if (!std::exchange(delayed_, true)) server_.flush_later(shared_from_this());
    return;
  }
  flush_posted_ = true;
  asio::post(server_.io, [self = shared_from_this()] {
    self->flush_posted_ = false;
    if (self->state_ != State::kClosed) self->flush();
  });
}

void Connection::flush_delayed() {
  if (delayed_ && state_ != State::kClosed) flush();
}

void Connection::flush() {
  delayed_ = false;
  frame_stream();
  if (writing_) return;
  while (!out_.empty()) {
    std::array<asio::const_buffer, 8> buffers;
    size_t n_buffers = 0;
    for (const Piece& piece : out_) {
      if (n_buffers == buffers.size()) break;
      const std::string_view bytes = piece.bytes().substr(n_buffers == 0 ? out_offset_ : 0);
      buffers[n_buffers++] = asio::buffer(bytes.data(), bytes.size());
    }
    error_code ec;
    size_t n = socket_.write_some(buffers, ec);
    if (ec == asio::error::would_block || ec == asio::error::interrupted) {
      write_deadline_ = Clock::now() + seconds(server_.options.write_timeout);
      writing_ = true;
      socket_.async_wait(tcp::socket::wait_write, [self = shared_from_this()](const error_code& e) {
        self->writing_ = false;
        if (!e && self->state_ != State::kClosed) self->flush();
      });
      return;
    }
    if (ec) return close();
    last_write_ = Clock::now();
    ++n_writes_;
    sent_ += static_cast<int64_t>(n);
    unsent_ -= static_cast<int64_t>(n);
    while (n > 0) {
      const size_t left = out_.front().bytes().size() - out_offset_;
      const size_t taken = std::min(n, left);
      n -= taken;
      out_offset_ += taken;
      if (taken == left) {
        out_.pop_front();
        out_offset_ = 0;
      }
    }
  }
  if (answered_ && state_ == State::kBusy) on_flushed();
}

void Connection::on_flushed() {
  if (exchange_) finish_exchange();
  answered_ = false;
  if (close_ || server_.draining) return linger();
  become_idle();
  parse();
  wait_for_bytes();
}

void Connection::finish_exchange() {
  const std::shared_ptr<LiveExchange> over = std::exchange(exchange_, nullptr);
  const std::chrono::duration<double> time = Clock::now() - over->start_;
  over->on_gone(nullptr);
  server_.handler.over(
      *over, {.status = status_, .sent_bytes = sent_, .seconds = time.count(), .complete = true});
}

/// Closing at once would make the client's system throw away what it has not read, where it has
/// sent something that we have not (RFC 9112 section 9.6).
void Connection::linger() {
  error_code ec;
  socket_.shutdown(tcp::socket::shutdown_send, ec);
  if (ec) return close();
  state_ = State::kLinger;
  deadline_ = Clock::now() + seconds(kLingerSeconds);
  in_.clear();
  parser_.reset();
  sent_ = 0;
  wait_for_bytes();
}

void Connection::close() {
  if (state_ == State::kClosed) return;
  const auto self = shared_from_this();
  state_ = State::kClosed;
  error_code ignored;
  socket_.close(ignored);
  server_.connections.erase(this);
  --(refused_ ? server_.refusing : server_.stats.open);
  out_.clear();
  stream_.clear();
  unsent_ = 0;
  if (const std::shared_ptr<LiveExchange> lost = std::exchange(exchange_, nullptr)) {
    const std::chrono::duration<double> time = Clock::now() - lost->start_;
    lost->tell_gone();
    server_.handler.over(
        *lost,
        {.status = status_, .sent_bytes = sent_, .seconds = time.count(), .complete = false});
  }
}

void Connection::check(Clock::time_point now) {
  if (writing_ && now > write_deadline_) {
    ++server_.stats.timed_out;
    return close();
  }
  if (state_ == State::kBusy) {
    if (streams_ && !ping_.empty() && !writing_ &&
        now - last_write_ > seconds(server_.options.ping_interval)) {
      last_write_ = now;
      stream_ += ping_;
      schedule_flush();
    }
    return;
  }
  if (now <= deadline_) return;
  if (state_ != State::kLinger) ++server_.stats.timed_out;
  if (state_ == State::kHead || state_ == State::kBody) {
    return refuse_unreadable(408, "the request did not come in time");
  }
  close();
}

// ---- the server --------------------------------------------------------------------------------

Server::Impl::Impl(const ServerOptions& options_, Handler& handler_)
    : options(options_), handler(handler_) {
  raise_file_limit();
  listen();
}

void Server::Impl::raise_file_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  const auto wanted = static_cast<rlim_t>(options.max_connections + kMaxRefused) + kOtherFiles;
  if (limit.rlim_cur < wanted) {
    rlimit raised = limit;
    raised.rlim_cur = std::min(wanted, limit.rlim_max);
    if (::setrlimit(RLIMIT_NOFILE, &raised) == 0) limit = raised;
  }
  if (limit.rlim_cur >= wanted) return;
  const auto files = static_cast<int64_t>(limit.rlim_cur);
  const int64_t possible =
      std::max<int64_t>(1, files - kMaxRefused - static_cast<int64_t>(kOtherFiles));
  log_warning("at most {} connections at a time: the limit of open files is {} (ulimit -n)",
              possible, files);
  options.max_connections = possible;
}

void Server::Impl::listen() {
  error_code ec;
  tcp::resolver resolver(io);
  const auto found = resolver.resolve(options.host, std::to_string(options.port),
                                      tcp::resolver::passive | tcp::resolver::numeric_service, ec);
  if (ec || found.empty()) {
    throw UsageError("'{}' is no address of this machine (--host): {}", options.host,
                     ec ? ec.message() : "nothing found");
  }
  port = options.port;
  std::string why;
  std::vector<tcp::endpoint> seen;
  for (const auto& entry : found) {  // "localhost" may be 127.0.0.1 and ::1
    tcp::endpoint endpoint = entry.endpoint();
    if (std::ranges::find(seen, endpoint) != seen.end()) continue;
    seen.push_back(endpoint);
    endpoint.port(static_cast<uint16_t>(port));
    try {
      open_acceptor(endpoint);
    } catch (const boost::system::system_error& error) {
      const error_code& code = error.code();
      if (code == asio::error::address_in_use) {
        throw IoError(
            "port {} of {} is in use: is another server running? Stop it, or choose another --port",
            port, options.host);
      }
      if (code == asio::error::access_denied) {
        throw IoError("port {} of {}: no permission: ports below 1024 are root's (--port)", port,
                      options.host);
      }
      why = code.message();
    }
  }
  if (acceptors.empty()) {
    throw IoError("cannot listen at {}, port {}: {} (--host)", options.host, options.port, why);
  }
  waits.resize(acceptors.size());
  const bool is_v6 = options.host.find(':') != std::string::npos;
  url = fmt::format(fmt::runtime(is_v6 ? "http://[{}]:{}" : "http://{}:{}"), options.host, port);
}

void Server::Impl::open_acceptor(const tcp::endpoint& endpoint) {
  tcp::acceptor acceptor(io);
  acceptor.open(endpoint.protocol());
  acceptor.set_option(asio::socket_base::reuse_address(true));
  // "::" is to mean IPv4 too, but ::1 beside 127.0.0.1 is not to be in its way.
  if (endpoint.protocol() == tcp::v6()) {
    acceptor.set_option(asio::ip::v6_only(!endpoint.address().is_unspecified()));
  }
  acceptor.set_option(asio::socket_base::send_buffer_size(kSendBufferBytes));  // its connections'
  acceptor.bind(endpoint);
  acceptor.listen(asio::socket_base::max_listen_connections);
  acceptor.non_blocking(true);
  port = acceptor.local_endpoint().port();
  acceptors.push_back(std::move(acceptor));
}

void Server::Impl::wait_for_connections(size_t i) {
  if (draining || std::exchange(waits[i], 1)) return;
  acceptors[i].async_wait(tcp::acceptor::wait_read, [this, i](const error_code& ec) {
    waits[i] = 0;
    if (!ec) accept(i);
  });
}

void Server::Impl::accept(size_t i) {
  for (int n = 0; n < 64 && !draining; ++n) {  // then others get their turn
    error_code ec;
    tcp::socket socket(io);
    acceptors[i].accept(socket, ec);
    if (ec == asio::error::would_block) break;
    // No more descriptors: sweep() tries again.
    if (ec == asio::error::no_descriptors ||
        ec == boost::system::errc::too_many_files_open_in_system)
      return;
    if (ec) continue;  // it has gone away already
    ++stats.accepted;
    const bool is_room = stats.open < options.max_connections;
    if (!is_room) ++stats.refused;
    if (!is_room && refusing >= kMaxRefused) continue;
    const auto connection = std::make_shared<Connection>(*this, std::move(socket));
    connections.emplace(connection.get(), connection);
    if (is_room) {
      ++stats.open;
      connection->start();
    } else {
      ++refusing;
      connection->refuse();
    }
  }
  wait_for_connections(i);
}

void Server::Impl::schedule_sweep() {
  timer.expires_after(kSweepInterval);
  timer.async_wait([this](const error_code& ec) {
    if (!ec) sweep();
  });
}

void Server::Impl::sweep() {
  const Clock::time_point now = Clock::now();
  if (!draining && stop()) begin_drain();
  std::vector<std::shared_ptr<Connection>> all;  // checking may close
  all.reserve(connections.size());
  for (const auto& [pointer, connection] : connections) all.push_back(connection);
  for (const auto& connection : all) connection->check(now);
  if (draining) {
    drain(now);
  } else {
    for (size_t i = 0; i < acceptors.size(); ++i) wait_for_connections(i);
  }
  if (!io.stopped()) schedule_sweep();
}

void Server::Impl::flush_later(std::shared_ptr<Connection> connection) {
  unflushed.push_back(std::move(connection));
  if (unflushed.size() > 1) return;
  flush_timer.expires_after(kStreamInterval);
  flush_timer.async_wait([this](const error_code& ec) {
    if (ec) return;
    for (const auto& waiting : std::exchange(unflushed, {})) waiting->flush_delayed();
  });
}

void Server::Impl::begin_drain() {
  draining = true;
  drain_deadline = Clock::now() + seconds(options.drain);
  error_code ignored;
  for (tcp::acceptor& acceptor : acceptors) acceptor.close(ignored);
}

void Server::Impl::drain(Clock::time_point now) {
  std::vector<std::shared_ptr<Connection>> idle;
  bool working = false;
  for (const auto& [pointer, connection] : connections) {
    if (connection->is_idle()) idle.push_back(connection);
    working = working || connection->is_working();
  }
  for (const auto& connection : idle) connection->close();
  if (!working) return io.stop();
  if (now <= drain_deadline) return;
  if (hurried) return io.stop();
  hurried = true;
  drain_deadline = now + std::chrono::seconds(1);  // for their last words
  handler.hurry();
}

const std::string& Server::Impl::date() {
  const int64_t now = std::chrono::duration_cast<std::chrono::seconds>(
                          std::chrono::system_clock::now().time_since_epoch())
                          .count();
  if (now != date_second) date_text = http_date(date_second = now);
  return date_text;
}

Server::Server(const ServerOptions& options, Handler& handler)
    : impl_(std::make_unique<Impl>(options, handler)) {}

Server::~Server() = default;

bool Server::run(const std::function<bool()>& stop) {
  impl_->stop = stop;
  for (size_t i = 0; i < impl_->acceptors.size(); ++i) impl_->wait_for_connections(i);
  impl_->schedule_sweep();
  impl_->io.run();
  // What is left has been told, or has nothing to hear.
  const auto rest = impl_->connections;
  for (const auto& [pointer, connection] : rest) connection->close();
  return !impl_->hurried;
}

void Server::post(std::function<void()> work) { asio::post(impl_->io, std::move(work)); }

const std::string& Server::url() const noexcept { return impl_->url; }
int Server::port() const noexcept { return impl_->port; }
int64_t Server::max_connections() const noexcept { return impl_->options.max_connections; }
ConnectionStats Server::stats() const { return impl_->stats; }

}  // namespace nanochat::serve
