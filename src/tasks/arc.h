/// ARC (Clark et al. 2018, arXiv:1803.05457): science questions of school exams.
#pragma once

#include "tasks/task_request.h"

namespace nanochat {

/// ARC-Easy or ARC-Challenge, by the request's name. Rows: question, choices {text, label},
/// answerKey.
[[nodiscard]] TaskPtr make_arc(const TaskRequest& request);

}  // namespace nanochat
