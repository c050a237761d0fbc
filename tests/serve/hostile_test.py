# labels: fault
"""Requests that no honest client sends. Each gets the right status or no answer at all, tells nothing,
and leaves the server as it was: an honest request afterwards is answered as before."""

import json
import random
import re
import select
import socket
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
from live_server import Server, chat_request

NOTHING = None  # the connection is closed without an answer
CHAT = "/v1/chat/completions"


class HostileTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server()
        cls.addClassCleanup(cls.server.close)
        cls.expected = cls.say_hello()

    @classmethod
    def say_hello(cls):
        return cls.server.post_json(CHAT, chat_request("Hello"))["choices"][0]["message"]["content"]

    def tearDown(self):
        self.check_well()

    def check_well(self):
        self.assertIsNone(self.server.process.poll(), self.server.logged()[-2000:])
        self.assertEqual(self.say_hello(), self.expected)

    def connect(self):
        return socket.create_connection(("127.0.0.1", self.server.port), timeout=30)

    def send(self, data, patience=10.0):
        """The whole answer to these bytes, until the server closes. After so many seconds without a
        byte we say that no more will come from us."""
        with self.connect() as s:
            try:
                s.sendall(data)
            except (BrokenPipeError, ConnectionResetError):
                pass  # it has seen enough; what it said is still there to be read
            answer = b""
            try:
                while True:
                    if not select.select([s], [], [], patience)[0]:
                        s.shutdown(socket.SHUT_WR)
                        return answer + read_all(s)
                    part = s.recv(65536)
                    answer += part
                    if not part:
                        return answer
            except OSError:  # reset
                return answer

    def expect(self, data, *allowed):
        answer = self.send(data, 0.5 if NOTHING in allowed else 10.0)
        status = status_of(answer)
        self.assertIn(status, allowed, f"{data[:300]!r} -> {answer[:300]!r}")
        if status and status >= 400:
            self.check_error(answer)
        return answer

    def check_error(self, answer):
        """Errors are JSON, of OpenAI's shape."""
        head, _, body = answer.partition(b"\r\n\r\n")
        self.assertIn(b"application/json", head.lower(), answer[:300])
        said = json.loads(body)
        if "detail" in said:  # upstream's endpoint
            return
        self.assertTrue(said["error"]["message"])
        self.assertLessEqual({"message", "type", "param", "code"}, said["error"].keys())

    def post(self, body, *allowed, headers="", kind="application/json", path=CHAT):
        body = body.encode() if isinstance(body, str) else body
        head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: {kind}\r\n{headers}"
        head += f"Content-Length: {len(body)}\r\n\r\n"
        return self.expect(head.encode("latin-1") + body, *allowed)


def read_all(s):
    data = b""
    try:
        while part := s.recv(65536):
            data += part
    except ConnectionResetError:
        pass
    return data


def status_of(answer):
    found = re.match(rb"HTTP/1\.[01] (\d{3}) ", answer)
    assert found or not answer, answer[:300]
    return int(found[1]) if found else NOTHING


def get(path, headers="Host: localhost\r\n", version="HTTP/1.1", method="GET"):
    return f"{method} {path} {version}\r\n{headers}Connection: close\r\n\r\n".encode("latin-1")


HELLO = json.dumps(chat_request("Hello")).encode()


def post_head(headers, host="Host: localhost\r\n"):
    return f"POST {CHAT} HTTP/1.1\r\n{host}Content-Type: application/json\r\nConnection: close\r\n{headers}\r\n".encode("latin-1")


