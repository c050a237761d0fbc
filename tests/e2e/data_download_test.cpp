// labels: e2e
#include <algorithm>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "support/hostile_server.h"
#include "support/program.h"
#include "support/temporary_folder.h"
#include "support/zip_file.h"

namespace nanochat {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using test::file_bytes;
using test::HostileServer;
using test::ProgramResult;
using test::RunningProgram;
using test::SeenRequest;
using test::serve_file;
using test::serve_status;
using test::ServerConnection;
using Words = std::vector<std::string>;

std::string parquet_like(std::string_view name) { return fmt::format("PAR1 {:>20000} PAR1", name); }

class DataDownloadTest : public ::testing::Test {
 protected:
  [[nodiscard]] Words words(Words words) const {
    words.insert(words.begin(), "data");
    words.insert(words.end(), {"--base-dir", (folder_ / "base").string()});
    return words;
  }
  [[nodiscard]] ProgramResult data(Words arguments) const {
    return test::run_program(words(std::move(arguments)));
  }
  [[nodiscard]] fs::path here(std::string_view name) const {
    return folder_.path() / "base" / "data" / name;
  }

  test::TemporaryFolder folder_;
};

TEST_F(DataDownloadTest, ShardsGoWhereTrainingLooksForThemWithTheLastForValidation) {
  const HostileServer server([](const ServerConnection& c, const SeenRequest& r) {
    return serve_file(c, r, parquet_like(r.path));
  });
  const Words command{"download",   "climbmix-400b",  "-n",    "2",
                      "--base-url", server.url("/m"), "--json"};
  const ProgramResult result = data(command);
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const json report = json::parse(result.out);
  EXPECT_EQ(report["files"], 3);
  EXPECT_EQ(report["fetched_files"], 3);
  for (const char* name : {"shard_00000.parquet", "shard_00001.parquet", "shard_06542.parquet"}) {
    EXPECT_TRUE(file_bytes(here("climbmix-400b") / name) ==
                parquet_like(fmt::format("/m/{}", name)));
  }
  const json again = json::parse(data(command).out);
  EXPECT_EQ(again["fetched_files"], 0);
  EXPECT_EQ(again["fetched_bytes"], 0);

  const json list = json::parse(data({"list", "--json"}).out);
  for (const json& dataset : list["datasets"]) {
    if (dataset["name"] == "climbmix-400b") {
      EXPECT_EQ(dataset["here"], 3);
    }
  }
}

TEST_F(DataDownloadTest, TaskDataComesFromTheHubThatTheEnvironmentNames) {
  const HostileServer server([](const ServerConnection& c, const SeenRequest& r) {
    if (r.path.ends_with(".parquet")) return serve_file(c, r, parquet_like(r.path));
    return serve_file(c, r, R"(["https://huggingface.co/whatever/0.parquet"])");
  });
  ::setenv("HF_ENDPOINT", server.url().c_str(), 1);
  const ProgramResult result = data({"download", "gsm8k"});
  ::unsetenv("HF_ENDPOINT");
  ASSERT_EQ(result.exit_code, 0) << result.err;
  for (const char* split : {"main/train", "main/test"}) {
    EXPECT_TRUE(
        file_bytes(here("gsm8k") / split / "00000.parquet") ==
        parquet_like(fmt::format("/api/datasets/openai/gsm8k/parquet/{}/0.parquet", split)));
  }
}

TEST_F(DataDownloadTest, AMissingFileIsOneLineAndExitCode4) {
  const HostileServer server([](const ServerConnection& c, const SeenRequest&) {
    return serve_status(c, "404 Not Found");
  });
  const ProgramResult result = data({"download", "words", "--base-url", server.url()});
  EXPECT_EQ(result.exit_code, 4);
  EXPECT_EQ(result.err, fmt::format("error: {}: the server has no such file (HTTP 404): check the "
                                    "address\n",
                                    server.url("/words_alpha.txt")));
}

TEST_F(DataDownloadTest, AllFailuresAreListedAtTheEnd) {
  const HostileServer server([](const ServerConnection& c, const SeenRequest& r) {
    if (r.path == "/shard_00001.parquet") return serve_file(c, r, parquet_like(r.path));
    return serve_status(c, "404 Not Found");
  });
  const ProgramResult result =
      data({"download", "fineweb-edu-100b", "-n", "4", "--base-url", server.url()});
  EXPECT_EQ(result.exit_code, 4);
  for (const char* name : {"shard_00000", "shard_00002", "shard_00003", "3 of 4 files"}) {
    EXPECT_NE(result.err.find(name), std::string::npos) << result.err;
  }
  EXPECT_EQ(result.err.find("shard_00001"), std::string::npos);
  EXPECT_TRUE(fs::exists(here("fineweb-edu-100b") / "shard_00001.parquet"));
}

TEST_F(DataDownloadTest, InterruptedItKeepsWhatCameAndGoesOnFromThere) {
  std::string bytes = "aback\nabacus\n";
  for (int i = 0; i < 20'000; ++i) bytes += fmt::format("word{}\n", i);
  std::atomic<bool> slow = true;
  const HostileServer server([&](const ServerConnection& c, const SeenRequest& r) {
    if (!slow) return serve_file(c, r, bytes);
    c.send_head("200 OK", {"ETag: \"v1\"", fmt::format("Content-Length: {}", bytes.size())});
    c.send(std::string_view(bytes).substr(0, 100'000));
    c.stall(std::chrono::seconds(30));
    return false;
  });
  const Words command = words({"download", "words", "--base-url", server.url()});
  const fs::path part = here("words") / "words_alpha.txt.part";
  for (const int signal : {SIGINT, SIGTERM}) {
    const size_t requests_before = server.requests().size();
    RunningProgram program(command);
    std::error_code error;
    for (int i = 0; i < 200 && (server.requests().size() == requests_before ||
                                fs::file_size(part, error) != 100'000);
         ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
    program.send(signal);
    const ProgramResult result = program.wait();
    EXPECT_EQ(result.exit_code, 128 + signal) << result.err;
    EXPECT_EQ(fs::file_size(part), 100'000U);
  }
  slow = false;
  const ProgramResult result = test::run_program(command);
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_TRUE(file_bytes(here("words") / "words_alpha.txt") == bytes);
  EXPECT_EQ(server.requests().back().header("range"), "bytes=100000-");
}

TEST_F(DataDownloadTest, AZipFileIsUnpackedBesideIt) {
  const std::string zip = (folder_ / "made.zip").string();
  test::write_zip(zip, {{"eval_bundle/core.yaml", "icl_tasks: []"}, {"else", "no"}});
  const std::string bytes = file_bytes(zip);
  const HostileServer server(
      [&](const ServerConnection& c, const SeenRequest& r) { return serve_file(c, r, bytes); });
  const Words command{"download", "core-eval-bundle", "--base-url", server.url()};
  const fs::path folder = here("core-eval-bundle") / "eval_bundle";
  const ProgramResult result = data(command);
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(file_bytes(folder / "core.yaml"), "icl_tasks: []");
  EXPECT_FALSE(fs::exists(folder / "else"));
  // A process that was killed between the two: the next one unpacks what is there.
  fs::remove_all(folder);
  ASSERT_EQ(data(command).exit_code, 0);
  EXPECT_TRUE(fs::exists(folder / "core.yaml"));
  EXPECT_EQ(server.requests().size(), 1U);
}

TEST_F(DataDownloadTest, TwoProcessesFetchEachShardOnce) {
  const HostileServer server([](const ServerConnection& c, const SeenRequest& r) {
    c.stall(std::chrono::milliseconds(50));
    return serve_file(c, r, parquet_like(r.path));
  });
  const Words command =
      words({"download", "fineweb-edu-100b", "-n", "10", "--base-url", server.url()});
  RunningProgram first(command), second(command);
  EXPECT_EQ(first.wait().exit_code, 0);
  EXPECT_EQ(second.wait().exit_code, 0);
  EXPECT_EQ(server.requests().size(), 10U);
  EXPECT_EQ(std::distance(fs::directory_iterator(here("fineweb-edu-100b")), {}), 10);
}

TEST_F(DataDownloadTest, WhatMakesNoSenseIsRefusedBeforeAnyRequest) {
  const auto expect = [&](Words arguments, int exit_code, std::string_view says) {
    const ProgramResult result = data(std::move(arguments));
    EXPECT_EQ(result.exit_code, exit_code);
    EXPECT_NE(result.err.find(says), std::string::npos) << result.err;
    EXPECT_EQ(std::ranges::count(result.err, '\n'), 1) << result.err;
  };
  expect({"download", "nothing"}, 4, "fineweb-edu-100b");
  expect({"download", "climbmix-400b"}, 2, "-n");
  expect({"download", "climbmix-400b", "-n", "7000"}, 2, "from 1 to 6542");
  expect({"download", "words", "-n", "1"}, 2, "comes whole");
  expect({"download", "words", "--jobs", "0"}, 2, "--jobs");
  expect({"download", "words", "--base-url", "ftp://127.0.0.1"}, 5, "ftp");
  folder_.write("file", "");
  expect({"download", "words", "--out", (folder_ / "file").string()}, 4, "Not a directory");
}

}  // namespace
}  // namespace nanochat
