// Sockets, limits and deadlines, with a handler that only echoes.
#include "serve/server.h"

#include <atomic>
#include <chrono>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/error.h"
#include "serve/api_error.h"
#include "serve/http_client.h"

namespace nanochat::serve {
namespace {

using namespace std::chrono_literals;
using test::ClientResponse;
using test::get_request;
using test::HttpClient;
using test::post_request;
using test::response_to;
using ::testing::HasSubstr;

constexpr std::string_view kFixed = "fixed bytes";

/// Answers by path: /echo (method, path, body), /fixed, /stream (until the client goes, a line each
/// time it is told to), /never, /throw, /refused (at the head).
class EchoHandler final : public Handler {
 public:
  std::optional<HttpResponse> refusal(Exchange& exchange) override {
    if (exchange.request().path == "/refused") return error_response(403, "not you");
    return {};
  }
  void answer(const std::shared_ptr<Exchange>& exchange) override {
    const HttpRequest& request = exchange->request();
    ++answered;
    if (request.path == "/throw") throw std::runtime_error("on purpose");
    if (request.path == "/never" || request.path == "/stream") {
      exchange->on_gone([this] { ++gone; });
      held.push_back(exchange);
      if (request.path == "/stream") exchange->begin({.content_type = "text/plain"}, ": ping\n");
      return;
    }
    if (request.path == "/fixed") {
      return exchange->respond({.content_type = "text/plain", .fixed_body = kFixed});
    }
    if (request.path == "/no-content") return exchange->respond({.status = 204});
    exchange->respond({.content_type = "text/plain",
                       .body = fmt::format("{} {} {} [{}]", request.method, request.path,
                                           request.query, request.body)});
  }
  void decorate(const Exchange& exchange, HttpResponse& response) override {
    response.headers.emplace_back("X-Id", std::to_string(exchange.id));
  }
  void over(const Exchange& exchange, const ExchangeResult& result) override {
    results[exchange.request().path].push_back(result);
    ++n_over;
  }
  void unreadable(std::string_view, int status) override { unreadable_status = status; }
  void hurry() override {
    for (const auto& exchange : held) {
      exchange->write("hurried");
      exchange->end();
    }
  }

  std::vector<std::shared_ptr<Exchange>> held{};
  std::map<std::string, std::vector<ExchangeResult>> results{};  // of the server's thread
  std::atomic<int> gone = 0, answered = 0, n_over = 0, unreadable_status = 0;
};

class ServerTest : public ::testing::Test {
 protected:
  void start(ServerOptions options = {}) {
    options.port = 0;
    server_ = std::make_unique<Server>(options, handler_);
    thread_ = std::jthread([this] { drained_ = server_->run([this] { return stop_.load(); }); });
  }
  ~ServerTest() override { stop(); }
  bool stop() {
    stop_ = true;
    if (thread_.joinable()) thread_.join();
    return drained_;
  }
  [[nodiscard]] int port() const { return server_->port(); }
  /// On the server's thread, now.
  template <typename Work>
  void on_server(Work work) {
    std::atomic<bool> done = false;
    server_->post([&] {
      work();
      done = true;
    });
    while (!done) std::this_thread::sleep_for(1ms);
  }
  [[nodiscard]] static bool becomes(const std::atomic<int>& value, int wanted) {
    for (int i = 0; i < 30000 && value != wanted; ++i) std::this_thread::sleep_for(1ms);
    return value == wanted;
  }