class RequestLineTest(HostileTest):
    def test_what_is_no_request_is_refused(self):
        for line in (b"GARBAGE\r\n\r\n", b"\r\n\r\n\r\n", b" GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"GET\r\n\r\n", b"GET /\r\n\r\n",
                     b"GET /  HTTP/1.1\r\nHost: localhost\r\n\r\n", b"GET / HTTP/1.1 x\r\nHost: localhost\r\n\r\n", b"\0" * 5000,
                     b"\xff\xfe\xfd\r\n\r\n", b"G\0T / HTTP/1.1\r\nHost: localhost\r\n\r\n", b"GET /\x01 HTTP/1.1\r\nHost: localhost\r\n\r\n"):
            with self.subTest(line=line[:40]):
                self.expect(line, 400, NOTHING)

    def test_other_protocols_are_refused(self):
        hello = bytes.fromhex("16030100c8010000c40303") + bytes(range(190))
        for data in (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\x12\x04\0\0\0\0\0", hello, b"EHLO localhost\r\n", b"SSH-2.0-OpenSSH_9.2\r\n",
                     get("/health", version="HTTP/2.0"), get("/health", version="HTTP/0.9"), get("/health", version="HTTP/9.9"),
                     get("/health", version="http/1.1"), get("/health", version="HTTP/1.1.1")):
            with self.subTest(data=data[:40]):
                self.expect(data, 400, 505, NOTHING)

    def test_http_1_0_is_served_and_closed(self):
        self.assertEqual(status_of(self.send(b"GET /health HTTP/1.0\r\nHost: localhost\r\n\r\n")), 200)

    def test_a_lone_line_feed_never_ends_a_header(self):
        for data in (b"GET /health HTTP/1.1\nHost: localhost\n\n", b"GET /health HTTP/1.1\r\nHost: localhost\nX: y\r\n\r\n",
                     b"GET /health HTTP/1.1\rHost: localhost\r\r"):
            with self.subTest(data=data):
                self.expect(data, 400, NOTHING)

    def test_methods_that_a_path_does_not_have(self):
        for method in ("PUT", "DELETE", "PATCH", "TRACE", "PROPFIND", "BREW", "get", "CONNECT"):
            for path in ("/health", CHAT, "/"):
                with self.subTest(method=method, path=path):
                    answer = self.expect(get(path, method=method), 405, 501, 400)
                    if status_of(answer) == 405:
                        self.assertRegex(answer.lower(), rb"\r\nallow: ")
        self.expect(get(CHAT), 405)
        self.expect(get("/health", method="POST", headers="Host: localhost\r\nContent-Length: 0\r\n"), 405)

    def test_head_is_get_without_the_body(self):
        for path in ("/", "/health", "/app.js"):
            head, _, body = self.send(get(path, method="HEAD")).partition(b"\r\n\r\n")
            self.assertEqual(status_of(head), 200)
            self.assertEqual(body, b"")
            whole = self.send(get(path)).partition(b"\r\n\r\n")[2]
            self.assertIn(f"content-length: {len(whole)}".encode(), head.lower())


