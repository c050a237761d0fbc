#include "cli/serve.h"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <memory>
#include <system_error>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <sys/stat.h>

#include "cli/interrupt.h"
#include "cli/text_io.h"
#include "cli/tools.h"
#include "core/error.h"
#include "core/file.h"
#include "core/log.h"
#include "core/progress.h"
#include "serve/engine_worker.h"
#include "serve/site.h"
#include "tokenizer/utf8.h"

namespace nanochat::cli {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kMaxKeyFileBytes = 4096;

/// Throws UsageError for a key that no client can send.
std::string api_key_of(const ServeOptions& options) {
  if (!options.api_key.empty() && !options.api_key_file.empty()) {
    throw UsageError("--api-key and --api-key-file: give one of them");
  }
  std::string key = options.api_key;
  if (!options.api_key_file.empty()) {
    key = read_file(options.api_key_file, kMaxKeyFileBytes);
    key.resize(std::min(key.find('\n'), key.size()));
    if (key.ends_with('\r')) key.pop_back();
    if (key.empty()) throw UsageError("{}: its first line is no key", options.api_key_file);
    struct stat status {};
    if (::stat(options.api_key_file.c_str(), &status) == 0 && (status.st_mode & S_IROTH) != 0) {
      log_warning("{}: everybody on this machine can read the key (chmod 600)",
                  options.api_key_file);
    }
  }
  if (std::ranges::any_of(key, [](char c) { return c <= ' ' || c > '~'; })) {
    throw UsageError("the API key has a space or a character beyond ASCII: clients cannot send it");
  }
  return key;
}

void check_origins(const std::vector<std::string>& origins) {
  for (const std::string& origin : origins) {
    if (origin == "*") continue;
    const size_t scheme = origin.find("://");
    const bool is_web = origin.starts_with("http://") || origin.starts_with("https://");
    if (!is_web || origin.size() == scheme + 3 ||
        origin.find_first_of("/?# ", scheme + 3) != std::string::npos) {
      throw UsageError("--cors-origin '{}': expected scheme://host or scheme://host:port, no path",
                       utf8::controls_shown(utf8::replace_invalid(origin)));
    }
  }
}

/// Nothing: there is no model, and none was asked for.
std::optional<LoadedModel> load_model_if_any(const CommonOptions& common,
                                             const ServeOptions& options) {
  if (options.model.model.empty()) {
    try {
      static_cast<void>(find_model(common.base_dir, ""));
    } catch (const NotFoundError& error) {
      if (!options.runs) throw;
      log_info("no model yet, so no chat: only training is shown");
      return {};
    }
  }
  return load_model_for_inference(common, options.model);
}

int64_t seconds_since_1970(const fs::path& checkpoint) {
  std::error_code error;
  const fs::file_time_type time = fs::last_write_time(checkpoint / "manifest.json", error);
  if (error) return 0;
  return std::chrono::duration_cast<std::chrono::seconds>(
             std::chrono::file_clock::to_sys(time).time_since_epoch())
      .count();
}

serve::ServerOptions server_options(const ServeOptions& options) {
  serve::ServerOptions server = options.server;
  server.header_timeout = server.body_timeout = server.write_timeout = options.timeout;
  if (options.max_body_bytes) server.max_body_bytes = *options.max_body_bytes;
  if (server.max_connections < 1) throw UsageError("--max-connections: expected 1 or more");
  if (server.max_body_bytes < 1) throw UsageError("--max-body: expected 1 byte or more");
  return server;
}

void warn_of_open_door(const ServeOptions& options, bool has_key) {
  if (serve::is_loopback_host(options.server.host) || has_key) return;
  log_warning(
      "--host {} without a key: everybody who reaches this machine can use the model and see the "
      "runs (--api-key-file)",
      options.server.host);
}

/// What stands between the network and a model.
struct ServedModel {
  ServedModel(LoadedModel loaded, const ServeOptions& options, EngineOptions engine_options,
              serve::Metrics& metrics)
      : model(std::move(loaded)),
        engine(*model.gpt, &model.tokenizer, engine_options),
        worker(engine, options.queue),
        service(model.found.name, seconds_since_1970(model.found.checkpoint), model.tokenizer,
                worker, metrics, static_cast<bool>(engine_options.tool), options.defaults,
                options.log_messages) {}

