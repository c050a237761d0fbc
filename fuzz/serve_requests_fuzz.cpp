/// Any body is a request that makes sense, or is refused with a status of 400 or 422. The first
/// byte chooses whose.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "core/error.h"
#include "serve/api_error.h"
#include "serve/json_fields.h"
#include "serve/messages.h"
#include "serve/model_api.h"
#include "serve/openai_request.h"
#include "serve/upstream_api.h"
#include "tokenizer/conversation.h"

namespace {

using namespace nanochat::serve;

void check(const GenerationParams& p) {
  NC_CHECK(p.n >= 1 && p.n <= kMaxChoices);
  NC_CHECK(std::ssize(p.stop_strings) <= kMaxStops);
  for (const std::string& stop : p.stop_strings) NC_CHECK(!stop.empty());
  p.sampling.validate();  // what passes here passes the engine
  NC_CHECK(!p.max_tokens || *p.max_tokens >= 0);
}

void read(uint8_t which, std::string_view body) {
  const GenerationDefaults defaults;
  switch (which % 4) {
    case 0: {
      const ChatRequest request = parse_chat_request(parse_body(body), defaults);
      check(request.params);
      NC_CHECK(nanochat::conversation_problem(in_turns(request.messages)).empty());
      break;
    }
    case 1: {
      const CompletionRequest request = parse_completion_request(parse_body(body));
      check(request.params);
      NC_CHECK(!request.prompts.empty());
      break;
    }
    case 2: {
      const UpstreamRequest request = parse_upstream_request(body, defaults);
      NC_CHECK(!request.messages.empty() && request.max_tokens >= 1 && request.top_k >= 1);
      break;
    }
    default: {
      const NextRequest request = parse_next_request(parse_body(body));
      NC_CHECK(request.position >= -1 && request.position < std::ssize(request.ids));
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  try {
    read(data[0], {reinterpret_cast<const char*>(data) + 1, size - 1});
  } catch (const ApiError& error) {
    NC_CHECK(error.status() == 400);
    static_cast<void>(error_response(error));
  } catch (const UpstreamRefusal& refusal) {
    NC_CHECK(refusal.status() == 400 || refusal.status() == 422);
    static_cast<void>(to_text(refusal.detail()));
  }
  return 0;
}
