/// Everything that `nanochat serve` puts together, on a free port, with a tiny model whose words
/// are known.
#pragma once

#include <atomic>
#include <chrono>
#include <fstream>
#include <iterator>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "engine/small_model.h"
#include "ops/backend.h"
#include "serve/http_client.h"
#include "serve/server.h"
#include "serve/site.h"
#include "support/temporary_folder.h"
#include "tokenizer/small_vocabulary.h"

namespace nanochat::serve {

using namespace std::chrono_literals;
using nlohmann::json;
using test::ClientResponse;
using test::get_request;
using test::HttpClient;
using test::post_request;
using test::response_to;

// Ids of small_vocabulary({}): the bytes, then the special tokens.
inline constexpr int32_t kBos = 256, kAssistantStart = 259, kAssistantEnd = 260, kPythonStart = 261,
                         kPythonEnd = 262, kOutputEnd = 264;
inline constexpr const char* kKey = "sesame";
inline constexpr const char* kHi = R"("messages":[{"role":"user","content":"Hi"}])";

/// What the model says after <|assistant_start|>; no byte twice. `then`: what follows.
inline std::map<int32_t, int32_t> says(const std::string& text, int32_t then) {
  std::map<int32_t, int32_t> successor;
  int32_t before = kAssistantStart;
  for (const char c : text) before = successor[before] = static_cast<uint8_t>(c);
  successor[before] = then;
  return successor;
}
inline std::map<int32_t, int32_t> says(const std::string& text) {
  return says(text, kAssistantEnd);
}
/// For ever: abcabcabc...
inline std::map<int32_t, int32_t> endless() { return says("abc", 'a'); }

struct SiteSetup {
  std::map<int32_t, int32_t> successor = says("Hi, wor\xe4\xbd\xa0!");
  bool has_model = true;
  SiteOptions site{.version = "1.2.3"};
  ServerOptions server{};
  EngineOptions engine{.slots = 2, .context = 120};
  int64_t queue = 4;
  int64_t sequence_len = 128;
  bool has_runs = true, log_messages = false;
};

class SiteTest : public ::testing::Test {
 protected:
  void start(SiteSetup setup = {}) {
    if (setup.has_model) {
      tokenizer_ = std::make_unique<Tokenizer>(test::small_vocabulary({}));
      model_ = test::load_small(
          *test::bigram_weights(setup.successor, tokenizer_->vocab_size(), setup.sequence_len),
          cpu_backend(), DType::kF32, WeightFormat::kF32);
      engine_ = std::make_unique<Engine>(*model_, tokenizer_.get(), setup.engine);
      worker_ = std::make_unique<EngineWorker>(*engine_, setup.queue);
      service_ = std::make_unique<ModelService>(
          "sft:test@1", 1750000000, *tokenizer_, *worker_, metrics_,
          static_cast<bool>(setup.engine.tool),
          GenerationDefaults{.temperature = 0, .top_k = 0, .max_tokens = 50}, setup.log_messages);
    }
    runs_ = std::make_unique<RunsFolder>(folder_ / "runs");
    log_ = std::make_unique<AccessLog>(folder_ / "access.log");
    site_ = std::make_unique<Site>(setup.site, service_.get(),
                                   setup.has_runs ? runs_.get() : nullptr, metrics_, *log_);
    setup.server.port = 0;
    server_ = std::make_unique<Server>(setup.server, *site_);
    site_->set_server(*server_);
    if (worker_) {
      worker_->start([this](std::function<void()> work) { server_->post(std::move(work)); });
    }
    thread_ = std::jthread([this] { drained_ = server_->run([this] { return stop_.load(); }); });
  }
  void stop() {
    stop_ = true;
    if (thread_.joinable()) thread_.join();
    if (worker_) worker_->stop();
  }
  ~SiteTest() override { stop(); }

  [[nodiscard]] int port() const { return server_->port(); }
  [[nodiscard]] ClientResponse get(std::string_view path, std::string_view headers = "") const {
    return response_to(port(), get_request(path, headers));
  }
  [[nodiscard]] ClientResponse post(
      std::string_view path, std::string_view body,
      std::string_view headers = "Content-Type: application/json\r\n") const {
    return response_to(port(), post_request(path, body, headers));
  }
  [[nodiscard]] ClientResponse chat(const std::string& members = "") const {
    return post("/v1/chat/completions",
                fmt::format("{{{}{}{}}}", kHi, members.empty() ? "" : ",", members));
  }
  /// The data of a stream's events.
  [[nodiscard]] static std::vector<std::string> events(const std::string& body) {
    std::vector<std::string> data;
    std::string rest = body;
    while (!rest.empty()) {
      const size_t end = rest.find("\n\n");
      EXPECT_NE(end, std::string::npos) << rest;
      const std::string event = rest.substr(0, end);
      rest.erase(0, end + 2);
      if (event.starts_with("data: ")) data.push_back(event.substr(6));
    }
    return data;
  }
  /// Until /stats says that all slots are free.
  void wait_until_idle() const {
    for (int i = 0; i < 3000; ++i) {
      if (get("/stats").json().at("busy_workers") == 0) return;
      std::this_thread::sleep_for(10ms);
    }
    FAIL() << "a slot stays busy";
  }
  /// Until /metrics has this line.
  void wait_for_metric(const std::string& line) const {
    for (int i = 0; i < 3000; ++i) {
      if (get("/metrics").body.find("\n" + line + "\n") != std::string::npos) return;
      std::this_thread::sleep_for(10ms);
    }
    FAIL() << line << " does not come to be";
  }
  [[nodiscard]] double metric(const std::string& name) const {
    const std::string text = get("/metrics").body;
    const size_t found = text.find(fmt::format("\n{} ", name));
    EXPECT_NE(found, std::string::npos) << name << " in " << text;
    return std::stod(text.substr(found + name.size() + 2));
  }
  [[nodiscard]] std::string log_text() const {
    std::ifstream file(folder_ / "access.log");
    return {std::istreambuf_iterator<char>(file), {}};
  }

  test::TemporaryFolder folder_;
  Metrics metrics_;
  std::unique_ptr<Tokenizer> tokenizer_;
  std::unique_ptr<Gpt> model_;
  std::unique_ptr<Engine> engine_;
  std::unique_ptr<EngineWorker> worker_;
  std::unique_ptr<ModelService> service_;
  std::unique_ptr<RunsFolder> runs_;
  std::unique_ptr<AccessLog> log_;
  std::unique_ptr<Site> site_;
  std::unique_ptr<Server> server_;
  std::atomic<bool> stop_ = false;
  bool drained_ = false;
  std::jthread thread_;
};

}  // namespace nanochat::serve
