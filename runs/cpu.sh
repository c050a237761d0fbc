#!/usr/bin/env bash
# Real text on a CPU: a depth 6 model, for hours.
#
#   runs/cpu.sh --dry-run     the stages, with times
#   runs/cpu.sh               all of them; started again, it goes on where it was stopped
#
# All flags are those of nanochat speedrun.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
"$root/run" build
exec "$root/build/release/src/nanochat" speedrun --preset cpu "$@"
