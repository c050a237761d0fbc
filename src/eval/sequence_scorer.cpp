#include "eval/sequence_scorer.h"

#include <algorithm>
#include <utility>

#include "core/error.h"
#include "core/parallel.h"
#include "engine/engine.h"

namespace nanochat {
namespace {

/// A shorter common beginning is computed again: waiting for it would make the batches smaller.
constexpr int64_t kMinShared = 16;

/// Logits that exist at a time, in bytes: 128 rows of a vocabulary of 65536.
constexpr int64_t kLogitsBytes = int64_t{32} << 20;

int64_t common_prefix(std::span<const int32_t> a, std::span<const int32_t> b) {
  return std::ranges::mismatch(a, b).in1 - a.begin();
}

}  // namespace

SequenceScorer::SequenceScorer(Gpt& model, ScorerOptions options)
    : model_(model),
      options_(std::move(options)),
      cache_dtype_(cache_dtype_of(model)),
      arena_(model.backend().reserve_addresses()),
      tape_(model.backend(), arena_) {
  if (options_.slots < 1 || options_.batch_tokens < 1) {
    throw UsageError("{} sequences and {} tokens at a time: expected 1 or more of both",
                     options_.slots, options_.batch_tokens);
  }
}

void SequenceScorer::run(std::span<const ScoreRequest> requests, const LogitsReader& read) {
  plan(requests);
  make_room();
  const RecordingScope off(tape_, false);
  while (oldest_ < jobs_.size()) {
    start_jobs();
    step(read);
    while (oldest_ < jobs_.size() && jobs_[oldest_].done()) ++oldest_;
    if (options_.on_step) options_.on_step();
  }
}

/// Makes the jobs. Of sequences in the order of their tokens, each has the longest beginning in
/// common with the one before it.
void SequenceScorer::plan(std::span<const ScoreRequest> requests) {
  jobs_.clear();
  oldest_ = 0;
  const int64_t limit = model_.config().max_positions();
  for (size_t i = 0; i < requests.size(); ++i) {
    const ScoreRequest& r = requests[i];
    NC_CHECK(0 <= r.first && r.first <= r.end && r.end <= std::ssize(r.tokens), "[{}, {}) of {}",
             r.first, r.end, r.tokens.size());
    if (r.first == r.end) continue;
    if (r.end > limit) {
      throw UsageError("a text of {} tokens: this model knows {} positions", r.end, limit);
    }
    jobs_.push_back(
        {.tokens = r.tokens.first(static_cast<size_t>(r.end)), .first = r.first, .request = i});
    stats_.tokens += r.end;
  }
  if (!options_.reuse_prefixes) return;
  std::ranges::stable_sort(
      jobs_, [](auto a, auto b) { return std::ranges::lexicographical_compare(a, b); },
      &Job::tokens);
  for (size_t i = 1; i < jobs_.size(); ++i) {
    // What is wanted is computed: its hidden state is in no cache.
    const int64_t n = std::min(common_prefix(jobs_[i - 1].tokens, jobs_[i].tokens), jobs_[i].first);
    jobs_[i].shared = n >= kMinShared ? n : 0;
  }
}

/// Caches for the longest job, kept from call to call while they will do.
void SequenceScorer::make_room() {
  if (jobs_.empty()) return;
  const GptConfig& config = model_.config();
  int64_t longest = 0;
  for (const Job& job : jobs_) longest = std::max(longest, std::ssize(job.tokens));
  const int64_t slot_bytes = 2 * config.n_layer * model_.cache_rows(longest, {}) *
                             config.n_kv_head * config.head_dim() * size_of(cache_dtype_);
  const int64_t slots = std::clamp<int64_t>(options_.max_cache_bytes / slot_bytes, 1,
                                            std::min(options_.slots, std::ssize(jobs_)));
  if (longest > capacity_ || slots > n_slots_) {
    caches_.clear();  // before the new ones are made
    capacity_ = longest;
    caches_ = model_.make_caches(slots, capacity_, cache_dtype_);
  }
  n_slots_ = slots;
}

size_t SequenceScorer::window_end() const {
  return std::min(jobs_.size(), oldest_ + static_cast<size_t>(n_slots_));
}

/// Begins those jobs of the window whose beginning is there. The slot of job i was that of job
/// i - n_slots, which is done; and its successor, which may have wanted what is in the slot, has
/// been begun by then, since the window is gone through in order.
void SequenceScorer::start_jobs() {
  const auto n_slots = static_cast<size_t>(n_slots_);
  for (size_t i = oldest_; i < window_end(); ++i) {
    Job& job = jobs_[i];
    if (job.cached >= 0) continue;
    if (job.shared > 0) {
      if (jobs_[i - 1].cached < job.shared) continue;
      // The slot may hold the beginning of the beginning already.
      const int64_t there =
          i < n_slots ? 0
                      : std::min(job.shared, common_prefix(jobs_[i - n_slots].tokens, job.tokens));
      copy_rows(static_cast<int64_t>((i - 1) % n_slots), static_cast<int64_t>(i % n_slots), there,
                job.shared);
    }
    job.cached = job.shared;
  }
}

void SequenceScorer::copy_rows(int64_t from_slot, int64_t to_slot, int64_t begin, int64_t end) {
  if (from_slot == to_slot || begin == end) return;
  for (KvCache& cache : caches_) {
    for (Tensor* const x : {&cache.k, &cache.v}) {
      const int64_t capacity = x->dim(1);
      const Tensor rows = x->view({x->dim(0) * capacity, x->dim(2)});
      Tensor copy = rows.rows(to_slot * capacity + begin, to_slot * capacity + end);
      model_.backend().copy(rows.rows(from_slot * capacity + begin, from_slot * capacity + end),
                            copy);
    }
  }
}

/// One forward pass: what the running jobs have not seen yet, the oldest first, within the budget.
void SequenceScorer::step(const LogitsReader& read) {
  std::vector<Run> batch;
  std::vector<int32_t> ids;
  std::vector<Wanted> wanted;
  for (size_t i = oldest_; i < window_end(); ++i) {
    Job& job = jobs_[i];
    if (job.cached < 0 || job.done()) continue;
    const int64_t row = std::ssize(ids);
    const int64_t n = std::min(std::ssize(job.tokens) - job.cached, options_.batch_tokens - row);
    if (n == 0) break;
    batch.push_back({.row_begin = static_cast<int32_t>(row),
                     .length = static_cast<int32_t>(n),
                     .position = static_cast<int32_t>(job.cached),
                     .slot = static_cast<int32_t>(i % static_cast<size_t>(n_slots_))});
    const auto begin = job.tokens.begin() + job.cached;
    ids.insert(ids.end(), begin, begin + n);
    for (int64_t p = std::max(job.first, job.cached); p < job.cached + n; ++p) {
      wanted.push_back({job.request, p, row + p - job.cached});
    }
    job.cached += n;
  }
  runs_.assign(batch, std::ssize(ids));
  stats_.computed += std::ssize(ids);
  ++stats_.steps;
  const Tensor id_tensor = tensor_of(std::span<const int32_t>(ids), {std::ssize(ids)});
  const Var hidden = model_.forward(tape_, id_tensor, runs_, caches_);
  const int64_t most = std::max<int64_t>(
      1, kLogitsBytes / (model_.config().vocab_size * static_cast<int64_t>(sizeof(float))));
  const std::span<const Wanted> all(wanted);
  for (int64_t begin = 0; begin < std::ssize(all); begin += most) {
    const auto n = static_cast<size_t>(std::min(most, std::ssize(all) - begin));
    read_logits(hidden.value, all.subspan(static_cast<size_t>(begin), n), read);
  }
  model_.backend().synchronize();
}

void SequenceScorer::read_logits(const Tensor& hidden, std::span<const Wanted> wanted,
                                 const LogitsReader& read) {
  const int64_t n = std::ssize(wanted), V = model_.config().vocab_size;
  Tensor picked = tape_.empty({n, hidden.dim(1)}, hidden.dtype());
  for (int64_t i = 0, end; i < n; i = end) {  // rows that follow each other in one copy
    const int64_t row = wanted[static_cast<size_t>(i)].row;
    for (end = i + 1; end < n && wanted[static_cast<size_t>(end)].row == row + end - i;) ++end;
    Tensor target = picked.rows(i, end);
    model_.backend().copy(hidden.rows(row, row + end - i), target);
  }
  Tensor logits = model_.logits(tape_, picked);
  if (logits.device().kind != DeviceKind::kCpu) {
    Tensor on_host(logits.shape(), logits.dtype());
    model_.backend().copy(logits, on_host);
    logits = on_host;
  }
  model_.backend().synchronize();
  const std::span<const float> values = std::as_const(logits).span<float>();
  parallel_items(n, [&](int64_t i, int) {
    const Wanted& w = wanted[static_cast<size_t>(i)];
    read(w.request, w.position, values.subspan(static_cast<size_t>(i * V), static_cast<size_t>(V)));
  });
}

}  // namespace nanochat
