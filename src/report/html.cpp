#include <cstdlib>
#include <string>
#include <string_view>

#include <fmt/format.h>

#include "core/error.h"
#include "report/report.h"

// The files of src/report/page and Chart.js, put into the program by CMake (nanochat_embed).
extern "C" {
extern const char nanochat_page_html[], nanochat_page_css[], nanochat_page_js[];
extern const char nanochat_chart_js[];
extern const char nanochat_page_html_end[], nanochat_page_css_end[], nanochat_page_js_end[];
extern const char nanochat_chart_js_end[];
}

namespace nanochat {
namespace {

using Json = nlohmann::ordered_json;

/// As a script of type application/json may hold it: no text can end the script, because no < is
/// left in it.
std::string for_script(const Json& json) {
  std::string out;
  for (const char c : json.dump(-1, ' ', false, Json::error_handler_t::replace)) {
    if (c == '<') {
      out += "\\u003c";
    } else {
      out += c;
    }
  }
  return out;
}

/// Six digits: more cannot be seen, and the page is kept small.
double rounded(double x) { return std::strtod(fmt::format("{:.6g}", x).c_str(), nullptr); }

Json to_json(const RunHistory& run) {
  Json curves = Json::object();
  for (const auto& [key, curve] : run.curves) {
    Json x = Json::array(), y = Json::array();
    for (const auto& [step, value] : curve) {
      x.push_back(step);
      y.push_back(rounded(value));
    }
    curves[key] = {{"x", std::move(x)}, {"y", std::move(y)}};
  }
  Json samples = Json::array();
  for (const auto& [step, texts] : run.samples) {
    samples.push_back({{"step", step}, {"texts", texts}});
  }
  return {{"stage", run.stage},          {"tag", run.tag},
          {"last_step", run.last_step},  {"active_seconds", run.active_seconds},
          {"curves", std::move(curves)}, {"samples", std::move(samples)}};
}

Json to_json(const Section& section) {
  return {{"name", section.name},
          {"title", find_section_info(section.name)->title},
          {"stage", find_section_info(section.name)->stage},
          {"model", section.model},
          {"started", iso_time(section.started)},
          {"finished", iso_time(section.finished)},
          {"seconds", section.seconds},
          {"settings", section.settings},
          {"results", section.results}};
}

Json to_json(const SummaryRow& row) {
  Json cells = Json::array();
  for (const auto& cell : row.cells) {
    Json json;
    if (cell) {
      json = {{"value", cell->value},
              {"error", cell->standard_error ? Json(*cell->standard_error) : Json()},
              {"examples", cell->examples}};
    }
    cells.push_back(std::move(json));
  }
  return {{"metric", row.metric}, {"cells", std::move(cells)}};
}

template <typename T>
Json array_of(const std::vector<T>& items) {
  Json array = Json::array();
  for (const T& item : items) array.push_back(to_json(item));
  return array;
}

Json data_of(const Report& report) {
  return {{"generated", iso_time(report.generated)},
          {"system", report.system},
          {"wall_seconds", wall_seconds(report)},
          {"summary", array_of(summary_of(report.sections))},
          {"sections", array_of(report.sections)},
          {"runs", array_of(report.runs)},
          {"problems", report.problems}};
}

/// The text with {{name}} replaced; what is put in is not looked at again.
void put(std::string& out, std::string_view& rest, std::string_view name, std::string_view value) {
  const std::string marker = fmt::format("{{{{{}}}}}", name);
  const size_t at = rest.find(marker);
  NC_CHECK(at != std::string_view::npos, "page.html: no {} where it is expected", marker);
  out += rest.substr(0, at);
  out += value;
  rest.remove_prefix(at + marker.size());
}

}  // namespace

std::string report_html(const Report& report) {
  std::string_view rest(nanochat_page_html, nanochat_page_html_end);
  std::string out;
  put(out, rest, "css", {nanochat_page_css, nanochat_page_css_end});
  put(out, rest, "data", for_script(data_of(report)));
  put(out, rest, "chart", {nanochat_chart_js, nanochat_chart_js_end});
  put(out, rest, "page", {nanochat_page_js, nanochat_page_js_end});
  out += rest;
  return out;
}

}  // namespace nanochat
