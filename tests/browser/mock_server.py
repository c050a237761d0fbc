"""A server for the page's tests: the contract of docs/api.md with canned answers.

It serves ui/ and what ui/vendor.txt names, with the policy of ui/csp.txt. What the last user message
says chooses the answer (ANSWERS below). Runs are read from a folder, as the real server's are.
By hand: python3 tests/browser/mock_server.py [PORT] [RUNS]
"""

import base64
import json
import mimetypes
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

UI = Path(__file__).resolve().parents[2] / "ui"

MARKDOWN = """## A short tour

Text with **bold**, *italic*, `code` and a [link](https://example.org/page).

3. Third
4. Fourth, with maths: $e^{i\\pi} + 1 = 0$

$$\\int_0^\\infty e^{-x^2}\\,dx = \\frac{\\sqrt{\\pi}}{2}$$

It costs $5 or $10, which is no formula.

```python
def greet(name: str) -> str:
    # Says hello.
    return f"Hello, {name}!" + str(42)
```

| Planet | Moons |
|:--|--:|
| Earth | 1 |
| Mars | 2 |

> A quoted line, which stands apart.
"""

CHINESE = """天空呈现蓝色，是因为**瑞利散射**：空气分子对波长较短的光散射得更强。

- 蓝光的波长约为 450 nm，红光约为 700 nm
- 散射强度与波长的四次方成反比，即 $I \\propto \\lambda^{-4}$

所以我们抬头看到的，多半是被散射的蓝光。😀
"""

# Every one of these would set window.pwned if the page ran it.
HOSTILE = """<script>window.pwned = 1</script>
<img src=x onerror="window.pwned = 1"> <svg onload="window.pwned = 1"></svg>
<iframe srcdoc="<script>parent.pwned = 1</script>"></iframe>

[a](javascript:window.pwned=1) [b](data:text/html,<script>window.pwned=1</script>)
![c](x" onerror="window.pwned=1) ![picture](http://tracker.invalid/seen.png)
<a href="javascript:window.pwned=1" class="code">d</a> [e](https://ok.example "t\\" onmouseover=\\"window.pwned=1")

$\\href{javascript:window.pwned=1}{x}$ $\\htmlData{a=b}{\\includegraphics{http://tracker.invalid/m.png}}$

```"><img/src=x/onerror=window.pwned=1>
</code></pre><script>window.pwned = 1</script>
```

<style>body { display: none }</style><form action="http://tracker.invalid"><input name=q></form>
<math><mi><style><!--</style><b title="--><img src=x onerror=window.pwned=1>">x</b></mi></math>
"""


def text(value):
    return {"content": value}


def tool(kind, value):
    return {"tool": {"type": kind, "text": value}}


def pieces(value, size=4):
    return [text(value[i : i + size]) for i in range(0, len(value), size)]


def answer_to(message):
    """Deltas for what the user said; None: words about the message."""
    if "markdown" in message:
        return pieces(MARKDOWN)
    if "蓝" in message or "中文" in message:
        return pieces(CHINESE, 3)
    if "hostile" in message:
        return pieces(HOSTILE, 7)
    if "calculate" in message:
        return [text("Let me see: "), tool("python", "17*"), tool("python", "23"), tool("python_output", "391"),
                text("17 times 23 is **391**.")]
    if "program" in message:
        return [tool("python", "total = 0\nfor i in range(5):\n    total += i\nprint(total)"), tool("python_output", "10\n"),
                text("The sum is 10.")]
    if "slow" in message:
        return pieces("".join(f"word{i} " for i in range(400)), 6)
    if "nothing" in message:
        return []
    if "nested" in message:
        return [text(">" * 3000 + " deep " + "- " * 2000 + "[" * 3000 + "*" * 3000)]
    return pieces(f"You said: {message}. ")


# Words with their spaces stand in for tokens; Chinese goes character by character, 𠮷 in two halves.
def cut(value):
    tokens, word = [], ""
    for c in value:
        if word and (c == " " or ord(c) > 0x2E80 or ord(word[-1]) > 0x2E80 or c == "\n"):
            tokens.append(word.encode())
            word = ""
        word += c
    if word:
        tokens.append(word.encode())
    halves = []
    for t in tokens:
        halves += [t[:2], t[2:]] if t == "𠮷".encode() else [t]
    return [token(sum((i + 1) * b for i, b in enumerate(t)) % 50000 + 10, t) for t in halves]


