# labels: fault
"""What is bounded and who is let in: deadlines, connections, the queue, keys, other origins, clients
that go away, and the end of the server. Deadlines are set short, and then waited for."""

import json
import select
import signal
import socket
import struct
import sys
import tempfile
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
from live_server import Server, chat_request, until

CHAT = "/v1/chat/completions"
SECRET = "a very private question"


def connect(server, receive_buffer=None):
    s = socket.socket()
    if receive_buffer:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    s.settimeout(60)
    s.connect(("127.0.0.1", server.port))
    return s


def post(s, path, body):
    body = json.dumps(body).encode()
    s.sendall(f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)


def count(**more):
    """A request that takes a while, by base:long."""
    return {"prompt": "1", "max_tokens": 5000, "temperature": 0, "stream": True, **more}


def reset(s):
    """The connection breaks, as when a machine is switched off."""
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    s.close()


def closed(s):
    """Whether the server has closed it; what it said before is passed over."""
    try:
        while select.select([s], [], [], 0)[0]:
            if not s.recv(65536):
                return True
    except ConnectionResetError:
        return True
    return False


def read_all(s):
    data = b""
    try:
        while part := s.recv(65536):
            data += part
    except ConnectionResetError:
        pass
    return data


def idle(server):
    stats = server.get_json("/stats")
    return stats["busy_workers"] == 0


class DeadlineTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server("--idle-timeout", 1, "--timeout", 1)
        cls.addClassCleanup(cls.server.close)
        cls.expected = cls.hello()

    @classmethod
    def hello(cls):
        return cls.server.post_json(CHAT, chat_request("Hello"))["choices"][0]["message"]["content"]

    def drip(self, s, data):
        """Sends a byte now and then, until the server has had enough."""
        for byte in data:
            if closed(s):
                return
            try:
                s.sendall(bytes([byte]))
            except (BrokenPipeError, ConnectionResetError):
                return
            time.sleep(0.05)
        self.fail("all of it was taken")

    def test_a_header_that_never_ends_is_cut_off(self):
        with connect(self.server) as s:
            self.drip(s, b"GET /health HTTP/1.1\r\nHost: localhost\r\n" + b"X: y\r\n" * 500)
        self.assertEqual(self.hello(), self.expected)

    def test_a_body_that_never_ends_is_cut_off(self):
        for framing, body in ((b"Content-Length: 4000\r\n\r\n", b" " * 4000), (b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n" * 800)):
            with connect(self.server) as s:
                s.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n" + framing)
                self.drip(s, body)
        self.assertEqual(self.hello(), self.expected)

    def test_many_slow_clients_do_not_keep_others_waiting(self):
        slow = [connect(self.server) for _ in range(100)]
        for i, s in enumerate(slow):
            s.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: local"[: 5 + i % 40])
        self.assertEqual(self.hello(), self.expected)
        for s in slow:
            until(lambda: closed(s), "a slow client is cut off")
            s.close()
        self.assertEqual(self.hello(), self.expected)

    def test_a_connection_without_a_request_is_closed(self):
        with connect(self.server) as s:
            until(lambda: closed(s), "an idle connection is closed")
        with connect(self.server) as s:
            s.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
            until(lambda: closed(s), "it is closed after a request too")

    def test_who_does_not_read_is_cut_off(self):
        with connect(self.server, receive_buffer=4096) as s:
            request = b"GET /vendor/katex.js HTTP/1.1\r\nHost: localhost\r\n\r\n"
            s.sendall(request * 40)
            until(lambda: self.server.metric("nanochat_connections") <= 1, "who does not read is cut off")
            self.assertLess(len(read_all(s)), 40 * 100_000)
        self.assertEqual(self.hello(), self.expected)

    def test_who_has_asked_and_shuts_its_side_is_answered(self):
        with connect(self.server) as s:
            s.sendall(b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\n\r\n")
            s.shutdown(socket.SHUT_WR)
            self.assertIn(b"200 OK", read_all(s))

    def test_who_reads_slowly_but_reads_has_everything(self):
        with connect(self.server, receive_buffer=65536) as s:
            s.sendall(b"GET /vendor/katex.js HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            data = b""
            while part := s.recv(4096):
                data += part
                time.sleep(0.02)
        head, _, body = data.partition(b"\r\n\r\n")
        self.assertIn(f"content-length: {len(body)}".encode(), head.lower())


class SlowReaderTest(unittest.TestCase):
    def test_a_stream_that_is_not_read_is_dropped(self):
        with Server("--timeout", 1, model="base:long") as server:
            with connect(server, receive_buffer=4096) as s:
                # Some 10 MB: more than the system keeps for a client that does not read.
                post(s, CHAT, chat_request("1", stream=True, logprobs=True, top_logprobs=20, n=4, max_tokens=1500))
                until(lambda: not idle(server), "it runs")
                until(lambda: idle(server), "its slots are free")
                data = read_all(s)
            self.assertIn(b"200 OK", data[:100])
            self.assertNotIn(b"data: [DONE]", data)
            self.assertLess(server.metric("nanochat_generated_tokens_total"), 6000)
            server.post_json(CHAT, chat_request("1"))


class ConnectionsTest(unittest.TestCase):
    def test_connections_are_bounded(self):
        with Server("--max-connections", 8) as server:
            held = [connect(server) for _ in range(8)]
            until(lambda: self.refused(server), "no more than eight")
            for s in held:
                s.close()
            until(lambda: not self.refused(server), "there is room again")

    def refused(self, server):
        try:
            return server.request("GET", "/health", timeout=10)[0] == 503
        except (ConnectionError, OSError):
            return True


class BusyTest(unittest.TestCase):
    """One slot, one place in the queue, and a model that takes its time."""

    @classmethod
    def setUpClass(cls):
        cls.server = Server("--slots", 1, "--queue", 1, model="base:long")
        cls.addClassCleanup(cls.server.close)

    def setUp(self):
        until(lambda: idle(self.server), "the slot is free")

    def begin(self):
        s = connect(self.server)
        post(s, "/v1/completions", count())
        self.assertIn(b"200 OK", s.recv(4096, socket.MSG_PEEK))
        return s

    def wait_in_queue(self):
        s = connect(self.server)
        post(s, "/v1/completions", count(max_tokens=1, stream=False))
        until(lambda: self.server.metric("nanochat_engine_waiting") == 1, "one waits")
        return s

    def test_a_full_queue_says_when_to_come_again(self):
        running, waiting = self.begin(), self.wait_in_queue()
        for path, body in (("/v1/completions", count()), ("/v1/completions", count(stream=False)), (CHAT, chat_request("x")),
                           ("/chat/completions", {"messages": [{"role": "user", "content": "x"}]})):
            status, headers, answer = self.server.request("POST", path, body)
            self.assertEqual(status, 429, path)
            self.assertGreaterEqual(int(headers["retry-after"]), 1)
            if path.startswith("/v1"):
                self.assertIn("error", json.loads(answer))
        self.assertEqual(self.server.request("GET", "/health")[0], 200)  # what needs no slot is answered
        running.close()
        self.assertIn(b"200 OK", waiting.recv(65536))
        waiting.close()

    def test_a_client_that_goes_away_frees_its_slot(self):
        for leave in (reset, socket.socket.close):
            leave(self.begin())
            # Were the slot still taken, hundreds of tokens would have to pass first.
            before = self.server.metric("nanochat_generated_tokens_total")
            self.server.post_json("/v1/completions", count(max_tokens=1, stream=False))
            self.assertLess(self.server.metric("nanochat_generated_tokens_total") - before, 200)

    def test_a_client_that_does_not_stream_is_missed_too(self):
        s = connect(self.server)
        post(s, "/v1/completions", count(stream=False))
        until(lambda: not idle(self.server), "it runs")
        reset(s)
        before = self.server.metric("nanochat_generated_tokens_total")
        self.server.post_json("/v1/completions", count(max_tokens=1, stream=False))
        self.assertLess(self.server.metric("nanochat_generated_tokens_total") - before, 200)

    def test_who_goes_away_while_waiting_makes_room(self):
        running, waiting = self.begin(), self.wait_in_queue()
        reset(waiting)
        until(lambda: self.server.metric("nanochat_engine_waiting") == 0, "its place is free")
        self.wait_in_queue().close()
        running.close()

    def test_a_broken_request_beside_a_stream_does_not_touch_it(self):
        alone = read_stream(self.begin())
        s = self.begin()
        for bad in (b"GARBAGE\r\n\r\n", b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\n{{{{{"):
            with connect(self.server) as other:
                other.sendall(bad)
                other.recv(4096)
        with connect(self.server) as other:
            post(other, "/v1/completions", {"prompt": "1", "max_tokens": -5})
            self.assertIn(b" 400 ", other.recv(4096))
        self.assertEqual(read_stream(s), alone)


def read_stream(s):
    """The text of a stream of completions; raises AssertionError when it breaks off."""
    data = b""
    while b"data: [DONE]" not in data:
        part = s.recv(65536)
        assert part, "the stream broke off"
        data += part
    s.close()
    events = [json.loads(line[6:]) for line in data.decode().splitlines() if line.startswith("data: {")]
    return "".join(e["choices"][0]["text"] for e in events if e["choices"])


class KeyTest(unittest.TestCase):
    KEY = "sk-0123456789abcdef"
    CLOSED = [("GET", "/v1/models", None), ("POST", CHAT, chat_request("Hello")), ("POST", "/v1/completions", {"prompt": "x", "max_tokens": 1}),
              ("POST", "/chat/completions", {"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 1}), ("GET", "/api/runs", None),
              ("POST", "/api/tokenize", {"text": "x"}), ("POST", "/api/next", {"ids": [5], "position": 0, "top": 1}),
              ("GET", "/api/runs/base/long/metrics?from=0", None)]
    OPEN = ["/", "/app.js", "/health", "/api/info"]

    def check(self, server):
        for method, path, body in self.CLOSED:
            for wrong in (None, "", "Bearer", "Bearer ", f"Bearer {self.KEY[:-1]}", f"Bearer {self.KEY}x", f"Bearer  x{self.KEY}", f"Bearer {self.KEY.upper()}",
                          f"Basic {self.KEY}", self.KEY, "Bearer " + "x" * 8000, "Bearer \xff\xfe", f"Bearer {self.KEY}, Bearer {self.KEY}"):
                with self.subTest(path=path, wrong=wrong):
                    status, _, answer = server.request(method, path, body, **({} if wrong is None else {"Authorization": wrong}))
                    self.assertEqual(status, 401)
                    self.assertNotIn(self.KEY.encode(), answer)
                    if not path.startswith("/chat"):
                        self.assertEqual(json.loads(answer)["error"]["code"], "invalid_api_key")
            status = server.request(method, path, body, Authorization=f"Bearer {self.KEY}")[0]
            self.assertEqual(status, 200, path)
        for path in self.OPEN:
            self.assertEqual(server.request("GET", path)[0], 200, path)
        self.assertTrue(server.get_json("/api/info")["needs_key"])
        self.assertNotIn(self.KEY, server.logged())

    def test_without_the_key_nothing_is_answered(self):
        with Server("--api-key", self.KEY) as server:
            self.check(server)

    def test_a_key_may_stand_in_a_file_that_no_list_of_processes_shows(self):
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "key")
            file.write_text(self.KEY + "\n")
            with Server("--api-key-file", file) as server:
                self.check(server)
                self.assertNotIn(self.KEY.encode(), Path(f"/proc/{server.process.pid}/cmdline").read_bytes())

    def test_a_body_is_not_read_for_who_has_no_key(self):
        with Server("--api-key", self.KEY) as server, connect(server) as s:
            s.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 500000\r\n\r\n")
            self.assertIn(b" 401 ", s.recv(4096).splitlines()[0] + b" ")


class CorsTest(unittest.TestCase):
    ORIGIN = "https://app.example"

    @classmethod
    def setUpClass(cls):
        cls.server = Server("--cors-origin", cls.ORIGIN, "--api-key", "sk-x")
        cls.addClassCleanup(cls.server.close)

    def allowed(self, method, path, origin, body=None, **headers):
        status, seen, _ = self.server.request(method, path, body, Origin=origin, **headers)
        return status, seen.get("access-control-allow-origin"), seen

    def test_the_named_origin_may_ask(self):
        status, origin, headers = self.allowed("OPTIONS", CHAT, self.ORIGIN, Access_Control_Request_Method="POST",
                                               Access_Control_Request_Headers="authorization,content-type")
        self.assertIn(status, (200, 204))  # a preflight has no key
        self.assertEqual(origin, self.ORIGIN)
        self.assertIn("POST", headers["access-control-allow-methods"])
        for name in ("authorization", "content-type"):
            self.assertIn(name, headers["access-control-allow-headers"].lower())
        self.assertIn("origin", headers["vary"].lower())
        key = {"Authorization": "Bearer sk-x"}
        for body in (chat_request("Hello"), chat_request("Hello", stream=True), {"wrong": 1}):
            self.assertEqual(self.allowed("POST", CHAT, self.ORIGIN, body, **key)[1], self.ORIGIN)
        self.assertEqual(self.allowed("GET", "/v1/models", self.ORIGIN)[:2], (401, self.ORIGIN))  # so that the page can say why

    def test_no_other_origin_may(self):
        for origin in ("https://app.example.evil.example", "http://app.example", "https://app.example:8443", "null", "https://app.exampl", "*", ""):
            for method in ("OPTIONS", "GET"):
                _, allowed, headers = self.allowed(method, "/v1/models", origin, Access_Control_Request_Method="GET", Authorization="Bearer sk-x")
                self.assertIsNone(allowed, origin)
                self.assertNotIn("access-control-allow-credentials", headers)


class LogTest(unittest.TestCase):
    def test_every_request_is_a_line_without_what_was_said(self):
        with Server() as server:
            server.post_json(CHAT, chat_request(SECRET))
            server.request("GET", "/nothing?key=value%0aX")
            server.request("POST", CHAT, b'{"broken', Content_Type="application/json")
            until(lambda: "/nothing" in server.logged(), "it is in the log")
            log = server.logged()
            self.assertNotIn(SECRET, log)
            self.assertIn(CHAT, log)
            lines = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
            self.assertEqual([line["status"] for line in lines if "status" in line], [200, 404, 400])


class EndTest(unittest.TestCase):
    def test_sigterm_lets_answers_end_and_takes_no_more(self):
        with Server("--slots", 2, model="base:long") as server:
            s = connect(server)
            post(s, "/v1/completions", count(max_tokens=200))
            first = s.recv(4096)
            self.assertIn(b"200 OK", first)
            server.process.send_signal(signal.SIGTERM)
            until(lambda: self.refused(server), "no more connections are taken")
            rest = read_all(s)
            self.assertIn(b"data: [DONE]", rest)
            self.assertEqual(server.process.wait(60), 0)

    def test_an_idle_connection_does_not_hold_up_the_end(self):
        with Server() as server:
            with connect(server):
                self.assertEqual(server.stop(), 0)

    def test_a_drain_has_an_end(self):
        with Server("--drain-seconds", 0.2, model="base:long") as server:
            s = connect(server)
            post(s, "/v1/completions", count())
            s.recv(4096)
            self.assertEqual(server.stop(), 143)
            self.assertNotIn(b"[DONE]", read_all(s)[-100:])

    def refused(self, server):
        try:
            with connect(server):
                return False
        except ConnectionRefusedError:
            return True


if __name__ == "__main__":
    unittest.main()
