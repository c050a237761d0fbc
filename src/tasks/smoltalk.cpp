#include "tasks/smoltalk.h"

#include "tasks/custom_json.h"
#include "tasks/row_task.h"

namespace nanochat {
namespace {

class SmolTalkTask final : public RowTask {
 public:
  using RowTask::RowTask;

  TaskExample example(int64_t i) const override {
    const TaskRow r = row(i);
    return {.conversation = parse_training_conversation(r.json, r.place)};
  }
};

}  // namespace

TaskPtr make_smoltalk(const TaskRequest& request) {
  const TaskSplit split{"smol-smoltalk",
                        "HuggingFaceTB/smol-smoltalk",
                        {"default/" + request.split, "data/" + request.split, request.split}};
  return std::make_shared<SmolTalkTask>(request.name,
                                        open_split(request.name, request.data, split));
}

}  // namespace nanochat
