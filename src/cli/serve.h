/// nanochat serve: the page and the APIs.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cli/commands.h"
#include "cli/loaded_model.h"
#include "serve/openai_request.h"
#include "serve/server.h"

namespace nanochat::cli {

struct ServeOptions {
  InferenceOptions model{};
  int64_t slots = 8;    ///< answers at a time
  int64_t context = 0;  ///< 0: the model's sequence_len
  std::optional<int64_t> max_memory_bytes{};
  std::string tools = "calculator";
  serve::GenerationDefaults defaults{};

  serve::ServerOptions server{};
  double timeout = 30;  ///< of the server's header, body and write timeouts
  std::optional<int64_t> max_body_bytes{};
  int64_t queue = 64;  ///< requests that wait for a slot

  std::optional<std::string> runs{};  ///< none: the base folder's
  std::string api_key{}, api_key_file{};
  std::vector<std::string> cors_origins{};
  std::string access_log{};  ///< empty: stderr
  bool log_messages = false;
};

/// Serves until SIGINT or SIGTERM. Then answers that are being written may end, for
/// --drain-seconds; a second signal ends the process at once. Returns when all came to their end;
/// else throws Interrupted (docs/serving.md).
void run_serve(const CommonOptions& common, const ServeOptions& options);

}  // namespace nanochat::cli
