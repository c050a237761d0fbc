#!/usr/bin/env bash
# Every stage on the synthetic world: offline, under 20 minutes on 2 cores.
#
#   runs/tiny.sh --dry-run     the stages, with times
#   runs/tiny.sh               all of them; started again, it goes on where it was stopped
#
# All flags are those of nanochat speedrun.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
"$root/run" build
exec "$root/build/release/src/nanochat" speedrun --preset tiny "$@"
