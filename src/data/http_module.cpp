#include "data/http_module.h"

#include "core/error.h"
#include "core/loaded_module.h"

namespace nanochat {
namespace {

constexpr const char* kModuleName = "nanochat_http.so";
constexpr const char* kUserAgent = "nanochat/" NANOCHAT_VERSION;

struct HttpModule {
  HttpClientFunction* client;
  Sha256Function* sha256;
};

HttpModule load() {
  void* const module = open_module(kModuleName, NANOCHAT_HTTP_MODULE, "downloading");
  if (module == nullptr) {
    throw UsageError("{} is not beside the program: rebuild (./run build)", kModuleName);
  }
  auto* const interface = find_function<HttpInterfaceFunction>(module, kHttpInterfaceSymbol);
  const HttpModule functions{
      .client = find_function<HttpClientFunction>(module, kHttpClientSymbol),
      .sha256 = find_function<Sha256Function>(module, kSha256Symbol),
  };
  if (interface == nullptr || interface() != kHttpModuleInterface || functions.client == nullptr ||
      functions.sha256 == nullptr) {
    throw_module_of_another_build(kModuleName);
  }
  return functions;
}

const HttpModule& http_module() {
  static const HttpModule module = load();
  return module;
}

}  // namespace

std::unique_ptr<HttpClient> make_http_client() {
  return std::unique_ptr<HttpClient>(http_module().client(kUserAgent));
}

std::unique_ptr<Sha256> make_sha256() { return std::unique_ptr<Sha256>(http_module().sha256()); }

}  // namespace nanochat
