#!/usr/bin/env bash
# Upstream's $1000 tier: a depth 32 model, about 33 hours of one node with 8 H100s.
#
#   runs/run1000.sh --dry-run     the stages, with times
#   runs/run1000.sh               all of them; started again, it goes on where it was stopped
#
# All flags are those of nanochat speedrun.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
"$root/run" build
exec "$root/build/release/src/nanochat" speedrun --preset d32 "$@"
