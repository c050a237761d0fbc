#include "report/report.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "support/temporary_folder.h"

namespace nanochat {
namespace {

using Json = nlohmann::ordered_json;

Json task(double accuracy, int64_t examples, double baseline = 0) {
  return {{"accuracy", accuracy}, {"examples", examples}, {"baseline", baseline}};
}

Section section(std::string name, Json results, double seconds = 60) {
  return {.name = std::move(name),
          .model = "base:d2@10",
          .started = 1'700'000'000,
          .finished = 1'700'000'060,
          .seconds = seconds,
          .results = std::move(results)};
}

Report all_stages() {
  Report report{.generated = 1'700'000'000, .system = {{"cpu_model", "a|b"}}};
  report.sections = {
      section("base-model-training", {{"val_bpb", 0.8125}, {"tokens", 11'200'000'000}}, 3600 * 3),
      section("base-model-evaluation",
              {{"core_metric", 0.2219},
               {"core_metric_error", 0.098},
               {"tasks", {{"copa", task(0.6, 100, 0.5)}}}},
              600),
      section("chat-evaluation-mid",
              {{"tasks", {{"GSM8K", task(0.25, 400)}, {"ARC-Easy", task(0.375, 2376, 0.25)}}},
               {"chatcore", 0.19},
               {"chatcore_error", 0.01264},
               {"chatcore_tasks", {"GSM8K", "ARC-Easy"}}}),
      section("chat-evaluation-rl", {{"tasks", {{"GSM8K", task(0.5, 100)}}}}, 51),
  };
  return report;
}

/// How many columns each line of a table has must be the same.
void expect_tables(const std::string& markdown) {
  size_t begin = 0, columns = 0;
  while (begin < markdown.size()) {
    const size_t end = std::min(markdown.find('\n', begin), markdown.size());
    const std::string line = markdown.substr(begin, end - begin);
    begin = end + 1;
    size_t bars = 0;
    for (size_t i = 0; i < line.size(); ++i) {
      bars += line[i] == '|' && (i == 0 || line[i - 1] != '\\') ? 1 : 0;
    }
    if (!line.starts_with('|')) {
      columns = 0;
      continue;
    }
    EXPECT_TRUE(columns == 0 || bars == columns) << line;
    columns = bars;
  }
}

TEST(Summary, HasCoreFirstChatCoreLastAndTasksByNameBetween) {
  std::vector<std::string> metrics;
  const std::vector<SummaryRow> rows = summary_of(all_stages().sections);
  for (const SummaryRow& row : rows) metrics.push_back(row.metric);
  EXPECT_EQ(metrics, (std::vector<std::string>{"CORE", "ARC-Easy", "GSM8K", "ChatCORE"}));
  EXPECT_DOUBLE_EQ(rows[0].cells[0]->value, 0.2219);
  EXPECT_EQ(rows[0].cells[0]->standard_error, 0.098);
  EXPECT_FALSE(rows[0].cells[1].has_value());
  EXPECT_DOUBLE_EQ(rows[2].cells[1]->value, 0.25);
  EXPECT_DOUBLE_EQ(rows[2].cells[3]->value, 0.5);
  EXPECT_EQ(rows[2].cells[3]->examples, 100);
  EXPECT_FALSE(rows[2].cells[2].has_value());
}

TEST(Markdown, EndsWithTheTableOfStagesAndTheTimeThatAllTook) {
  const std::string text = report_markdown(all_stages());
  const std::string expected =
      "## Summary\n\n"
      "| Metric          | Examples | BASE           | MID            | SFT            | RL       "
      "      |\n"
      "|-----------------|---------:|----------------|----------------|----------------|----------"
      "------|\n"
      "| CORE            |          | 0.2219 ±0.0980 | -              | -              | -        "
      "      |\n"
      "| ARC-Easy        |     2376 | -              | 0.3750 ±0.0099 | -              | -        "
      "      |\n"
      "| GSM8K           |  400/100 | -              | 0.2500 ±0.0217 | -              | 0.5000 "
      "±0.0500 |\n"
      "| ChatCORE        |          | -              | 0.1900 ±0.0126 | -              | -        "
      "      |\n"
      "\n± is the standard error over the examples.\n\n"
      "Total wall clock time: 3h11m\n";
  ASSERT_NE(text.find("## Summary"), std::string::npos);
  EXPECT_EQ(text.substr(text.find("## Summary")), expected);
  expect_tables(text);
}

TEST(Markdown, HasEachSectionOnceInOrderWithItsNumbers) {
  const std::string text = report_markdown(all_stages());
  size_t at = 0;
  for (const char* part :
       {"# nanochat report", "## Environment", "- cpu_model: a\\|b", "## Base model training",
        "- val_bpb: 0.8125", "- tokens: 11,200,000,000", "## Base model evaluation", "| copa |",
        "## Chat evaluation mid", "## Chat evaluation rl", "## Summary"}) {
    const size_t found = text.find(part, at);
    ASSERT_NE(found, std::string::npos) << part << "\n" << text;
    at = found;
  }
}

TEST(Markdown, WhatModelsWriteStaysInItsFenceAndItsCell) {
  Report report{.system = Json::object()};
  report.sections = {section("base-model-loss", {{"samples", {"```\n# not a title\n<script>"}},
                                                 {"note", "<script>alert(1)</script>"},
                                                 {"rows", {{{"name", "a|b\nc"}, {"n", 1}}}}})};
  const std::string text = report_markdown(report);
  EXPECT_NE(text.find("\n````\n```\n# not a title\n<script>\n````\n"), std::string::npos) << text;
  EXPECT_NE(text.find("- note: &lt;script>alert(1)&lt;/script>\n"), std::string::npos) << text;
  EXPECT_NE(text.find("| a\\|b c | 1 |"), std::string::npos) << text;
  expect_tables(text);
}

TEST(Markdown, OfAnEmptyFolderSaysSo) {
  const test::TemporaryFolder folder;
  const Report report = gather_report(folder.path(), Json::object());
  EXPECT_NE(report_markdown(report).find("Total wall clock time: unknown"), std::string::npos);
  EXPECT_NE(report_html(report).find("</html>"), std::string::npos);
}

TEST(WallTime, CountsAllProcessesOfATrainingThatWasResumed) {
  Report report = all_stages();
  const double before = wall_seconds(report);
  report.runs.push_back(
      {.stage = "base", .tag = "d2", .curves = {}, .samples = {}, .active_seconds = 3600 * 4});
  report.runs.push_back(
      {.stage = "base", .tag = "d22", .curves = {}, .samples = {}, .active_seconds = 3600 * 9});
  EXPECT_EQ(wall_seconds(report), before + 3600);
}

size_t count(const std::string& text, std::string_view part) {
  size_t n = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++n;
  return n;
}

/// The JSON that the page draws.
Json data_in(const std::string& html) {
  const std::string begin = "<script type=\"application/json\" id=\"data\">";
  const size_t at = html.find(begin) + begin.size();
  return Json::parse(html.substr(at, html.find("</script>", at) - at));
}

TEST(Html, TextOfAModelCannotLeaveTheData) {
  const std::string evil = "</script><script>alert(1)</script><!-- <img src=x onerror=alert(1)>";
  Report report = all_stages();
  report.runs.push_back({.stage = "base",
                         .tag = "d2",
                         .curves = {{"train/loss", {{0, 5.123456789}, {1, 4.0}}}},
                         .samples = {{1, Json{evil, "\xff\u4f60"}}}});
  report.problems = {evil};
  const std::string html = report_html(report);
  EXPECT_EQ(html.find("alert(1)</script>"), std::string::npos);
  EXPECT_EQ(html.find("<img"), std::string::npos);
  EXPECT_EQ(count(html, "<script"), 3U) << "the data, Chart.js and ours";
  EXPECT_EQ(count(html, "</script>"), 3U);
  const Json data = data_in(html);
  EXPECT_EQ(data["runs"][0]["samples"][0]["texts"][0], evil);
  EXPECT_EQ(data["runs"][0]["curves"]["train/loss"]["y"], (Json{5.12346, 4.0}));
  EXPECT_EQ(data["problems"][0], evil);
  EXPECT_EQ(data["summary"][0]["metric"], "CORE");
}

TEST(Html, IsOnePageThatAsksForNothing) {
  const std::string html = report_html(all_stages());
  EXPECT_TRUE(html.starts_with("<!doctype html>"));
  EXPECT_TRUE(html.ends_with("</html>\n"));
  EXPECT_EQ(count(html, "{{"), count(html.substr(html.find("Chart.js v")), "{{"))
      << "no marker is left";
  for (const char* part : {" src=", "<link", "@import", "url("}) {
    EXPECT_EQ(count(html, part), 0U) << part;
  }
  EXPECT_NE(html.find("default-src 'none'"), std::string::npos) << "and the browser is told so";
  for (const char* tag : {"html", "head", "body", "style", "main", "header"}) {
    EXPECT_EQ(count(html, std::string("</") + tag + ">"), 1U) << tag;
  }
}

}  // namespace
}  // namespace nanochat
