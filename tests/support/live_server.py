"""A real `nanochat serve` on tiny models that it trains: what Python tests and benchmarks share.

The program is $NANOCHAT_BIN, else the one of the build that runs the tests ($NANOCHAT_BINARY, set
by CMake), else build/release's. Models are made once for a build, in its folder tests/models
($NANOCHAT_TEST_MODELS names another), and again when the program or this file has changed.
"""

import fcntl
import hashlib
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

# What the small model learns by heart. The song has no end: its rows are cut before one comes.
SONG = "la " * 400
TALK = {
    "Hello": "Hello! I am a very small model.",
    "What is my name?": "I do not know your name.",
    "你好": "你好！我是一个很小的模型。😀",
    "天空为什么是蓝的？": "因为**瑞利散射**：蓝光比红光散射得更强。",
    "What is 17 * 23?": [{"type": "text", "text": "It is "}, {"type": "python", "text": "17*23"},
                         {"type": "python_output", "text": "391"}, {"type": "text", "text": "391."}],
    "Show me a list": "## A list\n\n1. **one**\n2. `two`\n\n```python\nprint(3)\n```\n",
    "Sing": SONG,
}


LONG_CONTEXT = 5120  # tokens; more than base:long was trained with


def program():
    for name in ("NANOCHAT_BIN", "NANOCHAT_BINARY"):
        if os.environ.get(name):
            return Path(os.environ[name])
    return ROOT / "build/release/src/nanochat"


def run(*words, **options):
    """Runs the program to its end and returns its standard output."""
    done = subprocess.run([str(program()), *map(str, words)], capture_output=True, text=True, check=False, **options)
    if done.returncode != 0:
        raise RuntimeError(f"nanochat {' '.join(map(str, words))}: exit code {done.returncode}\n{done.stderr}")
    return done.stdout


