#!/usr/bin/env bash
# A small model of Chinese, in a base folder of its own. On your own text: --data my/texts
#
#   runs/chinese.sh --dry-run     the stages, with times
#   runs/chinese.sh               all of them; started again, it goes on where it was stopped
#
# All flags are those of nanochat speedrun.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
export NANOCHAT_BASE_DIR=${NANOCHAT_BASE_DIR:-$HOME/.cache/nanochat-chinese}
"$root/run" build
exec "$root/build/release/src/nanochat" speedrun --preset chinese "$@"
