/// GSM8K (Cobbe et al. 2021, arXiv:2110.14168): grade school mathematics in words.
#pragma once

#include <string_view>
#include <vector>

#include "tasks/task_request.h"

namespace nanochat {

/// Rows: question, answer.
[[nodiscard]] TaskPtr make_gsm8k(const TaskRequest& request);

/// An answer with calculations, "12/60 = $<<12/60=0.2>>0.2", as uses of the tool: what stands in
/// << >> up to the last "=" is what python is asked, the rest what it says. Texts between
/// calculations may be empty.
[[nodiscard]] std::vector<MessagePart> gsm8k_parts(std::string_view answer);

}  // namespace nanochat
