#include "tasks/arc.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "core/error.h"
#include "tasks/multiple_choice.h"

namespace nanochat {
namespace {

class ArcTask final : public MultipleChoiceTask {
 public:
  using MultipleChoiceTask::MultipleChoiceTask;

  TaskExample example(int64_t i) const override {
    const TaskRow r = row(i);
    const TaskRow choices{r.member("choices"), r.place};
    // Mostly A to D; some questions count from 1, or have three or five choices.
    std::vector<std::string> letters = choices.texts("label");
    const std::vector<std::string> texts = choices.texts("text");
    const std::string& answer = r.text("answerKey");
    if (letters.size() != texts.size() || std::ranges::find(letters, answer) == letters.end()) {
      throw DataError("{}: {} choices, {} letters, and the answer '{}' must be one of these",
                      r.place, texts.size(), letters.size(), answer);
    }
    return {.conversation = question_and_answer(
                render_multiple_choice(r.text("question"), letters, texts), answer),
            .letters = std::move(letters)};
  }
};

}  // namespace

TaskPtr make_arc(const TaskRequest& request) {
  const TaskSplit split{"arc",
                        "allenai/ai2_arc",
                        {fmt::format("{}/{}", request.name, request.split),
                         fmt::format("{}-{}", request.name, request.split)}};
  return std::make_shared<ArcTask>(request.name, open_split(request.name, request.data, split));
}

}  // namespace nanochat