  LoadedModel model;
  Engine engine;
  serve::EngineWorker worker;
  serve::ModelService service;
};

EngineOptions engine_options(const ServeOptions& options) {
  EngineOptions engine{.slots = options.slots,
                       .context = options.context,
                       .max_memory_bytes = options.max_memory_bytes};
  engine.tool = tool_named(options.tools, engine.tool_is_slow);
  return engine;
}

/// Before the server goes, to which the worker sends.
class WorkerGuard {
 public:
  explicit WorkerGuard(ServedModel* served) : served_(served) {}
  ~WorkerGuard() {
    if (served_ != nullptr) served_->worker.stop();
  }
  WorkerGuard(const WorkerGuard&) = delete;
  WorkerGuard& operator=(const WorkerGuard&) = delete;

 private:
  ServedModel* served_;
};

void describe(const ServedModel& served, const ServeOptions& options) {
  const EngineMemory& memory = served.engine.memory();
  log_info("{} answers at a time of {} tokens, {} wait; {} of memory", memory.slots, memory.context,
           options.queue, binary_size(static_cast<double>(memory.total())));
  if (memory.slots < options.slots) {
    log_warning("--max-memory has room for {} slots of {}", memory.slots, options.slots);
  }
  if (served.model.checkpoint.state().value("stage", "") == "base") {
    log_warning("{} is a base model: it goes on with texts and has not learnt to chat",
                served.model.found.name);
  }
}

}  // namespace

void run_serve(const CommonOptions& common, const ServeOptions& options) {
  // What can be refused is refused before the model is loaded.
  const std::string key = api_key_of(options);
  check_origins(options.cors_origins);
  const serve::ServerOptions server_settings = server_options(options);
  EngineOptions engine = engine_options(options);
  serve::AccessLog log(options.access_log);
  warn_of_open_door(options, !key.empty());

  serve::Metrics metrics;
  std::unique_ptr<ServedModel> served;
  if (std::optional<LoadedModel> model = load_model_if_any(common, options)) {
    try {
      static_cast<void>(ToolTokens(model->tokenizer));
    } catch (const NotFoundError&) {  // a tokenizer that knows of no tools: then there are none
      engine.tool = {};
    }
    served = std::make_unique<ServedModel>(std::move(*model), options, engine, metrics);
    describe(*served, options);
  }
  const fs::path runs_path = options.runs ? fs::path(*options.runs) : common.base_dir / "runs";
  serve::RunsFolder runs(runs_path);

  serve::Site site({.api_key = key,
                    .cors_origins = options.cors_origins,
                    .is_local = serve::is_loopback_host(options.server.host),
                    .version = NANOCHAT_VERSION},
                   served ? &served->service : nullptr, &runs, metrics, log);
  serve::Server server(server_settings, site);
  site.set_server(server);
  const WorkerGuard guard(served.get());
  if (served) {
    served->worker.start([&server](std::function<void()> work) { server.post(std::move(work)); });
  }
  if (common.json) {
    print_json({{"url", server.url()},
                {"model", served ? nlohmann::ordered_json(served->model.found.name)
                                 : nlohmann::ordered_json(nullptr)}});
  } else {
    print_bytes(fmt::format("{}\n", server.url()));
  }
  flush_stdout();

  const InterruptGuard interrupts;
  bool told = false;
  const bool drained = server.run([&] {
    if (!interrupts.requested()) return false;
    if (!std::exchange(told, true)) {
      log_info("ending: no new requests; answers have {} s to end (once more: at once)",
               server_settings.drain);
    }
    return true;
  });
  if (!drained) interrupts.check();
}

}  // namespace nanochat::cli
