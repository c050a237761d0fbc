"""For tests of the label peers that are written in Python: they run under the interpreter that
$NANOCHAT_PEERS_PYTHON names, as the peers tests in C++ do; without it, under the one that started them."""

import importlib.util
import os
import sys
import unittest


def need(*packages):
    """Skips the whole module where a package is missing."""
    named = os.environ.get("NANOCHAT_PEERS_PYTHON")
    if named and os.environ.get("NANOCHAT_PEERS_RUNS") != named:
        os.environ["NANOCHAT_PEERS_RUNS"] = named
        os.execv(named, [named, *sys.argv])
    missing = [p for p in packages if importlib.util.find_spec(p) is None]
    if missing:
        print(f"skipped=1: {sys.executable} has no {', '.join(missing)}: install it from PyPI, or name another interpreter in NANOCHAT_PEERS_PYTHON")
        sys.exit(0)
