#include "tasks/mmlu.h"

#include <utility>

#include "core/error.h"
#include "tasks/multiple_choice.h"

namespace nanochat {
namespace {

class MmluTask final : public MultipleChoiceTask {
 public:
  using MultipleChoiceTask::MultipleChoiceTask;

  TaskExample example(int64_t i) const override {
    TaskRow r = row(i);
    if (const auto wrapped = r.json.find("train");
        wrapped != r.json.end() && wrapped->is_object()) {
      r.json = nlohmann::json(*wrapped);
    }
    std::vector<std::string> letters{"A", "B", "C", "D"};
    const std::vector<std::string> choices = r.texts("choices");
    const nlohmann::json& answer = r.member("answer");
    if (choices.size() != letters.size() || !answer.is_number_integer() || answer < 0 ||
        answer > 3) {
      throw DataError("{}: {} choices and the answer {}, expected 4 and one of 0 to 3", r.place,
                      choices.size(), answer.dump());
    }
    return {.conversation =
                question_and_answer(render_multiple_choice(r.text("question"), letters, choices),
                                    letters[answer.get<size_t>()]),
            .letters = std::move(letters),
            .subject = r.text("subject")};
  }
};

}  // namespace

TaskPtr make_mmlu(const TaskRequest& request) {
  TaskSplit split{"mmlu", "cais/mmlu", {"all/" + request.split, request.split}};
  if (request.split == "auxiliary_train") split.stems.emplace_back("auxiliary_train/train");
  return std::make_shared<MmluTask>(request.name, open_split(request.name, request.data, split));
}

}  // namespace nanochat