def token(number, data, special=False):
    try:
        decoded = data.decode()
    except UnicodeDecodeError:
        decoded = None
    return {"id": number, "bytes": base64.b64encode(data).decode(), "text": decoded, "special": special}


NEXT = [" looked", " the", " a", " slept", " listened", "\n", "看着", " not", " <b>bold</b>", " one"]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    @property
    def state(self):
        return self.server.state

    def do_GET(self):
        path = unquote(urlsplit(self.path).path)
        if path == "/api/info":
            return self.send_json(self.state.info())
        if path.startswith(("/api/", "/v1/")) and not self.allowed():
            return None
        if path == "/v1/models":
            return self.send_json({"object": "list", "data": [{"id": self.state.model, "object": "model"}]})
        if path == "/api/runs":
            return self.send_json(self.state.list_runs())
        if path.startswith("/api/runs/") and path.endswith("/metrics"):
            return self.send_metrics(path)
        return self.send_file(path)

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if not self.allowed():
            return None
        if self.path == "/v1/chat/completions":
            return self.chat(body)
        if self.path == "/api/tokenize":
            return self.send_json({"tokens": cut(body["text"])})
        if self.path == "/api/next":
            return self.send_next(body)
        return self.send_error_json(404, "not found")

    def allowed(self):
        if self.state.key is None or self.headers.get("Authorization") == f"Bearer {self.state.key}":
            return True
        self.send_error_json(401, "wrong or missing API key", "invalid_api_key")
        return False

    def send_file(self, path):
        served = path.lstrip("/") or "index.html"
        data = self.state.files.get(served)
        if data is None:
            return self.send_error_json(404, "not found")
        self.state.sent_bytes += len(data)
        kind = {".js": "text/javascript", ".woff2": "font/woff2"}.get(Path(served).suffix) or mimetypes.guess_type(served)[0]
        return self.send_bytes(200, data, f"{kind}; charset=utf-8" if kind.startswith("text/") else kind)

    def send_bytes(self, status, data, kind, **headers):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Content-Security-Policy", self.state.policy)
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header("Cache-Control", "no-store")
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(data)

    def send_json(self, value, status=200, **headers):
        self.send_bytes(status, json.dumps(value, ensure_ascii=False).encode(), "application/json", **headers)

    def send_error_json(self, status, message, code=None, **headers):
        self.send_json({"error": {"message": message, "type": "error", "param": None, "code": code}}, status, **headers)

    def send_metrics(self, path):
        stage, tag = path.split("/")[3:5]
        offset = int(parse_qs(urlsplit(self.path).query)["from"][0])
        data = (self.state.runs / stage / tag / "metrics.jsonl").read_bytes()
        answer = {"reset": offset > len(data)}
        offset = 0 if answer["reset"] else offset
        part = data[offset : offset + self.state.most_bytes]
        part = part[: part.rfind(b"\n") + 1]
        answer.update(offset=offset + len(part), lines=[json.loads(line) for line in part.splitlines()],
                      more=b"\n" in data[offset + len(part) :])
        self.send_json(answer)

    def send_next(self, body):
        place = len(body["ids"]) - 1 if body["position"] is None else body["position"]
        top = []
        for i, word in enumerate(NEXT[(place + 1) % 3 :]):
            top.append({**token(900 + i, word.encode()), "logprob": -0.4 - 0.7 * i})
        actual = None
        if place + 1 < len(body["ids"]):
            actual = {"id": body["ids"][place + 1], "logprob": -7.5, "rank": 321}
        self.send_json({"top": top[: body["top"]], "actual": actual})

    def chat(self, body):
        self.state.requests.append(body)
        said = body["messages"][-1]["content"]
        if "busy" in said and self.state.count("busy") == 0:
            return self.send_error_json(429, "the queue is full", "queue_full", Retry_After="2")
        if "broken" in said and self.state.count("broken") == 0:
            return self.send_error_json(500, "out of <b>memory</b>", "internal")
        if "toolong" in said:
            return self.send_error_json(400, "9000 tokens, the context is 2048", "context_length_exceeded")
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream; charset=utf-8")
        self.send_header("Connection", "close")
        self.end_headers()
        try:
            return self.stream(said)
        except (BrokenPipeError, ConnectionResetError):
            self.state.cancelled.append(said)
            return None

    def stream(self, said):
        deltas = answer_to(said)
        base = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": self.state.model}

        def send(**values):
            data = f"data: {json.dumps({**base, **values}, ensure_ascii=False)}\n\n".encode()
            # Torn at an awkward place now and then, in a character or between a line's end and the next.
            middle = len(data) - 1 if len(data) % 3 else len(data) // 2
            for part in (data[:middle], data[middle:]):
                self.wfile.write(part)
                self.wfile.flush()

        self.wfile.write(b": hello\n\n")
        send(choices=[{"index": 0, "delta": {"role": "assistant"}, "finish_reason": None}])
        for i, delta in enumerate(deltas):
            send(choices=[{"index": 0, "delta": delta, "finish_reason": None}])
            time.sleep(0.02 if "slow" in said else self.state.delay)
            if "cutoff" in said and i == 2:
                return self.connection.shutdown(2)
            if "midway" in said and i == 2:
                return send(error={"message": "the model stumbled", "code": "internal"})
        send(choices=[{"index": 0, "delta": {}, "finish_reason": "length" if "length" in said else "stop"}])
        send(choices=[], usage={"prompt_tokens": 9, "completion_tokens": len(deltas), "total_tokens": 9 + len(deltas)},
             timings={"tokens_per_second": 87.4, "time_to_first_token": 0.031})
        self.wfile.write(b"data: [DONE]\n\n")
        return None


