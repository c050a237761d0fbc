#!/usr/bin/env bash
# Upstream's speedrun: a depth 20 model, about $100 of one node with 8 H100s.
#
#   runs/speedrun.sh --dry-run     the stages, with times
#   runs/speedrun.sh               all of them; started again, it goes on where it was stopped
#
# All flags are those of nanochat speedrun.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
"$root/run" build
exec "$root/build/release/src/nanochat" speedrun --preset d20 "$@"
