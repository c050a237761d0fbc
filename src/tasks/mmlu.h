/// MMLU (Hendrycks et al. 2020, arXiv:2009.03300): questions on 57 subjects.
#pragma once

#include "tasks/task_request.h"

namespace nanochat {

/// Rows: question, choices (four), answer (0 to 3), subject. auxiliary_train, the questions for
/// training, also in its older form, where a row is {"train": {...}}.
[[nodiscard]] TaskPtr make_mmlu(const TaskRequest& request);

}  // namespace nanochat
