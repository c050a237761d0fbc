# labels: e2e
"""A small part of bench/serve_load.py: nothing is lost or mixed up when many ask at a time."""

import asyncio
import sys
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests/support"), str(ROOT / "bench")]
from live_server import Server
from serve_load import hold_idle, many_requests, many_streams


class LoadTest(unittest.TestCase):
    def test_streams_beyond_the_slots_wait_and_say_what_they_say_alone(self):
        with Server("--slots", 8, "--queue", 100) as server:
            asyncio.run(many_streams(server.port, 80, 24))

    def test_streams_of_one_length_take_about_as_long(self):
        with Server("--slots", 48) as server:
            self.assertLess(asyncio.run(many_streams(server.port, 48, 32)), 3)

    def test_idle_connections_are_held_while_one_chats(self):
        with Server() as server:
            asyncio.run(hold_idle(server, 300))

    def test_requests_of_all_kinds_leave_nothing_behind(self):
        with Server() as server:
            rss = asyncio.run(many_requests(server, 1600, points=4))
            self.assertLess(rss[-1] - rss[1], 8 << 20)
            self.assertEqual(server.get_json("/stats")["busy_workers"], 0)


if __name__ == "__main__":
    unittest.main()