def load_files():
    """Served path -> bytes: all of ui/, and what vendor.txt takes from Debian's packages."""
    files = {p.relative_to(UI).as_posix(): p.read_bytes() for p in UI.rglob("*") if p.is_file()}
    packages = []
    for line in (UI / "vendor.txt").read_text().splitlines():
        if not line or line.startswith("#"):
            continue
        kind, served, package, *rest = line.split()
        packages += [package] if package not in packages else []
        files[served] = bundle(*rest) if kind == "bundle" else Path(rest[0]).read_bytes()
    files["vendor/licenses.txt"] = b"\n\n".join(
        f"=== {p}\n\n".encode() + (Path("/usr/share/doc") / p / "copyright").read_bytes() for p in packages)
    return files


def bundle(core, folder, *names):
    """highlight.js and some of its languages, which are CommonJS modules, as one script."""
    wrap = b"(function(module){%s\nreturn module.exports;})({})"
    parts = [b"globalThis.hljs=" + wrap % Path(core).read_bytes() + b";\n"]
    for name in names:
        module = (Path(folder) / f"{name}.js").read_bytes()
        parts.append(b'hljs.registerLanguage("%s",' % name.encode() + wrap % module + b");\n")
    return b"".join(parts)


class State:
    def __init__(self, runs=None, model="sft:tiny@1200"):
        self.runs, self.model = runs, model
        self.files, self.policy = load_files(), (UI / "csp.txt").read_text().strip()
        self.reset()

    def reset(self):
        self.key, self.delay, self.most_bytes, self.has_model = None, 0.002, 1 << 20, True
        self.requests, self.cancelled, self.running, self.sent_bytes = [], [], set(), 0

    def count(self, word):
        """How many earlier requests ended with a message that has this word."""
        return sum(word in r["messages"][-1]["content"] for r in self.requests) - 1

    def info(self):
        return {"model": self.model if self.has_model else None, "context": 2048 if self.has_model else None, "version": "0.1",
                "needs_key": self.key is not None, "has_model": self.has_model, "has_runs": self.runs is not None}

    def list_runs(self):
        runs = []
        for file in sorted(self.runs.glob("*/*/metrics.jsonl")) if self.runs else []:
            stage, tag = file.parts[-3:-1]
            steps = [json.loads(line)["step"] for line in file.read_text().splitlines()]
            runs.append({"stage": stage, "tag": tag, "step": steps[-1] + 1 if steps else 0, "num_iterations": 1000,
                         "updated": file.stat().st_mtime, "running": f"{stage}/{tag}" in self.running})
        return runs


def start(state, port=0):
    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    server.state = state
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


if __name__ == "__main__":
    runs = Path(sys.argv[2]) if len(sys.argv) > 2 else None
    print(f"http://127.0.0.1:{start(State(runs), int(sys.argv[1]) if len(sys.argv) > 1 else 8000).server_port}/")
    threading.Event().wait()
