#include "cli/interrupt.h"

#include <atomic>

namespace nanochat::cli {
namespace {

std::atomic<int> caught_signal = 0;
static_assert(std::atomic<int>::is_always_lock_free, "a signal handler writes it");

void remember(int signal) { caught_signal = signal; }

}  // namespace

InterruptGuard::InterruptGuard() {
  caught_signal = 0;
  struct sigaction action {};
  action.sa_handler = remember;
  action.sa_flags = SA_RESTART | SA_RESETHAND;
  ::sigemptyset(&action.sa_mask);
  ::sigaction(SIGINT, &action, &old_interrupt_);
  ::sigaction(SIGTERM, &action, &old_terminate_);
}

InterruptGuard::~InterruptGuard() {
  ::sigaction(SIGINT, &old_interrupt_, nullptr);
  ::sigaction(SIGTERM, &old_terminate_, nullptr);
}

int InterruptGuard::signal() const noexcept { return caught_signal; }

bool InterruptGuard::requested() const noexcept { return caught_signal != 0; }

void InterruptGuard::check() const {
  if (const int signal = caught_signal; signal != 0) throw Interrupted(signal);
}

}  // namespace nanochat::cli
