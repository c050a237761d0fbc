#include "cli/eval_output.h"

#include <cctype>
#include <chrono>
#include <cmath>

#include <fmt/format.h>

#include "cli/text_io.h"
#include "core/log.h"

namespace nanochat::cli {

EvalOutput::EvalOutput(const CommonOptions& common, const std::string& records) : common_(common) {
  if (!records.empty()) records_ = std::make_unique<AtomicFile>(records);
}

void EvalOutput::start(const std::string& task, int64_t total, const char* unit) {
  progress_.reset();
  progress_ = std::make_unique<Progress>(Progress::Options{
      .label = task, .unit = unit, .total = total, .plain_every = std::chrono::minutes(1)});
}

void EvalOutput::update(int64_t done, int64_t correct) {
  if (!progress_) return;
  const double share = 100 * static_cast<double>(correct) / static_cast<double>(done);
  progress_->update(done, fmt::format("{:.2f}% right", share));
}

void EvalOutput::finish(const EvalScore& score) {
  progress_.reset();
  const std::string line =
      fmt::format("{:<32} {:>18}  centred {:>7}  {:>6} examples  {:>7.1f} s", score.task,
                  with_error(score.accuracy(), score.standard_error()),
                  score.centered() ? fmt::format("{:+.4f}", *score.centered()) : "-", score.total,
                  score.seconds);
  if (common_.json) return log_info("{}", line);
  print_bytes(line + "\n");
  flush_stdout();
}

void EvalOutput::record(const nlohmann::ordered_json& record) {
  if (!records_) return;
  records_->write(record.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n");
}

void EvalOutput::commit_records() {
  if (records_) records_->commit();
}

nlohmann::ordered_json json_or_null(std::optional<double> x) {
  if (!x || !std::isfinite(*x)) return nullptr;
  return *x;
}

std::string with_error(std::optional<double> x, std::optional<double> error) {
  if (!x || !error) return "-";
  return fmt::format("{:.4f} +- {:.4f}", *x, *error);
}

std::string file_name_of(const std::string& model) {
  std::string name;
  for (const char c : model) {
    const bool plain = std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '.';
    if (plain) {
      name += c;
    } else if (!name.empty() && name.back() != '-') {
      name += '-';
    }
  }
  return name;
}

}  // namespace nanochat::cli