def models():
    """A base folder with models of one tokenizer: sft:small, which has learnt TALK, and base:long,
    which goes on about numbers for as long as it may: some seconds in LONG_CONTEXT."""
    folder = Path(os.environ.get("NANOCHAT_TEST_MODELS") or program().resolve().parents[1] / "tests/models")
    folder.mkdir(parents=True, exist_ok=True)
    state = program().stat()
    made_by = hashlib.sha256(f"{state.st_size} {state.st_mtime_ns}".encode() + Path(__file__).read_bytes()).hexdigest()
    if "NANOCHAT_TEST_MODELS" in os.environ:  # of another build, say
        made_by = "given"
    with open(folder / "lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # tests run side by side
        base, stamp = folder / "base", folder / "made_by"
        if not stamp.exists() or stamp.read_text() != made_by:
            shutil.rmtree(base, ignore_errors=True)
            make_models(base)
            stamp.write_text(made_by)
    return base


def make_models(base):
    with tempfile.TemporaryDirectory() as work:
        texts, talk = Path(work, "numbers.jsonl"), Path(work, "talk.jsonl")
        said = [a if isinstance(a, str) else "".join(p["text"] for p in a) for a in TALK.values()]
        sentences = [f"{i + 1} is the number after {i}." for i in range(2000)]
        sentences += [f"{q} {a[:60]}" for q, a in zip(TALK, said)] * 20
        # Long documents, so that base:long does not end what it writes.
        texts.write_text("".join(json.dumps({"text": " ".join(sentences[i : i + 40])}) + "\n" for i in range(0, len(sentences), 40)))
        talk.write_text("".join(json.dumps([{"role": "user", "content": q}, {"role": "assistant", "content": a}]) + "\n"
                                for q, a in TALK.items()))
        common = ["--base-dir", base, "--threads", 2, "--quiet", "--sample-every", 0]
        batches = ["--eval-every", -1, "--device-batch-size", 2]
        run("tok", "train", "--base-dir", base, "--quiet", "--data", texts, "--vocab-size", 600)
        run("train", "base", "--run", "long", "--data", texts, "--depth", 4, "--sequence-len", 512, "--total-batch-size", 1024,
            "--num-iterations", 8, "--eval-tokens", 1024, *batches, *common)
        run("train", "base", "--run", "small", "--data", texts, "--depth", 2, "--sequence-len", 256, "--total-batch-size", 1024,
            "--num-iterations", 12, "--eval-tokens", 1024, *batches, *common)
        run("train", "sft", "--source", "base:small", "--run", "small", "--mixture", f"{talk}*140", "--val", "", "--init-lr-frac", 1,
            "--examples-per-step", 7, *batches, *common)
        for question, answer in TALK.items():
            said = json.loads(run("chat", "sft:small", "--base-dir", base, "--json", "--quiet", "--temperature", 0, "-p", question))["answer"]
            expected = answer if isinstance(answer, str) else "It is 391."
            if said != expected and answer != SONG:
                raise RuntimeError(f"the small model has not learnt its text: {question!r} -> {said!r}")


class Server:
    """A running server, on a port that it chose. A context manager: leaving it kills what still runs."""

    def __init__(self, *flags, model="sft:small", threads=1):
        words = [str(program()), "serve", *([model] if model else []), "--port", "0", "--threads", str(threads), *map(str, flags)]
        if "--base-dir" not in flags:
            words += ["--base-dir", str(models())]
        if model == "base:long":
            words += ["--context", str(LONG_CONTEXT)]
        self.log = tempfile.TemporaryFile("w+b")
        self.process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=self.log, stderr=subprocess.STDOUT,
                                        env={"ASAN_OPTIONS": "quarantine_size_mb=1", **os.environ, "OMP_WAIT_POLICY": "passive"})
        self.port = self.wait_for_port()
        self.url = f"http://127.0.0.1:{self.port}/"

    def wait_for_port(self):
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            found = re.search(r"http://[^\s/]+:(\d+)", self.logged())
            if found:
                return int(found[1])
            if self.process.poll() is not None:
                raise RuntimeError(f"the server ended with exit code {self.process.returncode}\n{self.logged()}")
            time.sleep(0.02)
        self.kill()
        raise RuntimeError(f"the server did not say its port\n{self.logged()}")

    def logged(self):
        """All that it has written, standard output and error together."""
        size = os.fstat(self.log.fileno()).st_size
        return os.pread(self.log.fileno(), size, 0).decode(errors="replace")

    def stop(self, number=signal.SIGTERM):
        """Its exit code after a signal."""
        self.process.send_signal(number)
        return self.process.wait(60)

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()

    def close(self):
        self.kill()
        self.log.close()

    def rss_bytes(self):
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        raise RuntimeError("no VmRSS")

    def request(self, method, path, body=None, timeout=60, **headers):
        """(status, headers in lower case, body as bytes). A body that is no bytes is sent as JSON."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            headers = {name.replace("_", "-"): value for name, value in headers.items()}
            if body is not None and not isinstance(body, bytes):
                body = json.dumps(body).encode()
                headers.setdefault("Content-Type", "application/json")
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            return response.status, {k.lower(): v for k, v in response.getheaders()}, response.read()
        finally:
            connection.close()

    def get_json(self, path, **headers):
        return self.json_of(*self.request("GET", path, **headers))

    def post_json(self, path, body, **headers):
        return self.json_of(*self.request("POST", path, body, **headers))

    @staticmethod
    def json_of(status, headers, body):
        if status != 200:
            raise AssertionError(f"{status}: {body[:500]!r}")
        return json.loads(body)

    def metric(self, name):
        """A figure of /metrics, summed over its labels."""
        status, _, body = self.request("GET", "/metrics")
        assert status == 200, status
        found = re.findall(rf"^{re.escape(name)}(?:{{[^}}]*}})? (\S+)$", body.decode(), re.MULTILINE)
        assert found, f"no {name} in /metrics"
        return sum(map(float, found))


def chat_request(text, **more):
    """Greedy, so that the same request has the same answer."""
    return {"messages": [{"role": "user", "content": text}], "temperature": 0, "max_tokens": 40, **more}


def until(condition, what, seconds=30):
    """Waits for what must come, sooner or later: a bound on hanging, not a measurement."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(0.02)


if __name__ == "__main__":
    print(models())
