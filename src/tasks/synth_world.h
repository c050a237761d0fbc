/// The synthetic world's own tasks (docs/synthetic_world.md): no data needed, only its seed.
#pragma once

#include "tasks/task_request.h"

namespace nanochat {

/// The world that `nanochat data synth` wrote into <base>/data/synth, or one of the --task-data
/// folders: its seed and language; without one, the world of seed 1 in both languages. Example i is
/// a function of these, the split and i, so that there are as many as are asked for (10,000 to
/// train with, 500 for a test); those of the test are held out as docs/synthetic_world.md says.
///
/// By the request's name:
///   World             questions of all kinds; right is what synth::is_right says
///   World-Facts, World-Arithmetic, World-Problems, World-Spelling, World-Counting   one kind each
///   World-Calculator  sums and word problems, answered with the tool and "#### n"
///   World-Chat        conversations of one to three questions, for training (no judge)
[[nodiscard]] TaskPtr make_synth_world(const TaskRequest& request);

}  // namespace nanochat
