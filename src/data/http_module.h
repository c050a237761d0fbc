/// The functions of the HTTP module, for the files around it.
#pragma once

#include <memory>

#include "data/http/module.h"

namespace nanochat {

/// Both load the module with the first call, and throw UsageError when that is impossible.
/// Thread-safe.
[[nodiscard]] std::unique_ptr<HttpClient> make_http_client();
[[nodiscard]] std::unique_ptr<Sha256> make_sha256();

}  // namespace nanochat