  EchoHandler handler_;
  std::unique_ptr<Server> server_;
  std::atomic<bool> stop_ = false;
  bool drained_ = false;
  std::jthread thread_;
};

// ---- HTTP --------------------------------------------------------------------------------------

TEST_F(ServerTest, AnswersAndKeepsTheConnection) {
  start();
  HttpClient client(port());
  for (int i = 0; i < 3; ++i) {
    client.send(post_request("/echo?a=1", "body"));
    const ClientResponse response = client.read_response();
    EXPECT_EQ(response.status, 200);
    EXPECT_EQ(response.body, "POST /echo a=1 [body]");
    EXPECT_EQ(response.header("x-id"), std::to_string(i + 1));
    EXPECT_EQ(response.header("connection"), "");
    EXPECT_NE(response.header("date"), "");
  }
  client.send(get_request("/fixed"));
  EXPECT_EQ(client.read_response().body, kFixed);
  EXPECT_EQ(server_->url(), fmt::format("http://127.0.0.1:{}", port()));
}

TEST_F(ServerTest, AnswersPipelinedRequestsInOrder) {
  start();
  HttpClient client(port());
  std::string requests;
  constexpr int kRequests = 500;  // more than a stack would bear, were each inside the last
  for (int i = 0; i < kRequests; ++i) requests += post_request(fmt::format("/{}", i), "x");
  std::thread sender([&] { client.send(requests); });
  for (int i = 0; i < kRequests; ++i) {
    ASSERT_EQ(client.read_response().body, fmt::format("POST /{}  [x]", i));
  }
  sender.join();
}

TEST_F(ServerTest, ReadsRequestsThatComeByteByByte) {
  start();
  HttpClient client(port());
  const std::string request =
      "\r\n" + post_request("/echo", "body") +
      "POST /chunks HTTP/1.1\r\nhost: x\r\nTransfer-Encoding: Chunked\r\n\r\n"
      "4;name=\"value\"\r\nWiki\r\n5\r\npedia\r\n0\r\nHost: other\r\nX-Trailer: 1\r\n\r\n";
  for (const char c : request) ASSERT_TRUE(client.send({&c, 1}));
  EXPECT_EQ(client.read_response().body, "POST /echo  [body]");
  EXPECT_EQ(client.read_response().body, "POST /chunks  [Wikipedia]");
}

TEST_F(ServerTest, AnswersHeadWithoutABody) {
  start();
  HttpClient client(port());
  client.send(get_request("/fixed", "", "HEAD"));
  const ClientResponse head = client.read_response(true);
  EXPECT_EQ(head.header("content-length"), std::to_string(kFixed.size()));
  client.send(get_request("/fixed"));
  EXPECT_EQ(client.read_response().body, kFixed) << "nothing lay between";
  client.send(get_request("/no-content"));
  const ClientResponse none = client.read_response();
  EXPECT_EQ(none.status, 204);
  EXPECT_EQ(none.header("content-length"), "");
}

TEST_F(ServerTest, SpeaksHttp10) {
  start();
  HttpClient closes(port());
  closes.send("GET /echo HTTP/1.0\r\n\r\n");
  const ClientResponse response = closes.read_response();
  EXPECT_EQ(response.body, "GET /echo  []");
  EXPECT_EQ(response.header("connection"), "close");
  EXPECT_TRUE(closes.is_closed_within(30s));

  HttpClient stays(port());
  for (int i = 0; i < 2; ++i) {
    stays.send("GET /echo HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    EXPECT_EQ(stays.read_response().header("connection"), "keep-alive");
  }
  // No chunks in HTTP/1.0: the end of the connection is the end of the stream.
  HttpClient streams(port());
  streams.send("GET /stream HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  ASSERT_TRUE(becomes(handler_.answered, 4));
  on_server([&] {
    handler_.held.back()->write("line");
    handler_.held.back()->end();
  });
  const ClientResponse stream = streams.read_response();
  EXPECT_EQ(stream.header("transfer-encoding"), "");
  EXPECT_EQ(stream.body, "line");
}

TEST_F(ServerTest, ClosesWhereTheClientAsksForIt) {
  start();
  HttpClient client(port());
  client.send(get_request("/echo", "Connection: close\r\n"));
  EXPECT_EQ(client.read_response().header("connection"), "close");
  EXPECT_TRUE(client.is_closed_within(30s));
}

TEST_F(ServerTest, SaysToGoOnBeforeABodyThatWaitsForIt) {
  start();
  HttpClient client(port());
  client.send(
      "POST /echo HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
  EXPECT_EQ(client.read_response().status, 100);
  client.send("ab");
  EXPECT_EQ(client.read_response().body, "POST /echo  [ab]");
  // A refusal comes in place of it.
  client.send(
      "POST /refused HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
  EXPECT_EQ(client.read_response().status, 403);
  EXPECT_TRUE(client.is_closed_within(30s)) << "the body may come or not: nobody can know";
}

TEST_F(ServerTest, AnswersAClientThatHasShutItsSide) {
  start();
  HttpClient client(port());
  client.send(get_request("/echo"));
  client.shut_down_sending();
  EXPECT_EQ(client.read_response().body, "GET /echo  []");
}

TEST_F(ServerTest, RefusesWhatTwoProgramsCouldReadInTwoWays) {
  start({.max_body_bytes = 1000, .max_header_bytes = 2000, .max_headers = 20});
  const std::string host = "Host: x\r\n";
  struct Case {
    int status;
    std::string request;
  };
  std::string headers;
  for (int i = 0; i < 21; ++i) headers += fmt::format("X-{}: 1\r\n", i);
  const std::vector<Case> cases{
      {400,
       "POST / HTTP/1.1\r\n" + host + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"},
      {400,
       "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n"},
      {400, "POST / HTTP/1.1\r\n" + host + "Content-Length: 5\r\nContent-Length: 5\r\n\r\nabcde"},
      {400, "POST / HTTP/1.1\r\n" + host + "Content-Length: 5\r\nContent-Length: 6\r\n\r\n"},
      {400, "POST / HTTP/1.1\r\n" + host + "Content-Length: 5, 5\r\n\r\nabcde"},
      {400, "POST / HTTP/1.1\r\n" + host + "Content-Length: -1\r\n\r\n"},
      {400, "POST / HTTP/1.1\r\n" + host + "Content-Length: +5\r\n\r\n"},
      {400, "POST / HTTP/1.1\r\n" + host + "Content-Length: 0x5\r\n\r\n"},
      {400, "POST / HTTP/1.1\r\n" + host + "Content-Length: 99999999999999999999\r\n\r\n"},
      {400, "POST / HTTP/1.1\r\n" + host + "Content-Length:\r\n\r\n"},
      {501, "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: gzip\r\n\r\n"},
      {501, "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: gzip, chunked\r\n\r\n"},
      {501, "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: identity\r\n\r\n"},
      {501, "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: xchunked\r\n\r\n"},
      {400, "POST / HTTP/1.1\r\n" + host +
                "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"},
      {400, "POST / HTTP/1.1\r\n" + host +
                "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n\r\n"},
      {400, "POST / HTTP/1.0\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
      {400, "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\nzz\r\nab\r\n"},
      {400,
       "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n2\r\nabc\r\n0\r\n\r\n"},
      {400, "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n2\nab\n0\n\n"},
      {413, "POST / HTTP/1.1\r\n" + host +
                "Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\nab\r\n"},
      {400, "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding : chunked\r\n\r\n"},
      {400, "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding:\r\n chunked\r\n\r\n"},
      {400, "GET / HTTP/1.1\r\n" + host + "X: a\r\n b\r\n\r\n"},
      {400, "GET / HTTP/1.1\r\n\r\n"},
      {400, "GET / HTTP/1.1\r\n" + host + host + "\r\n"},
      {400, "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"},
      {400, "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n"},
      {400, "GET  / HTTP/1.1\r\n" + host + "\r\n"},
      {400, "GET / HTTP/1.1\n" + host + "\r\n\r\n"},
      {400, "GET /%zz HTTP/1.1\r\n" + host + "\r\n"},
      {400, "GET health HTTP/1.1\r\n" + host + "\r\n"},
      {400, "GET / HTTP/1.1\r\n" + host + "X Y: 1\r\n\r\n"},
      {400, "GET / HTTP/1.1\r\n" + host + "X: a\x01z\r\n\r\n"},
      {400, "\x16\x03\x01\x02\x01 a TLS handshake\r\n\r\n"},
      {505, "GET / HTTP/2.0\r\n" + host + "\r\n"},
      {505, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"},
      {417, "GET / HTTP/1.1\r\n" + host + "Expect: a-miracle\r\n\r\n"},
      {431, "GET / HTTP/1.1\r\n" + host + headers + "\r\n"},
      {431, "GET / HTTP/1.1\r\n" + host + "X: " + std::string(3000, 'a') + "\r\n\r\n"},
      {431, "GET /" + std::string(3000, 'a') + " HTTP/1.1\r\n" + host + "\r\n"},
      {413, "POST / HTTP/1.1\r\n" + host + "Content-Length: 1001\r\n\r\n"},
      {413, "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n200\r\n" +
                std::string(512, 'a') + "\r\n200\r\n" + std::string(512, 'a') + "\r\n0\r\n\r\n"},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.request.substr(0, 200));
    HttpClient client(port());
    client.send(c.request + get_request("/smuggled"));
    const ClientResponse response = client.read_response();
    EXPECT_EQ(response.status, c.status) << response.body;
    EXPECT_NE(response.error(), "") << "OpenAI's error object";
    if (c.status != 417) {
      EXPECT_EQ(response.header("connection"), "close");
      EXPECT_EQ(client.read_to_end(), "") << "what follows is not read";
    }
  }
  HttpClient endless(port());
  endless.send("POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n1;" +
               std::string(5000, 'a'));
  EXPECT_EQ(endless.read_response().status, 431) << "the head of a chunk that does not end";
  // The others are served as if nothing had been.
  EXPECT_EQ(response_to(port(), get_request("/echo")).status, 200);
}

TEST_F(ServerTest, AHandlerThatThrowsIsAnsweredWith500AndHarmsNobody) {
  start();
  HttpClient client(port());
  client.send(get_request("/throw"));
  EXPECT_EQ(client.read_response().status, 500);
  client.send(get_request("/echo"));
  EXPECT_EQ(client.read_response().status, 200);
}

// ---- streams -----------------------------------------------------------------------------------

TEST_F(ServerTest, StreamsInChunksAndTheConnectionStays) {
  start();
  HttpClient client(port());
  client.send(get_request("/stream"));
  EXPECT_EQ(client.read_head().header("transfer-encoding"), "chunked");
  ASSERT_TRUE(becomes(handler_.answered, 1));
  on_server([&] {
    handler_.held[0]->write("one ");
    handler_.held[0]->write("two");
  });
  EXPECT_EQ(client.read_chunk(), "one two") << "what is written in one go is sent in one";
  on_server([&] { handler_.held[0]->end(); });
  EXPECT_EQ(client.read_chunk(), std::nullopt);
  client.send(get_request("/echo"));
  EXPECT_EQ(client.read_response().status, 200);
  EXPECT_EQ(handler_.gone, 0);
}

TEST_F(ServerTest, PingsAQuietStream) {
  start({.ping_interval = 0.05});
  HttpClient client(port());
  client.send(get_request("/stream"));
  EXPECT_EQ(client.read_head().status, 200);
  EXPECT_EQ(client.read_chunk(), ": ping\n");
  EXPECT_EQ(client.read_chunk(), ": ping\n");
}

TEST_F(ServerTest, TellsWhenTheClientGoesAway) {
  start();
  {
    HttpClient streams(port()), waits(port()), resets(port());
    streams.send(get_request("/stream"));
    waits.send(get_request("/never"));
    resets.send(get_request("/never"));
    ASSERT_TRUE(becomes(handler_.answered, 3));
    resets.reset();
    EXPECT_TRUE(becomes(handler_.gone, 1));
  }
  EXPECT_TRUE(becomes(handler_.gone, 3));
  EXPECT_TRUE(becomes(handler_.n_over, 3));
  on_server([&] {
    EXPECT_TRUE(handler_.held[0]->gone());
    handler_.held[0]->write("into the void");  // nothing happens
    handler_.held[0]->end();
    handler_.held[1]->respond({});
    EXPECT_FALSE(handler_.results["/never"][0].complete);
    EXPECT_EQ(handler_.results["/never"][0].status, 0);
    EXPECT_EQ(handler_.results["/stream"][0].status, 200);
  });
}

TEST_F(ServerTest, ASlowReaderIsCutOffAndTheOthersDoNotNotice) {
  start({.max_unsent_bytes = 1 << 20, .write_timeout = 0.3});
  HttpClient slow(port(), 4096), quick(port());
  slow.send(get_request("/stream"));
  ASSERT_TRUE(becomes(handler_.answered, 1));
  quick.send(get_request("/stream"));
  ASSERT_TRUE(becomes(handler_.answered, 2));
  EXPECT_EQ(quick.read_head().status, 200);
  // As much as the kernels hold between them, and more: the slow one's deadline runs.
  const std::string piece(64 << 10, 'a');
  for (int i = 0; i < 1000 && handler_.gone == 0; ++i) {
    on_server([&] {
      handler_.held[0]->write(piece);
      handler_.held[1]->write("x");
    });
    EXPECT_NE(quick.read_chunk(), std::nullopt);
  }
  EXPECT_TRUE(becomes(handler_.gone, 1));
  on_server([&] { handler_.held[1]->end(); });
  EXPECT_EQ(quick.read_chunk(), std::nullopt);
}

TEST_F(ServerTest, ASlowReaderOfAWholeAnswerIsCutOffAtTheDeadline) {
  start({.max_body_bytes = 32 << 20, .write_timeout = 0.3});
  HttpClient slow(port(), 4096);
  // Read while it is written, so only the answer is stuck.
  slow.send(post_request("/echo", std::string(24 << 20, 'a')));
  EXPECT_TRUE(becomes(handler_.n_over, 1));
  on_server([&] {
    EXPECT_FALSE(handler_.results["/echo"][0].complete);
    EXPECT_EQ(server_->stats().timed_out, 1);
  });
}

// ---- limits and deadlines ----------------------------------------------------------------------

TEST_F(ServerTest, SlowWritersAreCutOffAtTheirDeadline) {
  start({.idle_timeout = 0.2, .header_timeout = 0.3, .body_timeout = 0.3});
  HttpClient silent(port()), in_head(port()), in_body(port()), in_chunk(port());
  in_head.send("GET / HTTP/1.1\r\nHost: x\r\nX-Slow");
  in_body.send("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nab");
  in_chunk.send("POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab");
  EXPECT_TRUE(silent.is_closed_within(30s));
  EXPECT_EQ(silent.read_to_end(), "") << "there was no request to be answered";
  for (HttpClient* const client : {&in_head, &in_body, &in_chunk}) {
    const ClientResponse response = client->read_response();
    EXPECT_EQ(response.status, 408);
    EXPECT_EQ(response.header("connection"), "close");
    EXPECT_TRUE(client->is_closed_within(30s));
  }
}

TEST_F(ServerTest, AHeadThatKeepsComingIsCutOffToo) {
  start({.header_timeout = 0.3});
  HttpClient client(port());
  client.send("GET / HTTP/1.1\r\nHost: x\r\nX: ");
  for (int i = 0; i < 1000 && handler_.unreadable_status == 0; ++i) {
    client.send("a");
    std::this_thread::sleep_for(10ms);
  }
  EXPECT_EQ(handler_.unreadable_status, 408);
}

TEST_F(ServerTest, ARequestThatIsBeingAnsweredHasNoDeadline) {
  start({.idle_timeout = 0.1, .header_timeout = 0.1, .body_timeout = 0.1, .write_timeout = 0.1});
  HttpClient client(port());
  client.send(get_request("/never"));
  ASSERT_TRUE(becomes(handler_.answered, 1));
  std::this_thread::sleep_for(500ms);
  on_server([&] { handler_.held[0]->respond({.body = "at last"}); });
  EXPECT_EQ(client.read_response().body, "at last");
}

TEST_F(ServerTest, ConnectionsBeyondTheMostAreToldSo) {
  start({.max_connections = 2});
  auto first = std::make_unique<HttpClient>(port());
  HttpClient second(port());
  first->send(get_request("/echo"));
  second.send(get_request("/echo"));
  EXPECT_EQ(first->read_response().status, 200);
  EXPECT_EQ(second.read_response().status, 200);
  HttpClient third(port());
  third.send(get_request("/echo"));
  const ClientResponse response = third.read_response();
  EXPECT_EQ(response.status, 503);
  EXPECT_EQ(response.header("retry-after"), "1");
  EXPECT_TRUE(third.is_closed_within(30s));
  first.reset();
  for (int i = 0; i < 1000; ++i) {
    if (response_to(port(), get_request("/echo")).status == 200) break;
    std::this_thread::sleep_for(10ms);
  }
  on_server([&] {
    EXPECT_GE(server_->stats().refused, 1);
    EXPECT_LE(server_->stats().open, 3);
  });
}

TEST_F(ServerTest, HoldsManyIdleConnections) {
  start();
  std::vector<std::unique_ptr<HttpClient>> idle;
  for (int i = 0; i < 400; ++i) {  // two descriptors of this process each
    idle.push_back(std::make_unique<HttpClient>(port()));
    ASSERT_TRUE(idle.back()->connected());
  }
  EXPECT_EQ(response_to(port(), get_request("/echo")).status, 200);
  for (const auto& client : idle) {
    client->send(get_request("/echo"));
    ASSERT_EQ(client->read_response().status, 200);
  }
}

// ---- the end -----------------------------------------------------------------------------------

TEST_F(ServerTest, DrainsWhatIsBeingAnsweredAndClosesTheIdle) {
  start();
  HttpClient idle(port()), stream(port());
  idle.send(get_request("/echo"));
  EXPECT_EQ(idle.read_response().status, 200);
  stream.send(get_request("/stream"));
  EXPECT_EQ(stream.read_head().status, 200);
  ASSERT_TRUE(becomes(handler_.answered, 2));
  stop_ = true;
  EXPECT_TRUE(idle.is_closed_within(30s));
  EXPECT_FALSE(HttpClient(port()).connected()) << "no new connections";
  on_server([&] {
    handler_.held[0]->write("the end");
    handler_.held[0]->end();
  });
  EXPECT_EQ(stream.read_chunk(), "the end");
  EXPECT_EQ(stream.read_chunk(), std::nullopt);
  EXPECT_TRUE(stop()) << "all came to their end";
}

TEST_F(ServerTest, CutsOffWhatDoesNotEndInTime) {
  start({.drain = 0.2});
  HttpClient stream(port());
  stream.send(get_request("/stream"));
  EXPECT_EQ(stream.read_head().status, 200);
  ASSERT_TRUE(becomes(handler_.answered, 1));
  stop_ = true;
  EXPECT_EQ(stream.read_chunk(), "hurried");
  EXPECT_FALSE(stop());
}

TEST(Listening, SaysWhyItCannot) {
  EchoHandler handler;
  const Server first({.port = 0}, handler);
  try {
    const Server second({.port = first.port()}, handler);
    FAIL() << "two servers on one port";
  } catch (const IoError& error) {
    EXPECT_THAT(error.what(), HasSubstr("is in use"));
    EXPECT_THAT(error.what(), HasSubstr(std::to_string(first.port())));
  }
  EXPECT_THROW(Server({.host = "no.such.host.invalid", .port = 0}, handler), UsageError);
  EXPECT_THROW(Server({.host = "192.0.2.1", .port = 0}, handler), IoError) << "another machine's";
}

}  // namespace
}  // namespace nanochat::serve
