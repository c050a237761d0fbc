// Who may use what, the page, the runs, and what the server tells of itself.
#include "serve/site.h"

#include <algorithm>
#include <atomic>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "serve/site_fixture.h"
#include "train/run_folder.h"

namespace nanochat::serve {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

// ---- who may -----------------------------------------------------------------------------------

TEST_F(SiteTest, WantsTheKeyForAllButThePageAndItsInfo) {
  start({.site = {.api_key = kKey}});
  const std::string right = fmt::format("Authorization: Bearer {}\r\n", kKey);
  for (const char* const path : {"/v1/models", "/stats", "/metrics", "/api/runs",
                                 "/api/runs/base/d4/metrics", "/v1/models/x"}) {
    for (const char* const header :
         {"", "Authorization: Bearer\r\n", "Authorization: Bearer \r\n",
          "Authorization: Bearer sesam\r\n", "Authorization: Bearer sesamee\r\n",
          "Authorization: Bearer Sesame\r\n", "Authorization: Basic sesame\r\n",
          "Authorization: sesame\r\n"}) {
      const ClientResponse response = get(path, header);
      EXPECT_EQ(response.status, 401) << path << " " << header;
      EXPECT_EQ(response.error("code"), "invalid_api_key");
      EXPECT_EQ(response.header("www-authenticate"), "Bearer");
    }
    EXPECT_NE(get(path, right).status, 401) << path;
  }
  for (const char* const path : {"/", "/app.js", "/health", "/api/info", "/openapi.json"}) {
    EXPECT_EQ(get(path).status, 200) << path;
  }
  EXPECT_EQ(get("/api/info").json().at("needs_key"), true);
  // Before the body is read.
  HttpClient client(port());
  client.send(
      "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
      "Content-Length: 1000000\r\n\r\n{");
  EXPECT_EQ(client.read_response().status, 401);
  EXPECT_EQ(post("/v1/chat/completions", fmt::format("{{{}}}", kHi),
                 "Content-Type: application/json\r\nauthorization: bearer sesame\r\n")
                .status,
            200);
}

TEST(Key, IsComparedWhole) {
  EXPECT_TRUE(equal_in_constant_time("sesame", "sesame"));
  for (const char* const wrong : {"", "s", "sesam", "sesamesesame", "Sesame", "sesamE"}) {
    EXPECT_FALSE(equal_in_constant_time(wrong, "sesame")) << wrong;
  }
  EXPECT_FALSE(equal_in_constant_time("x", ""));
}

TEST_F(SiteTest, OtherOriginsMayNotAsk) {
  start();
  for (const char* const origin :
       {"http://evil.example", "null", "https://localhost.evil.example", "http://localhost:1"}) {
    const ClientResponse response = get("/api/runs", fmt::format("Origin: {}\r\n", origin));
    EXPECT_EQ(response.status, 403) << origin;
    EXPECT_EQ(response.error("code"), "wrong_origin");
    EXPECT_EQ(response.header("access-control-allow-origin"), "");
  }
  EXPECT_EQ(get("/api/runs", "Origin: http://localhost\r\n").status, 200) << "its own page";
  const ClientResponse preflight = response_to(
      port(), get_request("/v1/chat/completions", "Origin: http://evil.example\r\n", "OPTIONS"));
  EXPECT_EQ(preflight.status, 204);
  EXPECT_EQ(preflight.header("access-control-allow-origin"), "");
  EXPECT_EQ(get("/api/runs").header("cross-origin-resource-policy"), "same-origin");
}

TEST_F(SiteTest, OriginsThatAreNamedMayAsk) {
  start({.site = {.cors_origins = {"https://chat.example.com"}}});
  const std::string origin = "Origin: https://chat.example.com\r\n";
  const ClientResponse response = get("/v1/models", origin);
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(response.header("access-control-allow-origin"), "https://chat.example.com");
  EXPECT_EQ(response.header("vary"), "Origin");
  const ClientResponse preflight = response_to(
      port(),
      get_request("/v1/chat/completions",
                  origin + "Access-Control-Request-Headers: content-type, x-stainless-os\r\n",
                  "OPTIONS"));
  EXPECT_EQ(preflight.status, 204);
  EXPECT_EQ(preflight.header("access-control-allow-headers"), "content-type, x-stainless-os");
  EXPECT_EQ(preflight.header("access-control-allow-methods"), "POST, OPTIONS");
  EXPECT_EQ(get("/v1/models", "Origin: https://other.example.com\r\n").status, 403);
}

TEST_F(SiteTest, ANameThatMeansThisMachineByTrickeryIsRefused) {
  start({.site = {.cors_origins = {"https://chat.example.com"}}});
  const auto with_host = [&](const char* host) {
    return response_to(port(), fmt::format("GET /v1/models HTTP/1.1\r\nHost: {}\r\n\r\n", host));
  };
  for (const char* const host : {"evil.example", "evil.example:8000", "127.0.0.1.evil.example"}) {
    EXPECT_EQ(with_host(host).status, 403) << host;
    EXPECT_EQ(with_host(host).error("code"), "wrong_host");
  }
  for (const char* const host : {"localhost", "127.0.0.1:8000", "[::1]:8000", "chat.example.com"}) {
    EXPECT_EQ(with_host(host).status, 200) << host;
  }
  EXPECT_EQ(
      response_to(port(), "GET http://evil.example/v1/models HTTP/1.1\r\nHost: localhost\r\n\r\n")
          .status,
      403);
}

// ---- the page ----------------------------------------------------------------------------------

TEST_F(SiteTest, ServesThePageWithItsPolicy) {
  start();
  size_t total = 0;
  for (const PageFile& file : page_files()) {
    SCOPED_TRACE(file.path);
    const ClientResponse response = get(fmt::format("/{}", file.path));
    EXPECT_EQ(response.status, 200);
    EXPECT_EQ(response.body, file.bytes);
    EXPECT_THAT(response.header("content-security-policy"),
                AllOf(HasSubstr("default-src 'none'"), HasSubstr("script-src 'self'")));
    EXPECT_EQ(response.header("x-content-type-options"), "nosniff");
    EXPECT_EQ(response.header("referrer-policy"), "no-referrer");
    EXPECT_EQ(response.header("cache-control"), "no-cache");
    EXPECT_EQ(response.header("access-control-allow-origin"), "");
    total += file.bytes.size();
  }
  EXPECT_LT(total, 1500U << 10);
  EXPECT_THAT(get("/").body, HasSubstr("<!doctype html>"));
  EXPECT_EQ(get("/").header("content-type"), "text/html; charset=utf-8");
  EXPECT_EQ(get("/app.js").header("content-type"), "text/javascript; charset=utf-8");
  EXPECT_EQ(get("/style.css").header("content-type"), "text/css; charset=utf-8");
  EXPECT_EQ(get("/logo.svg").header("content-type"), "image/svg+xml");
  EXPECT_EQ(get("/vendor/fonts/KaTeX_Main-Regular.woff2").header("content-type"), "font/woff2");
  EXPECT_THAT(get("/vendor/licenses.txt").body, HasSubstr("=== libjs-marked\n\n"));
  EXPECT_EQ(post("/app.js", "{}").status, 405);
  for (const char* const path : {"/../etc/passwd", "/vendor/", "/vendor", "/App.js", "/app.js/",
                                 "//app.js", "/vendor/..%2fapp.js"}) {
    EXPECT_EQ(get(path).status, 404) << path;
  }
}

TEST_F(SiteTest, ThePageIsSentOnceAndAsGzipWhereThatHelps) {
  start();
  const ClientResponse plain = get("/app.js"), zipped = get("/app.js", "Accept-Encoding: gzip\r\n");
  EXPECT_EQ(zipped.header("content-encoding"), "gzip");
  EXPECT_TRUE(zipped.body.starts_with("\x1f\x8b"));
  EXPECT_LT(zipped.body.size(), plain.body.size());
  EXPECT_NE(zipped.header("etag"), plain.header("etag")) << "other bytes, another tag";
  EXPECT_EQ(plain.header("vary"), "Accept-Encoding");
  EXPECT_EQ(get("/vendor/fonts/KaTeX_Main-Regular.woff2", "Accept-Encoding: gzip\r\n")
                .header("content-encoding"),
            "");
  for (const std::string& tags :
       {plain.header("etag"), "\"x\", W/" + plain.header("etag"), std::string("*")}) {
    const ClientResponse same = get("/app.js", fmt::format("If-None-Match: {}\r\n", tags));
    EXPECT_EQ(same.status, 304) << tags;
    EXPECT_EQ(same.body, "");
    EXPECT_EQ(same.header("etag"), plain.header("etag"));
  }
  EXPECT_EQ(get("/app.js", "If-None-Match: \"x\"\r\n").status, 200);
}

// ---- runs --------------------------------------------------------------------------------------

TEST_F(SiteTest, ShowsTrainingWithNoModelAtAll) {
  SiteSetup setup;
  setup.has_model = false;
  start(setup);
  const json info = get("/api/info").json();
  EXPECT_EQ(info, json::parse(R"({"model":null,"context":null,"version":"1.2.3","needs_key":false,
      "has_model":false,"has_runs":true})"));
  EXPECT_EQ(get("/api/runs").body, "[]") << "the folder is not there yet";
  EXPECT_EQ(get("/v1/models").json().at("data"), json::array());
  EXPECT_EQ(chat().status, 404);
  EXPECT_EQ(chat().error("code"), "model_not_found");
  EXPECT_EQ(post("/chat/completions", fmt::format("{{{}}}", kHi)).status, 503);
  EXPECT_EQ(post("/api/tokenize", R"({"text":""})").status, 404);
  EXPECT_EQ(get("/health").json().at("ready"), false);
  EXPECT_EQ(get("/stats").json().at("total_workers"), 0);
  EXPECT_EQ(get("/metrics").status, 200);
  EXPECT_EQ(get("/openapi.json").status, 200);
  EXPECT_EQ(get("/").status, 200);
}

TEST_F(SiteTest, TailsTheMetricsOfARun) {
  start();
  const std::string a = R"({"step": 0, "train/loss": 3.5})",
                    b = R"({"step": 1, "train/loss": 2.5})";
  folder_.write("runs/base/d 4/metrics.jsonl", a + "\n" + b + "\n{\"step\": 2, \"tr");
  const auto metrics = [&](const std::string& from) {
    return get("/api/runs/base/d%204/metrics?from=" + from).json();
  };
  const json first = metrics("0");
  EXPECT_EQ(first.at("lines"), json::array({json::parse(a), json::parse(b)})) << "whole lines only";
  EXPECT_EQ(first.at("offset"), a.size() + b.size() + 2);
  EXPECT_EQ(first.at("reset"), false);
  EXPECT_EQ(first.at("more"), false);
  EXPECT_EQ(get("/api/runs/base/d%204/metrics").json(), first) << "from the beginning";

  const std::string c = R"({"step": 2, "train/loss": 1.5})";
  folder_.write("runs/base/d 4/metrics.jsonl", a + "\n" + b + "\n" + c + "\nno json\n[1]\n\n");
  const json second = metrics(first.at("offset").dump());
  EXPECT_EQ(second.at("lines"), json::array({json::parse(c)})) << "others are left out";
  EXPECT_TRUE(metrics(second.at("offset").dump()).at("lines").empty());

  folder_.write("runs/base/d 4/metrics.jsonl", a + "\n");  // begun anew
  const json again = metrics(second.at("offset").dump());
  EXPECT_EQ(again.at("reset"), true);
  EXPECT_EQ(again.at("lines").size(), 1U);

  const json runs = get("/api/runs").json();
  ASSERT_EQ(runs.size(), 1U);
  EXPECT_EQ(runs[0].at("stage"), "base");
  EXPECT_EQ(runs[0].at("tag"), "d 4");
  EXPECT_EQ(runs[0].at("step"), 1);
  EXPECT_TRUE(runs[0].at("num_iterations").is_null());
  EXPECT_EQ(runs[0].at("running"), false);
  EXPECT_GT(runs[0].at("updated"), 1.7e9);
  for (const char* const bad : {"-1", "x", "1.5", "99999999999999999999", "%zz"}) {
    EXPECT_EQ(get(std::string("/api/runs/base/d%204/metrics?from=") + bad).status, 400) << bad;
  }
}

TEST_F(SiteTest, MetricsComeInBoundedPieces) {
  start();
  std::string text;
  const std::string line = R"({"step": 7, "samples": ["ssssssssssssssssssssssssssssssssssss"]})";
  while (text.size() < size_t{5} << 19) text += line + "\n";
  const std::string monster = "{\"x\": \"" + std::string(3 << 20, 'm') + "\"}\n";
  folder_.write("runs/rl/big/metrics.jsonl", text + monster + line + "\n");
  int64_t offset = 0;
  size_t lines = 0;
  bool more = true;
  for (int i = 0; i < 20 && more; ++i) {
    const ClientResponse response = get(fmt::format("/api/runs/rl/big/metrics?from={}", offset));
    EXPECT_LT(response.body.size(), static_cast<size_t>(kMaxMetricsBytes) + 1000);
    const json part = response.json();
    lines += part.at("lines").size();
    offset = part.at("offset");
    more = part.at("more");
  }
  EXPECT_FALSE(more);
  EXPECT_EQ(static_cast<size_t>(offset), text.size() + monster.size() + line.size() + 1);
  EXPECT_EQ(lines, text.size() / (line.size() + 1) + 1)
      << "all but the monster, which is passed over";
}

TEST_F(SiteTest, NamesOfRunsLeadNowhereElse) {
  start();
  folder_.write("runs/base/d4/metrics.jsonl", "{\"step\": 0}\n");
  folder_.write("secret/metrics.jsonl", "{\"secret\": 0}\n");
  EXPECT_EQ(get("/api/runs/base/d4/metrics").status, 200);
  for (const char* const path :
       {"/api/runs/base/d5/metrics", "/api/runs/../secret/metrics",
        "/api/runs/%2e%2e/secret/metrics", "/api/runs/base/..%2f..%2fsecret/metrics",
        "/api/runs/base/%2e%2e/metrics", "/api/runs/./base/d4/metrics", "/api/runs//d4/metrics",
        "/api/runs/base//metrics", "/api/runs/base/d4/metrics/", "/api/runs/base/d4",
        "/api/runs/base/.d4/metrics"}) {
    EXPECT_EQ(get(path).status, 404) << path;
  }
  EXPECT_FALSE(is_plain_name(std::string(300, 'a')));
  EXPECT_FALSE(is_plain_name(std::string_view("a\0b", 3)));
}

TEST_F(SiteTest, TellsWhichRunIsBeingTrained) {
  start();
  folder_.write("runs/base/d4/metrics.jsonl", "{\"step\": 0}\n");
  {
    const RunFolder trained(folder_ / "runs/base/d4");
    EXPECT_EQ(get("/api/runs").json()[0].at("running"), true);
  }
  EXPECT_EQ(get("/api/runs").json()[0].at("running"), false);
  // To look does not keep a trainer out.
  std::atomic<bool> done = false;
  std::thread looking([&] {
    while (!done) EXPECT_FALSE(get("/api/runs").body.empty());
  });
  for (int i = 0; i < 200; ++i) {
    EXPECT_NO_THROW(const RunFolder trained(folder_ / "runs/base/d4"));
  }
  done = true;
  looking.join();
}

// ---- what it tells of itself -------------------------------------------------------------------

TEST_F(SiteTest, DescribesItsApis) {
  start();
  const json description = get("/openapi.json").json();
  EXPECT_EQ(description.at("openapi"), "3.0.3");
  EXPECT_EQ(description.at("info").at("version"), "1.2.3");
  // Every operation that is described is there, and takes nothing else.
  for (const auto& [path, operations] : description.at("paths").items()) {
    const ClientResponse options = response_to(port(), get_request(path, "", "OPTIONS"));
    EXPECT_EQ(options.status, 204) << path;
    for (const auto& [method, operation] : operations.items()) {
      EXPECT_THAT(options.header("allow"), HasSubstr(method == "get" ? "GET, HEAD" : "POST"))
          << path;
    }
  }
  EXPECT_EQ(description.at("components").at("schemas").at("TokenId").at("maximum"), 264);
}

TEST_F(SiteTest, CountsForPrometheus) {
  start();
  EXPECT_EQ(chat().status, 200);
  EXPECT_EQ(chat(R"("n":0)").status, 400);
  EXPECT_EQ(get("/v1/models/x").status, 404);
  const ClientResponse response = get("/metrics");
  EXPECT_THAT(response.header("content-type"), HasSubstr("text/plain; version=0.0.4"));
  EXPECT_EQ(metric("nanochat_http_requests_total{route=\"/v1/chat/completions\",status=\"200\"}"),
            1);
  EXPECT_EQ(metric("nanochat_http_requests_total{route=\"/v1/chat/completions\",status=\"400\"}"),
            1);
  EXPECT_EQ(metric("nanochat_http_requests_total{route=\"/v1/models/{model}\",status=\"404\"}"), 1);
  EXPECT_EQ(metric("nanochat_generated_tokens_total"), 11);
  EXPECT_EQ(metric("nanochat_time_to_first_token_seconds_count"), 1);
  EXPECT_EQ(metric("nanochat_time_to_first_token_seconds_bucket{le=\"+Inf\"}"), 1);
  EXPECT_EQ(metric("nanochat_generations_total{end=\"complete\"}"), 1);
  EXPECT_GT(metric("process_resident_memory_bytes"), 1e6);
  EXPECT_GT(metric("process_open_fds"), 3);
  // Each line is a comment or "name value".
  std::string rest = response.body;
  while (!rest.empty()) {
    const std::string line = rest.substr(0, rest.find('\n'));
    rest.erase(0, line.size() + 1);
    if (line.starts_with("# ")) continue;
    EXPECT_TRUE(std::isdigit(static_cast<unsigned char>(line.at(line.rfind(' ') + 1)))) << line;
  }
}

TEST_F(SiteTest, LogsRequestsWithoutTheirWords) {
  start();
  EXPECT_EQ(post("/v1/chat/completions",
                 R"({"messages":[{"role":"user","content":"my secret"}],"user":"mysterious"})")
                .status,
            200);
  EXPECT_EQ(response_to(port(), "nonsense\r\n\r\n").status, 400);
  EXPECT_EQ(get("/%22%0a%1b").status, 404);
  stop();
  const std::string log = log_text();
  EXPECT_THAT(log, AllOf(Not(HasSubstr("secret")), Not(HasSubstr("wor")), Not(HasSubstr("myst"))));
  EXPECT_EQ(std::ranges::count(log, '\n'), 3);
  const json line = json::parse(log.substr(0, log.find('\n')));
  EXPECT_EQ(line.at("method"), "POST");
  EXPECT_EQ(line.at("path"), "/v1/chat/completions");
  EXPECT_EQ(line.at("status"), 200);
  EXPECT_EQ(line.at("peer"), "127.0.0.1");
  EXPECT_EQ(line.at("completion_tokens"), 11);
  EXPECT_EQ(line.at("finish"), "stop");
  EXPECT_GT(line.at("first_token_seconds"), 0);
}

TEST_F(SiteTest, LogsWordsWhereItIsAskedTo) {
  start({.log_messages = true});
  EXPECT_EQ(chat().status, 200);
  EXPECT_EQ(chat(R"("stream":true)").status, 200);
  EXPECT_EQ(post("/chat/completions", fmt::format("{{{}}}", kHi)).status, 200);
  EXPECT_EQ(post("/v1/completions", R"({"prompt":"quux","max_tokens":1})").status, 200);
  stop();
  std::vector<json> lines;
  std::string rest = log_text();
  while (!rest.empty()) {
    const std::string line = rest.substr(0, rest.find('\n'));
    rest.erase(0, line.size() + 1);
    lines.push_back(json::parse(line));
  }
  ASSERT_EQ(lines.size(), 4U);
  EXPECT_EQ(lines[0].at("messages").at(0).at("content"), "Hi");
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(lines[i].at("answers"), json::array({"Hi, wor你!"})) << i;
  }
  EXPECT_EQ(lines[3].at("prompt"), "quux");
}

}  // namespace
}  // namespace nanochat::serve