class TargetTest(HostileTest):
    def test_no_path_leads_out_of_the_page(self):
        for path in ("/../../../../etc/passwd", "/%2e%2e/%2e%2e/%2e%2e/etc/passwd", "/..%2f..%2f..%2fetc%2fpasswd", "/vendor/../../etc/passwd",
                     "//etc/passwd", "/..%5c..%5cetc%5cpasswd", "/....//....//etc/passwd", "/%252e%252e/etc/passwd", "/index.html%00.js",
                     "/%00", "/%", "/%2", "/%zz", "/%c0%ae%c0%ae/etc/passwd", "/index.html/", "/INDEX.HTML", "/.git/config", "/vendor/",
                     "file:///etc/passwd", "/nothing", "nothing"):
            with self.subTest(path=path):
                answer = self.expect(get(path), 400, 404)
                self.assertNotIn(b"root:", answer)

    def test_absolute_targets_name_this_server_or_none(self):
        self.expect(get(f"http://localhost:{self.server.port}/health"), 200, 400, 404)
        self.expect(get("http://elsewhere.example/health"), 400, 403, 404, 421)
        self.expect(get("elsewhere.example:443", method="CONNECT"), 400, 404, 405, 501)
        self.expect(get("*", method="OPTIONS"), 200, 204, 400, 404, 405)

    def test_long_targets_are_refused(self):
        for size in (20_000, 200_000):
            self.expect(get("/" + "a" * size), 414, 431)
            self.expect(get("/health?" + "q=1&" * (size // 4)), 414, 431)

    def test_queries_are_no_part_of_a_path(self):
        self.expect(get("/health?a=../../b&%00"), 200)
        self.expect(get("/?x=" + "y" * 1000), 200)

    def test_a_target_puts_no_line_into_the_answer_or_the_log(self):
        answer = self.send(get("/%0d%0aX-Evil:%20yes%0d%0a%0d%0a%1b[31m"))
        self.assertNotIn(b"\nX-Evil", answer)
        self.assertNotIn("\nX-Evil", self.server.logged())
        self.assertNotIn("\x1b[31m", self.server.logged())


class HeaderTest(HostileTest):
    def test_malformed_headers_are_refused(self):
        for header in ("No colon\r\n", ": no name\r\n", "Bad Name: x\r\n", "X\0: y\r\n", "X: a\0b\r\n", "X: a\x01b\r\n", "Content-Length : 0\r\n", "X-\xff: y\r\n"):
            with self.subTest(header=header):
                self.expect(get("/health", "Host: localhost\r\n" + header), 400)

    def test_headers_are_bounded(self):
        self.expect(get("/health", "Host: localhost\r\nX: " + "a" * 1_000_000 + "\r\n"), 431)
        self.expect(get("/health", "Host: localhost\r\n" + "".join(f"X-{i}: y\r\n" for i in range(20_000))), 431)
        self.expect(b"GET /health HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 1_000_000, 431)  # without an end

    def test_a_host_is_wanted_once(self):
        self.expect(get("/health", headers=""), 400)
        self.expect(get("/health", headers="Host: localhost\r\nHost: localhost\r\n"), 400)
        self.expect(get("/health", headers="Host: localhost\r\nHost: elsewhere.example\r\n"), 400)
        self.expect(get("/health", headers="Host: a b\r\n"), 400, 403, 421)

    def test_names_of_other_hosts_are_refused(self):
        """A page of another site can point its own name at 127.0.0.1, and would then be of one origin with us."""
        for host in ("elsewhere.example", f"elsewhere.example:{self.server.port}", "127.0.0.1.elsewhere.example", "localhost.elsewhere.example",
                     "localhost@elsewhere.example", "2130706433.example"):
            with self.subTest(host=host):
                self.expect(get("/api/info", f"Host: {host}\r\n"), 403, 421, 400)
                self.expect(post_head(f"Content-Length: {len(HELLO)}\r\n", f"Host: {host}\r\n") + HELLO, 403, 421, 400)
        for host in ("localhost", f"localhost:{self.server.port}", "127.0.0.1", f"127.0.0.1:{self.server.port}", "LOCALHOST", "[::1]:80"):
            with self.subTest(host=host):
                self.expect(get("/api/info", f"Host: {host}\r\n"), 200)

    def test_other_sites_are_told_nothing(self):
        origin = "Host: localhost\r\nOrigin: https://elsewhere.example\r\n"
        preflight = origin + "Access-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: content-type\r\n"
        for data in (get("/v1/models", origin), get(CHAT, preflight, method="OPTIONS"), get("/nothing", origin),
                     post_head(f"Origin: null\r\nContent-Length: {len(HELLO)}\r\n") + HELLO):
            self.assertNotIn(b"access-control-allow-origin", self.send(data).lower())


class FramingTest(HostileTest):
    def test_lengths_are_plain_numbers_and_said_once(self):
        n = len(HELLO)
        for header in ("-1", f"+{n}", f"{n} {n}", f"0x{n:x}", f"{n},{n + 1}", "99999999999999999999999", "1e2", "", "five", f"{n}\r\nContent-Length: {n + 1}"):
            with self.subTest(header=header):
                self.expect(post_head(f"Content-Length: {header}\r\n") + HELLO, 400, 413)
        self.expect(post_head(f"Content-Length: {n}\r\nContent-Length: {n}\r\n") + HELLO, 200, 400)
        self.expect(post_head(""), 400, 411)

    def test_a_length_and_chunks_together_are_refused(self):
        chunked = b"%x\r\n%s\r\n0\r\n\r\n" % (len(HELLO), HELLO)
        for headers in (f"Content-Length: {len(chunked)}\r\nTransfer-Encoding: chunked\r\n", f"Transfer-Encoding: chunked\r\nContent-Length: {len(chunked)}\r\n",
                        "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n"):
            self.expect(post_head(headers) + chunked, 400)

    def test_encodings_other_than_chunked_are_refused(self):
        chunked = b"%x\r\n%s\r\n0\r\n\r\n" % (len(HELLO), HELLO)
        for value in ("gzip", "xchunked", "chunked, identity", "identity", "chunked, chunked", "gzip, chunked", "\x0bchunked", '"chunked"'):
            with self.subTest(value=value):
                self.expect(post_head(f"Transfer-Encoding: {value}\r\n") + chunked, 400, 411, 501)
        self.expect(post_head("Transfer-Encoding : chunked\r\n") + chunked, 400)

    def test_chunks_are_read_and_bad_ones_refused(self):
        def chunked(body):
            return post_head("Transfer-Encoding: chunked\r\n") + body

        half = len(HELLO) // 2
        whole = b"%x\r\n%s\r\n%X;name=value\r\n%s\r\n0\r\nTrailer: x\r\n\r\n" % (half, HELLO[:half], len(HELLO) - half, HELLO[half:])
        answer = self.expect(chunked(whole), 200)
        self.assertEqual(json.loads(answer.partition(b"\r\n\r\n")[2])["choices"][0]["message"]["content"], self.expected)
        n = b"%x" % len(HELLO)
        for body in (b"zz\r\n", b"-1\r\n" + HELLO, b"+" + n + b"\r\n" + HELLO + b"\r\n0\r\n\r\n", b"0x" + n + b"\r\n" + HELLO + b"\r\n0\r\n\r\n",
                     b"fffffffffffffffff\r\n", b"7fffffffffffffff\r\nx", n + b"\r\n" + HELLO + b"XX0\r\n\r\n", b"\r\n", n + b"\n" + HELLO + b"\n0\n\n",
                     n + b"\r\n" + HELLO, n + b"\r\n" + HELLO + b"\r\n0\r\n", n + b";" + b"e" * 1_000_000 + b"\r\n" + HELLO + b"\r\n0\r\n\r\n"):
            with self.subTest(body=body[:40]):
                self.expect(chunked(body), 400, 413, 431, NOTHING)

    def test_bodies_are_bounded_before_they_have_come(self):
        self.expect(post_head("Content-Length: 1000000000000\r\n"), 413)
        self.expect(post_head("Content-Length: 1000000000\r\n") + b"x" * 5_000_000, 413, NOTHING)
        chunk = b"100000\r\n" + b" " * 0x100000 + b"\r\n"
        self.expect(post_head("Transfer-Encoding: chunked\r\n") + chunk * 40, 413, NOTHING)

    def test_bodies_that_break_off_are_dropped(self):
        self.expect(post_head(f"Content-Length: {len(HELLO) + 1}\r\n") + HELLO, 400, NOTHING)
        self.expect(post_head("Content-Length: 100\r\n"), 400, NOTHING)
        self.expect(post_head("Transfer-Encoding: chunked\r\n") + b"5\r\nab", 400, NOTHING)

    def test_what_follows_a_body_is_another_request(self):
        smuggled = b"GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n"
        head = f"POST {CHAT} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(HELLO)}\r\n\r\n".encode()
        answers = self.send(head + HELLO + smuggled + get("/health"))
        self.assertEqual([int(x) for x in re.findall(rb"HTTP/1\.1 (\d{3}) ", answers)], [200, 404, 200])

    def test_pipelined_requests_are_answered_in_order(self):
        one = b"GET /%s HTTP/1.1\r\nHost: localhost\r\n\r\n"
        answers = self.send((one % b"health" + one % b"nothing" + one % b"v1/models") * 20 + get("/api/info"))
        self.assertEqual([int(x) for x in re.findall(rb"HTTP/1\.1 (\d{3}) ", answers)], [200, 404, 200] * 20 + [200])

    def test_expect_continue_is_answered(self):
        with self.connect() as s:
            s.sendall(post_head(f"Content-Length: {len(HELLO)}\r\nExpect: 100-continue\r\n"))
            first = s.recv(4096)
            self.assertEqual(status_of(first), 100)
            s.sendall(HELLO)
            self.assertEqual(status_of(read_all(s)), 200)


class BodyTest(HostileTest):
    def test_what_is_no_json_object_is_refused(self):
        for body in ("", " ", "{", "[]", "null", "7", '"text"', "{}", "{]", HELLO.decode() + "x", HELLO.decode() * 2, "{'a': 1}",
                     '{"messages": NaN}', "\0", HELLO.decode().replace("Hello", "\0"), HELLO.decode().replace("Hello", "a\nb"),
                     HELLO.decode().replace("40", "1e999"), HELLO.decode().replace("40", "9" * 400), HELLO.decode().replace("40", "0x10"),
                     HELLO.decode().replace("Hello", "\\ud800"), HELLO.decode().replace("Hello", "\\u12"), HELLO.decode().replace("Hello", "\\x")):
            with self.subTest(body=body[:60]):
                self.post(body, 400)

    def test_text_that_is_not_utf_8_is_refused(self):
        for bad in (b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe4\xbd"):
            for path in (CHAT, "/v1/completions", "/api/tokenize", "/chat/completions"):
                body = {CHAT: HELLO, "/chat/completions": HELLO, "/v1/completions": b'{"prompt": "Hello", "max_tokens": 1}',
                        "/api/tokenize": b'{"text": "Hello"}'}[path]
                with self.subTest(bad=bad, path=path):
                    self.post(body.replace(b"Hello", bad), 400, 422, path=path)

    def test_nesting_is_bounded(self):
        for deep in ("[" * 100_000, "[" * 100_000 + "]" * 100_000, '{"a":' * 50_000 + "1" + "}" * 50_000, '{"messages": ' + "[" * 5000 + "]" * 5000 + "}",
                     '{"messages":[{"role":"user","content":' + '[{"type":"text","text":' * 5000 + '""' + "}]" * 5000 + "}]}"):
            for path in (CHAT, "/v1/completions", "/chat/completions", "/api/tokenize", "/api/next"):
                with self.subTest(deep=deep[:30], path=path):
                    self.post(deep, 400, 413, 422, path=path)

    def test_fields_of_the_wrong_kind_or_size_are_named(self):
        wrong = {"temperature": ["hot", -1, 2.5, [], True], "top_p": [-0.1, 1.1, "x"], "max_tokens": [-1, 1.5, "x", 1 << 70], "n": [0, -1, 1.5, 100000, "x"],
                 "stop": [7, [7], ["a"] * 100, {}], "seed": [1.5, "x"], "stream": ["yes", 1], "top_logprobs": [-1, 1000, "x"], "logprobs": ["x"],
                 "top_k": [-1, 0.5], "messages": [[], {}, "x", [7], [{}], [{"role": "user"}], [{"role": 5, "content": "x"}], [{"role": "king", "content": "x"}],
                                                  [{"role": "user", "content": 7}], [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}],
                                                  [{"role": "user", "content": [7]}]], "model": [7, ["x"]]}
        for name, values in wrong.items():
            for value in values:
                with self.subTest(name=name, value=str(value)[:40]):
                    body = {**chat_request("Hello"), "logprobs": True, name: value}
                    answer = self.post(json.dumps(body), 400, *([404] if name == "model" else []))
                    error = json.loads(answer.partition(b"\r\n\r\n")[2])["error"]
                    self.assertTrue(name in (error["param"] or "") or name in error["message"], error)

    def test_too_much_text_is_refused(self):
        self.post(json.dumps(chat_request("word " * 50_000)), 400, 413)
        self.post(json.dumps({**chat_request(""), "messages": [{"role": "user", "content": "a"}] * 20_000}), 400, 413)
        self.post(json.dumps({"prompt": "word " * 50_000}), 400, 413, path="/v1/completions")
        self.post(json.dumps({"text": "a" * 10_000_000}), 400, 413, path="/api/tokenize")
        self.post(json.dumps({"ids": [1] * 500_000, "position": None, "top": 5}), 400, 413, path="/api/next")

    def test_ids_and_places_are_checked(self):
        for body in ({"ids": [-1]}, {"ids": [1 << 40]}, {"ids": [1.5]}, {"ids": "x"}, {"ids": [1], "position": 5}, {"ids": [1], "position": -2},
                     {"ids": [1], "top": -1}, {"ids": [1], "top": 1 << 40}, {}, {"ids": [None]}, {"ids": [1 << 31]}):
            with self.subTest(body=body):
                self.post(json.dumps({"position": 0, "top": 5, **body} if body else {}), 400, path="/api/next")

    def test_special_tokens_never_come_of_text(self):
        spelled = "<|assistant_end|><|bos|>"
        tokens = self.server.post_json("/api/tokenize", {"text": spelled})["tokens"]
        self.assertFalse(any(t["special"] for t in tokens))
        self.assertEqual("".join(t["text"] for t in tokens), spelled)

    def test_forms_of_other_sites_are_not_taken_for_json(self):
        """A page of another site may send these kinds without asking first."""
        for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
            answer = self.send(post_head(f"Origin: https://elsewhere.example\r\nContent-Type: {kind}\r\nContent-Length: {len(HELLO)}\r\n".replace(
                "Content-Type", "X-Kind")).replace(b"Content-Type: application/json", f"Content-Type: {kind}".encode()) + HELLO)
            self.assertIn(status_of(answer), (400, 403, 415), kind)

    def test_compressed_bodies_are_refused(self):
        self.post(b"\x1f\x8b" + b"\0" * 50, 400, 415, headers="Content-Encoding: gzip\r\n")


class RunsTest(HostileTest):
    def test_names_of_runs_are_plain(self):
        for path in ("../x", "%2e%2e/%2e%2e", "base/%2e%2e", "base/..%2f..%2fetc", "base/x%00", "base/.", "base/" + "x" * 5000, "base/%ff", "/base/x", "base/%2fetc"):
            with self.subTest(path=path):
                self.expect(get(f"/api/runs/{path}/metrics?from=0"), 400, 404)

    def test_offsets_are_numbers(self):
        runs = json.loads(self.send(get("/api/runs")).partition(b"\r\n\r\n")[2])
        self.assertIn(("base", "long"), [(r["stage"], r["tag"]) for r in runs])
        for offset in ("-1", "x", "1e3", "99999999999999999999999", "0x10", "1.5", "", "%00"):
            with self.subTest(offset=offset):
                self.expect(get(f"/api/runs/base/long/metrics?from={offset}"), 400)
        beyond = json.loads(self.send(get("/api/runs/base/long/metrics?from=9007199254740991")).partition(b"\r\n\r\n")[2])
        self.assertTrue(beyond["reset"])
        # In the middle of a line, nothing is torn: what comes is whole lines or nothing.
        inside = json.loads(self.send(get("/api/runs/base/long/metrics?from=3")).partition(b"\r\n\r\n")[2])
        self.assertTrue(all(isinstance(line, dict) for line in inside["lines"]))


class FuzzTest(HostileTest):
    def test_damaged_requests_do_no_harm(self):
        """Bytes of good requests, changed, cut, doubled and swapped; the seed is fixed."""
        seeds = [post_head(f"Content-Length: {len(HELLO)}\r\n") + HELLO, get("/api/runs/base/long/metrics?from=0"),
                 post_head("Transfer-Encoding: chunked\r\n") + b"%x\r\n%s\r\n0\r\n\r\n" % (len(HELLO), HELLO)]
        dice = random.Random(5)
        seen = set()
        for turn in range(600):
            data = bytearray(seeds[turn % len(seeds)])
            for _ in range(dice.randint(1, 6)):
                at, size = dice.randrange(len(data) + 1), dice.randrange(1, 12)
                what = dice.randrange(4)
                if what == 0:
                    data[at : at + 1] = bytes([dice.randrange(256)])
                elif what == 1:
                    del data[at : at + size]
                elif what == 2:
                    data[at:at] = data[at : at + size] * dice.randint(1, 3)
                else:
                    data[at:at] = dice.choice([b"\r\n", b"\n", b"\0", b"\xff", b":", b"chunked", b"Content-Length: 5\r\n", b'"', b"[", b"1e9"])
                if not data:
                    break
            status = status_of(self.send(bytes(data), 0.05))
            seen.add(status)
            self.assertTrue(status is NOTHING or status < 500 or status in (501, 505), (turn, status, bytes(data)))
        self.assertIn(200, seen)
        self.assertIn(400, seen)

    def test_made_up_json_is_answered_or_refused(self):
        """Known names, values of all kinds: mostly nonsense, now and then a request."""
        dice = random.Random(7)
        names = ["messages", "role", "content", "type", "text", "prompt", "model", "n", "stop", "seed", "stream", "stream_options", "include_usage", "echo",
                 "temperature", "top_p", "top_k", "min_p", "max_tokens", "logprobs", "top_logprobs", "ids", "position", "top", "logit_bias", "best_of", "suffix"]
        leaves = [None, True, False, 0, 1, -1, 2, 7, 0.5, 1e300, -1e-300, 1 << 31, 1 << 63, 1 << 64, "", "user", "assistant", "text", "Hello", "天😀", "\0", "\x7f" * 40]

        def value(depth):
            kind = dice.random()
            if depth == 0 or kind < 0.5:
                return dice.choice(leaves)
            if kind < 0.75:
                return [value(depth - 1) for _ in range(dice.randrange(4))]
            return {dice.choice(names): value(depth - 1) for _ in range(dice.randrange(6))}

        good = {CHAT: chat_request("Hello", max_tokens=3), "/v1/completions": {"prompt": "Hello", "max_tokens": 3}, "/api/tokenize": {"text": "a"},
                "/chat/completions": chat_request("Hello", max_tokens=3, top_k=5), "/api/next": {"ids": [5, 6], "position": 0, "top": 3}}
        seen = {}
        for turn in range(1500):
            path = dice.choice(list(good))
            body = dict(good[path])
            for _ in range(dice.randint(1, 3)):
                body[dice.choice(names)] = value(4)
            if dice.random() < 0.2:
                del body[dice.choice(list(body))]
            status = self.server.request("POST", path, body)[0]
            self.assertIn(status, (200, 400, 404, 422), (turn, path, body))
            seen.setdefault(path, set()).add(status)
        for path, statuses in seen.items():
            self.assertIn(200, statuses, path)
            self.assertTrue(statuses & {400, 422}, path)


if __name__ == "__main__":
    unittest.main()
