// labels: unit fault
// Against a server of our own on 127.0.0.1 that misbehaves in every way that servers do.
#include "data/downloader.h"

#include <algorithm>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include "support/hostile_server.h"
#include "support/sha256.h"
#include "support/temporary_folder.h"

namespace nanochat {
namespace {

namespace fs = std::filesystem;
using std::chrono::milliseconds;
using test::HostileServer;
using test::SeenRequest;
using test::serve_file;
using test::serve_status;
using test::ServerConnection;
using Clock = std::chrono::steady_clock;

/// What looks like a parquet file from outside.
std::string sample_parquet(int64_t size_bytes, uint32_t seed = 1) {
  std::string bytes(static_cast<size_t>(size_bytes), '\0');
  for (char& c : bytes) {
    seed = seed * 1664525U + 1013904223U;
    c = static_cast<char>(seed >> 24);
  }
  return bytes.replace(0, 4, "PAR1").replace(bytes.size() - 4, 4, "PAR1");
}

std::string bytes_of(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

/// Notes what it is told, and stops when the test says.
class NotingObserver final : public DownloadObserver {
 public:
  void on_progress(const DownloadProgress& p) override { progress = p; }
  void on_retry(const Download&, std::string_view why, int attempt, milliseconds wait) override {
    retries.push_back(fmt::format("{}: {}", attempt, why));
    waits.push_back(wait);
  }
  void on_wait(const Download&) override { ++waiting; }
  void on_damaged(const Download&, std::string_view why) override { damaged.emplace_back(why); }
  bool keep_going() override { return !stop_when || !stop_when(); }

  DownloadProgress progress;
  std::vector<std::string> retries, damaged;
  std::vector<milliseconds> waits;
  std::atomic<int> waiting = 0;
  std::function<bool()> stop_when;
};

DownloadOptions fast_options() {
  return {.max_attempts = 3,
          .connect_timeout = milliseconds(500),
          .stall_timeout = milliseconds(300),
          .min_bytes = 1,
          .backoff = milliseconds(5),
          .max_backoff = milliseconds(20),
          .max_retry_after = milliseconds(2000)};
}

class DownloaderTest : public ::testing::Test {
 protected:
  [[nodiscard]] fs::path path(std::string_view name = "a.parquet") const { return folder_ / name; }
  [[nodiscard]] Download file(const HostileServer& server,
                              std::string_view name = "a.parquet") const {
    return {.url = server.url("/" + std::string(name)), .path = path(name)};
  }
  DownloadReport fetch(const std::vector<Download>& files,
                       const DownloadOptions& options = fast_options()) {
    return download(files, options, observer_);
  }
  [[nodiscard]] std::vector<std::string> names() const {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(folder_.path())) {
      names.push_back(entry.path().filename());
    }
    std::ranges::sort(names);
    return names;
  }
  void expect_whole(const std::string& bytes, std::string_view name = "a.parquet") const {
    EXPECT_TRUE(bytes_of(path(name)) == bytes) << fs::file_size(path(name));
  }
  /// The one file failed, with this code and these words, and nothing took its name.
  void expect_failure(const DownloadReport& report, ExitCode code, std::string_view words) const {
    ASSERT_EQ(report.failures.size(), 1U);
    EXPECT_EQ(report.failures[0].code, code);
    EXPECT_NE(report.failures[0].why.find(words), std::string::npos) << report.failures[0].why;
    EXPECT_FALSE(fs::exists(path()));
  }

  test::TemporaryFolder folder_;
  NotingObserver observer_;
};

TEST_F(DownloaderTest, WholeFilesArriveByteForByteAndNothingElseIsLeft) {
  const HostileServer server([](const ServerConnection& c, const SeenRequest& r) {
    return serve_file(c, r, sample_parquet(300'000, static_cast<uint32_t>(r.path[1])));
  });
  std::vector<Download> files;
  std::vector<std::string> expected;
  for (const char c : std::string_view("abcdefghij")) {
    expected.push_back(fmt::format("{}.parquet", c));
    files.push_back(file(server, expected.back()));
  }
  const DownloadReport report = fetch(files);
  EXPECT_EQ(report.fetched, 10);
  EXPECT_EQ(report.fetched_bytes, 3'000'000);
  EXPECT_TRUE(report.failures.empty());
  EXPECT_EQ(names(), expected);
  for (const std::string& name : expected) {
    expect_whole(sample_parquet(300'000, static_cast<uint32_t>(name[0])), name);
  }
  EXPECT_EQ(observer_.progress.bytes, 3'000'000);
  EXPECT_EQ(observer_.progress.total_bytes, 3'000'000);
}

TEST_F(DownloaderTest, WhatIsThereIsNotFetchedAgainUnlessItIsCutOff) {
  const std::string bytes = sample_parquet(5000);
  const HostileServer server(
      [&](const ServerConnection& c, const SeenRequest& r) { return serve_file(c, r, bytes); });
  folder_.write("a.parquet", bytes);
  folder_.write("b.parquet", std::string_view(bytes).substr(0, 4000));
  const DownloadReport report = fetch({file(server), file(server, "b.parquet")});
  EXPECT_EQ(report.present, 1);
  EXPECT_EQ(report.fetched, 1);
  EXPECT_EQ(server.requests().size(), 1U);
  ASSERT_EQ(observer_.damaged.size(), 1U);
  EXPECT_NE(observer_.damaged[0].find("cut off"), std::string::npos);
  expect_whole(bytes, "b.parquet");
}

TEST_F(DownloaderTest, ADroppedConnectionGoesOnWhereItBroke) {
  const std::string bytes = sample_parquet(100'000);
  const HostileServer server([&](const ServerConnection& c, const SeenRequest& r) {
    if (r.number > 1) return serve_file(c, r, bytes);
    c.send_head("200 OK", {"ETag: \"v1\"", "Content-Length: 100000"});
    c.send(std::string_view(bytes).substr(0, 60'000));
    return false;
  });
  const DownloadReport report = fetch({file(server)});
  EXPECT_EQ(report.fetched, 1);
  expect_whole(bytes);
  EXPECT_EQ(report.fetched_bytes, 100'000) << "no byte twice";
  const auto requests = server.requests();
  ASSERT_EQ(requests.size(), 2U);
  EXPECT_EQ(requests[0].header("range"), "");
  EXPECT_EQ(requests[1].header("range"), "bytes=60000-");
  EXPECT_EQ(requests[1].header("if-range"), "\"v1\"");
  EXPECT_EQ(names(), std::vector<std::string>{"a.parquet"});
}

TEST_F(DownloaderTest, ALaterCallGoesOnToo) {
  const std::string bytes = sample_parquet(100'000);
  std::atomic<bool> broken = true;
  const HostileServer server([&](const ServerConnection& c, const SeenRequest& r) {
    if (!broken) return serve_file(c, r, bytes);
    c.send_head("200 OK", {"ETag: \"v1\"", "Content-Length: 100000"});
    c.send(std::string_view(bytes).substr(0, 60'000));
    return false;
  });
  DownloadOptions options = fast_options();
  options.max_attempts = 1;
  const DownloadReport first = fetch({file(server)}, options);
  expect_failure(first, ExitCode::kIo, "run the same command again");
  EXPECT_EQ(names(), (std::vector<std::string>{"a.parquet.part", "a.parquet.part.info"}));
  broken = false;
  const DownloadReport second = fetch({file(server)}, options);
  EXPECT_EQ(second.fetched, 1);
  EXPECT_EQ(second.fetched_bytes, 40'000);
  expect_whole(bytes);
  EXPECT_EQ(names(), std::vector<std::string>{"a.parquet"});
}

TEST_F(DownloaderTest, AConnectionThatBreaksOftenButBringsEnoughIsNotGivenUp) {
  const std::string bytes = sample_parquet(1'000'000);
  const HostileServer server([&](const ServerConnection& c, const SeenRequest& r) {
    const int64_t begin = r.range_begin();
    c.send_head(begin > 0 ? "206 Partial Content" : "200 OK",
                {"ETag: \"v1\"", fmt::format("Content-Length: {}", 1'000'000 - begin),
                 fmt::format("Content-Range: bytes {}-999999/1000000", begin)});
    c.send(std::string_view(bytes).substr(static_cast<size_t>(begin), 100'000));
    return false;
  });
  DownloadOptions options = fast_options();
  options.max_attempts = 2;
  options.min_progress_bytes = 50'000;
  EXPECT_EQ(fetch({file(server)}, options).fetched, 1);
  EXPECT_EQ(server.requests().size(), 10U);
  expect_whole(bytes);
}

TEST_F(DownloaderTest, AServerThatIgnoresRangesBeginsAgain) {
  const std::string bytes = sample_parquet(100'000);
  const HostileServer server([&](const ServerConnection& c, const SeenRequest& r) {
    c.send_head("200 OK", {"ETag: \"v1\"", "Content-Length: 100000"});
    c.send(std::string_view(bytes).substr(0, r.number == 1 ? 60'000 : 100'000));
    return false;
  });
  const DownloadReport report = fetch({file(server)});
  EXPECT_EQ(report.fetched, 1);
  EXPECT_EQ(report.fetched_bytes, 160'000);
  expect_whole(bytes);
}

TEST_F(DownloaderTest, ContentThatChangesBetweenTriesIsNeverMixed) {
  const std::string old_bytes = sample_parquet(100'000, 1);
  const std::string new_bytes = sample_parquet(90'000, 2);
  for (const bool ignores_if_range : {false, true}) {
    SCOPED_TRACE(ignores_if_range);
    const HostileServer server([&](const ServerConnection& c, const SeenRequest& r) {
      if (r.number == 1) {
        c.send_head("200 OK", {"ETag: \"v1\"", "Content-Length: 100000"});
        c.send(std::string_view(old_bytes).substr(0, 60'000));
        return false;
      }
      SeenRequest seen = r;
      if (ignores_if_range) seen.headers.erase("if-range");
      return serve_file(c, seen, new_bytes, "\"v2\"");
    });
    EXPECT_EQ(fetch({file(server)}).fetched, 1);
    expect_whole(new_bytes);
    fs::remove(path());
  }
}

TEST_F(DownloaderTest, AWeakETagIsNotEnoughToGoOn) {
  const std::string bytes = sample_parquet(100'000);
  const HostileServer server([&](const ServerConnection& c, const SeenRequest& r) {
    if (r.number > 1) return serve_file(c, r, bytes);
    c.send_head("200 OK", {"ETag: W/\"v1\"", "Content-Length: 100000"});
    c.send(std::string_view(bytes).substr(0, 60'000));
    return false;
  });
  EXPECT_EQ(fetch({file(server)}).fetched, 1);
  EXPECT_EQ(server.requests()[1].header("range"), "");
  expect_whole(bytes);
}

TEST_F(DownloaderTest, ALengthThatIsTooLongIsNeverTakenForAWholeFile) {
  const std::string bytes = sample_parquet(10'000);
  const HostileServer server([&](const ServerConnection& c, const SeenRequest& r) {
    const int64_t begin = r.range_begin();
    c.send_head(begin > 0 ? "206 Partial Content" : "200 OK",
                {"ETag: \"v1\"", fmt::format("Content-Length: {}", 11'000 - begin),
                 fmt::format("Content-Range: bytes {}-10999/11000", begin)});
    c.send(std::string_view(bytes).substr(static_cast<size_t>(begin)));
    return false;
  });
  expect_failure(fetch({file(server)}), ExitCode::kIo, "after 3 attempts");
}

TEST_F(DownloaderTest, ALengthThatIsTooShortIsNoticedAtTheEndOfTheParquet) {
  const std::string bytes = sample_parquet(10'000);
  const HostileServer server([&](const ServerConnection& c, const SeenRequest&) {
    c.send_head("200 OK", {"ETag: \"v1\"", "Content-Length: 9000"});
    c.send(bytes);
    return false;
  });
  expect_failure(fetch({file(server)}), ExitCode::kBadData, "cut off");
  EXPECT_TRUE(names().empty());
}

TEST_F(DownloaderTest, AnAnswerWithoutAnyLengthIsReadToItsEnd) {
  const std::string bytes = sample_parquet(50'000);
  for (const size_t size : {bytes.size(), bytes.size() - 1}) {
    const HostileServer server([&](const ServerConnection& c, const SeenRequest&) {
      c.send("HTTP/1.0 200 OK\r\n\r\n");
      c.send(std::string_view(bytes).substr(0, size));
      return false;
    });
    const DownloadReport report = fetch({file(server)});
    if (size == bytes.size()) {
      EXPECT_EQ(report.fetched, 1);
      expect_whole(bytes);
      fs::remove(path());
    } else {
      expect_failure(report, ExitCode::kBadData, "cut off");
    }
  }
}

TEST_F(DownloaderTest, ChunkedAnswersAreReadAndTheirBreakingOffIsNoticed) {
  const std::string bytes = sample_parquet(50'000);
  const HostileServer server([&](const ServerConnection& c, const SeenRequest& r) {
    c.send_head("200 OK", {"ETag: \"v1\"", "Transfer-Encoding: chunked"});
    const std::string_view first = std::string_view(bytes).substr(0, 30'000);
    c.send(fmt::format("{:x}\r\n{}\r\n", first.size(), first));
    if (r.number == 1) return false;
    c.send(fmt::format("{:x}\r\n{}\r\n0\r\n\r\n", 20'000, bytes.substr(30'000)));
    return true;
  });
  EXPECT_EQ(fetch({file(server)}).fetched, 1);
  EXPECT_EQ(observer_.retries.size(), 1U);
  expect_whole(bytes);
}

TEST_F(DownloaderTest, PatienceIsGrantedAsTheServerAsks) {
  const std::string bytes = sample_parquet(1000);
  const HostileServer server([&](const ServerConnection& c, const SeenRequest& r) {
    if (r.number == 1) return serve_status(c, "429 Too Many Requests", {"Retry-After: 1"});
    if (r.number == 2) return serve_status(c, "503 Service Unavailable", {"Retry-After: 0"});
    return serve_file(c, r, bytes);
  });
  const auto start = Clock::now();
  EXPECT_EQ(fetch({file(server)}).fetched, 1);
  EXPECT_GE(Clock::now() - start, milliseconds(1000));
  ASSERT_EQ(observer_.waits.size(), 2U);
  EXPECT_EQ(observer_.waits[0], milliseconds(1000));
  EXPECT_LE(observer_.waits[1], milliseconds(20));
  EXPECT_NE(observer_.retries[0].find("HTTP 429"), std::string::npos);
  EXPECT_NE(observer_.retries[1].find("HTTP 503"), std::string::npos);
}

TEST_F(DownloaderTest, PatienceHasALimit) {
  const HostileServer server([](const ServerConnection& c, const SeenRequest&) {
    return serve_status(c, "503 Service Unavailable", {"Retry-After: 86400"});
  });
  DownloadOptions options = fast_options();
  options.max_retry_after = milliseconds(50);
  const auto start = Clock::now();
  expect_failure(fetch({file(server)}, options), ExitCode::kIo, "HTTP 503");
  EXPECT_LT(Clock::now() - start, milliseconds(2000));
}

TEST_F(DownloaderTest, AStalledConnectionIsGivenUpAndResumed) {
  const std::string bytes = sample_parquet(100'000);
  const HostileServer server([&](const ServerConnection& c, const SeenRequest& r) {
    if (r.number > 1) return serve_file(c, r, bytes);
    c.send_head("200 OK", {"ETag: \"v1\"", "Content-Length: 100000"});
    c.send(std::string_view(bytes).substr(0, 60'000));
    c.stall(milliseconds(20'000));
    return false;
  });
  const auto start = Clock::now();
  EXPECT_EQ(fetch({file(server)}).fetched, 1);
  EXPECT_LT(Clock::now() - start, milliseconds(5000));
  EXPECT_NE(observer_.retries.at(0).find("stalled"), std::string::npos);
  EXPECT_EQ(server.requests().at(1).header("range"), "bytes=60000-");
  expect_whole(bytes);
}

TEST_F(DownloaderTest, ATrickleIsAStallToo) {
  const std::string bytes = sample_parquet(100'000);
  const HostileServer server([&](const ServerConnection& c, const SeenRequest& r) {
    if (r.number > 1) return serve_file(c, r, bytes);
    c.send_head("200 OK", {"ETag: \"v1\"", "Content-Length: 100000"});
    for (int i = 0; i < 100; ++i) {
      c.send("x");
      c.stall(milliseconds(50));
    }
    return false;
  });
  DownloadOptions options = fast_options();
  options.min_bytes = 1000;
  const auto start = Clock::now();
  static_cast<void>(fetch({file(server)}, options));
  EXPECT_LT(Clock::now() - start, milliseconds(4000));
  EXPECT_NE(observer_.retries.at(0).find("stalled"), std::string::npos);
}

TEST_F(DownloaderTest, ASilentServerIsGivenUp) {
  const HostileServer server([](const ServerConnection& c, const SeenRequest&) {
    c.stall(milliseconds(20'000));
    return false;
  });
  DownloadOptions options = fast_options();
  options.connect_timeout = milliseconds(100);
  options.max_attempts = 2;
  const auto start = Clock::now();
  expect_failure(fetch({file(server)}, options), ExitCode::kIo, "stalled");
  EXPECT_LT(Clock::now() - start, milliseconds(4000));
}

TEST_F(DownloaderTest, RedirectsAreFollowedWithinALimit) {
  const std::string bytes = sample_parquet(1000);
  const HostileServer server([&](const ServerConnection& c, const SeenRequest& r) {
    if (r.path == "/a.parquet") return serve_status(c, "302 Found", {"Location: /b"});
    if (r.path == "/b") return serve_status(c, "307 Temporary Redirect", {"Location: /c"});
    if (r.path == "/c") return serve_file(c, r, bytes);
    return serve_status(c, "302 Found", {"Location: /circle.parquet"});
  });
  EXPECT_EQ(fetch({file(server)}).fetched, 1);
  expect_whole(bytes);
  const DownloadReport report = fetch({file(server, "circle.parquet")});
  ASSERT_EQ(report.failures.size(), 1U);
  EXPECT_NE(report.failures[0].why.find("circle.parquet"), std::string::npos);
  EXPECT_TRUE(observer_.retries.empty()) << "another attempt would go the same way";
}

TEST_F(DownloaderTest, ARedirectToAFileOfThisMachineIsRefused) {
  const HostileServer server([](const ServerConnection& c, const SeenRequest&) {
    return serve_status(c, "302 Found", {"Location: file:///etc/passwd"});
  });
  Download passwords = file(server, "words.txt");
  const DownloadReport report = fetch({passwords});
  EXPECT_EQ(report.failures.size(), 1U);
  EXPECT_TRUE(names().empty());
}

TEST_F(DownloaderTest, AMissingFileIsNamedAndStopsNoOther) {
  const std::string bytes = sample_parquet(1000);
  const HostileServer server([&](const ServerConnection& c, const SeenRequest& r) {
    if (r.path == "/a.parquet") return serve_status(c, "404 Not Found");
    return serve_file(c, r, bytes);
  });
  const DownloadReport report = fetch({file(server), file(server, "b.parquet")});
  EXPECT_EQ(report.fetched, 1);
  expect_failure(report, ExitCode::kNotFound, server.url("/a.parquet"));
  EXPECT_TRUE(observer_.retries.empty());
  EXPECT_EQ(names(), std::vector<std::string>{"b.parquet"});
}

TEST_F(DownloaderTest, AWebPageIsNotTheFile) {
  const HostileServer server([](const ServerConnection& c, const SeenRequest&) {
    c.send_head("200 OK", {"Content-Type: text/html; charset=utf-8", "Content-Length: 6"});
    c.send("<html>");
    return false;
  });
  const DownloadReport report = fetch({file(server, "words.txt")});
  ASSERT_EQ(report.failures.size(), 1U);
  EXPECT_NE(report.failures[0].why.find("web page"), std::string::npos);
  EXPECT_TRUE(names().empty());
}

TEST_F(DownloaderTest, AKnownHashIsChecked) {
  const std::string bytes = sample_parquet(50'000);
  const HostileServer server([&](const ServerConnection& c, const SeenRequest& r) {
    std::string sent = bytes;
    if (r.number == 1) sent[20'000] = static_cast<char>(sent[20'000] ^ 1);  // one bit
    return serve_file(c, r, sent);
  });
  Download known = file(server);
  known.sha256 = test::sha256(bytes);
  EXPECT_EQ(fetch({known}).fetched, 1);
  ASSERT_EQ(observer_.retries.size(), 1U);
  EXPECT_NE(observer_.retries[0].find("SHA-256"), std::string::npos);
  expect_whole(bytes);
}

TEST_F(DownloaderTest, TheHashThatTheHubTellsBeforeItRedirectsIsChecked) {
  const std::string bytes = sample_parquet(50'000);
  std::string sent = bytes;
  const HostileServer server([&](const ServerConnection& c, const SeenRequest& r) {
    if (r.path == "/elsewhere") return serve_file(c, r, sent);
    return serve_status(
        c, "302 Found",
        {"Location: /elsewhere", fmt::format("X-Linked-ETag: \"{}\"", test::sha256(bytes)),
         "X-Linked-Size: 50000"});
  });
  EXPECT_EQ(fetch({file(server)}).fetched, 1);
  fs::remove(path());
  sent[20'000] = static_cast<char>(sent[20'000] ^ 1);
  expect_failure(fetch({file(server)}), ExitCode::kBadData, "SHA-256");
}

TEST_F(DownloaderTest, AKnownLengthIsChecked) {
  const HostileServer server([](const ServerConnection& c, const SeenRequest& r) {
    return serve_file(c, r, sample_parquet(1000));
  });
  Download known = file(server);
  known.size_bytes = 1001;
  expect_failure(fetch({known}), ExitCode::kBadData, "1000 bytes where 1001 are expected");
}

TEST_F(DownloaderTest, APartThatIsWholeNeedsNoByteMore) {
  const std::string bytes = sample_parquet(1000);
  const HostileServer server(
      [&](const ServerConnection& c, const SeenRequest& r) { return serve_file(c, r, bytes); });
  folder_.write("a.parquet.part", bytes);  // a process died just before it renamed
  folder_.write("a.parquet.part.info",
                fmt::format(R"({{"url":"{}","validator":"\"v1\"","total_bytes":1000,"sha256":""}})",
                            server.url("/a.parquet")));
  const DownloadReport report = fetch({file(server)});
  EXPECT_EQ(report.fetched, 1);
  EXPECT_EQ(report.fetched_bytes, 0);
  expect_whole(bytes);
}

TEST_F(DownloaderTest, APartOfAnotherAddressOrWithDamagedInfoIsNotGoneOnFrom) {
  const std::string bytes = sample_parquet(1000);
  const HostileServer server(
      [&](const ServerConnection& c, const SeenRequest& r) { return serve_file(c, r, bytes); });
  const std::string elsewhere =
      R"({"url":"http://127.0.0.1/other","validator":"\"v1\"","total_bytes":1000,"sha256":""})";
  for (const std::string& info : {elsewhere, std::string("{"), std::string()}) {
    folder_.write("a.parquet.part", std::string(500, 'x'));
    folder_.write("a.parquet.part.info", info);
    EXPECT_EQ(fetch({file(server)}).fetched, 1);
    expect_whole(bytes);
    fs::remove(path());
  }
}

TEST_F(DownloaderTest, StoppedItKeepsWhatCame) {
  const std::string bytes = sample_parquet(100'000);
  std::atomic<bool> slow = true;
  const HostileServer server([&](const ServerConnection& c, const SeenRequest& r) {
    if (!slow) return serve_file(c, r, bytes);
    c.send_head("200 OK", {"ETag: \"v1\"", "Content-Length: 100000"});
    c.send(std::string_view(bytes).substr(0, 60'000));
    c.stall(milliseconds(20'000));
    return false;
  });
  DownloadOptions options = fast_options();
  options.stall_timeout = milliseconds(20'000);
  observer_.stop_when = [&] { return observer_.progress.bytes >= 60'000; };
  const DownloadReport stopped = fetch({file(server)}, options);
  EXPECT_TRUE(stopped.stopped);
  EXPECT_EQ(stopped.fetched, 0);
  EXPECT_TRUE(stopped.failures.empty());
  slow = false;
  observer_.stop_when = nullptr;
  EXPECT_EQ(fetch({file(server)}).fetched_bytes, 40'000);
  expect_whole(bytes);
}

TEST_F(DownloaderTest, TwoWhoFetchTheSameFileFetchItOnce) {
  const std::string bytes = sample_parquet(100'000);
  const HostileServer server([&](const ServerConnection& c, const SeenRequest& r) {
    c.stall(milliseconds(200));
    return serve_file(c, r, bytes);
  });
  NotingObserver other;
  DownloadReport theirs;
  {
    const std::jthread thread(
        [&] { theirs = download(std::vector{file(server)}, fast_options(), other); });
    const DownloadReport ours = fetch({file(server)});
    EXPECT_TRUE(ours.failures.empty());
    EXPECT_EQ(ours.fetched + ours.present, 1);
  }
  EXPECT_EQ(theirs.fetched + theirs.present, 1);
  EXPECT_EQ(server.requests().size(), 1U);
  EXPECT_EQ(observer_.waiting + other.waiting, 1);
  expect_whole(bytes);
  EXPECT_EQ(names(), std::vector<std::string>{"a.parquet"});
}

TEST_F(DownloaderTest, AFullDiskStopsAllAndLosesNothing) {
  const std::string bytes = sample_parquet(100'000);
  const HostileServer server(
      [&](const ServerConnection& c, const SeenRequest& r) { return serve_file(c, r, bytes); });
  std::vector<Download> files;
  for (int i = 0; i < 20; ++i) files.push_back(file(server, fmt::format("{}.parquet", i)));
  DownloadOptions options = fast_options();
  options.jobs = 1;
  struct rlimit old {};
  ::getrlimit(RLIMIT_FSIZE, &old);
  const auto old_handler = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit small{50'000, old.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  const DownloadReport report = fetch(files, options);
  ::setrlimit(RLIMIT_FSIZE, &old);
  std::signal(SIGXFSZ, old_handler);
  ASSERT_EQ(report.failures.size(), 1U);
  EXPECT_EQ(report.failures[0].code, ExitCode::kIo);
  EXPECT_NE(report.failures[0].why.find("0.parquet.part: cannot write"), std::string::npos)
      << report.failures[0].why;
  EXPECT_EQ(report.not_tried, 19);
  EXPECT_EQ(fetch({files[0]}, options).fetched_bytes, 50'000);
  expect_whole(bytes, "0.parquet");
}

TEST_F(DownloaderTest, WhenNobodyAnswersTheRestIsNotTried) {
  std::string nobody;
  {
    const HostileServer gone([](const ServerConnection&, const SeenRequest&) { return false; });
    nobody = gone.url("/a.parquet");
  }
  std::vector<Download> files;
  for (int i = 0; i < 50; ++i) {
    files.push_back({.url = nobody, .path = path(fmt::format("{}.parquet", i))});
  }
  DownloadOptions options = fast_options();
  options.max_failures_in_a_row = 3;
  const DownloadReport report = fetch(files, options);
  EXPECT_GE(report.failures.size(), 3U);
  EXPECT_LE(report.failures.size(), 7U);
  EXPECT_EQ(report.not_tried + std::ssize(report.failures), 50);
  EXPECT_EQ(report.failures[0].code, ExitCode::kIo);
}

TEST_F(DownloaderTest, AnAddressThatIsNoneIsRefusedAtOnce) {
  const DownloadReport report = fetch({{.url = "gopher://127.0.0.1/a", .path = path()}});
  expect_failure(report, ExitCode::kIo, "gopher");
  EXPECT_TRUE(observer_.retries.empty());
}

TEST_F(DownloaderTest, SmallTextsAreFetchedWithTheSameAttempts) {
  const HostileServer server([](const ServerConnection& c, const SeenRequest& r) {
    if (r.path == "/missing") return serve_status(c, "404 Not Found");
    if (r.number == 1) return serve_status(c, "502 Bad Gateway");
    return serve_file(c, r, "[1, 2]");
  });
  EXPECT_EQ(download_text(server.url("/list"), 100, fast_options(), observer_), "[1, 2]");
  EXPECT_THROW(static_cast<void>(download_text(server.url("/list"), 3, fast_options(), observer_)),
               DataError);
  EXPECT_THROW(
      static_cast<void>(download_text(server.url("/missing"), 9, fast_options(), observer_)),
      NotFoundError);
}

TEST(RetryWaitTest, GrowsByTwoUpToItsLimitAndIsNeverShorterThanTheServerAsks) {
  const DownloadOptions options{.backoff = milliseconds(1000),
                                .max_backoff = milliseconds(60'000),
                                .max_retry_after = milliseconds(120'000)};
  const auto wait = [&](int attempt, int asked, double random) {
    return retry_wait(options, attempt, std::chrono::seconds(asked), random).count();
  };
  EXPECT_EQ(wait(2, 0, 0.5), 500);
  EXPECT_EQ(wait(3, 0, 0.5), 1000);
  EXPECT_EQ(wait(6, 0, 0.5), 8000);
  EXPECT_EQ(wait(20, 0, 0.5), 30'000);
  EXPECT_EQ(wait(2, 0, 0), 0);
  EXPECT_EQ(wait(2, 7, 0.5), 7000);
  EXPECT_EQ(wait(6, 7, 0.5), 8000);
  EXPECT_EQ(wait(2, 3600, 0), 120'000);
}

}  // namespace
}  // namespace nanochat
