#!/usr/bin/env python3
"""The server under load: many streams, idle connections, slow clients, and thousands of requests.

    bench/serve_load.py                                  # all of it, with a small model of its own
    bench/serve_load.py rate --model sft:d12 --base-dir DIR   # only this part, with that model
    bench/serve_load.py streams idle slow memory rate page

streams   200 at a time (--streams), of one length: none lost, each says what it says alone, the
          slowest ends within 3 times the fastest; time to the first token. Twice: the first time, the
          system has yet to give the memory of each slot
idle      2000 connections (--idle) are held while one chats
slow      clients that read or write slowly, 50 of each, are cut off while one chats
memory    20,000 requests (--requests) of all kinds: resident memory as they go by
rate      tokens per second of 16 streams beside `nanochat bench infer` on the same model: rounds of
          both in turn, the best of each counts. The client costs the machine something too.
page      bytes of the page and the time that its files take

Every part has a server of its own. The program is --program, else $NANOCHAT_BIN, else the release
build's. The exit code is 1 when a promise above is broken. Needs nothing but Python.
"""

import argparse
import asyncio
import bisect
import json
import os
import re
import resource
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests/support"))
import live_server
from live_server import Server


class Broken(AssertionError):
    """The server did not do what it promises."""


@dataclass
class Stream:
    """What came of one stream. Times in seconds after it was asked for."""

    status: int
    text: str
    tokens: int  # by its usage
    finish: str
    events: list  # when each event with a choice came

    @property
    def first(self):
        return self.events[0]

    @property
    def last(self):
        return self.events[-1]


def head_of(method, path, body, headers=""):
    kind = "Content-Type: application/json\r\n" if body else ""
    return f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n{kind}{headers}Content-Length: {len(body)}\r\n\r\n".encode() + body


def unchunked(data):
    """The body of a chunked answer, and where each of its bytes stood."""
    body, places, at = bytearray(), [], 0
    while True:
        end = data.find(b"\r\n", at)
        if end < 0:
            return bytes(body), places
        size = int(data[at:end].split(b";")[0], 16)
        at = end + 2
        places.append((len(body), at))
        body += data[at : at + size]
        at += size + 2
        if size == 0:
            return bytes(body), places


async def stream(port, body, path="/v1/completions"):
    begun = time.monotonic()
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 20)
    body = {"stream": True, "temperature": 0, "stream_options": {"include_usage": True}, **body}
    writer.write(head_of("POST", path, json.dumps(body).encode(), "Connection: close\r\n"))
    data, sizes, times = bytearray(), [], []
    while part := await reader.read(1 << 18):
        data += part
        sizes.append(len(data))
        times.append(time.monotonic() - begun)
    writer.close()
    return parse_stream(bytes(data), sizes, times)


def parse_stream(data, sizes, times):
    head, _, rest = data.partition(b"\r\n\r\n")
    status = int(head.split(b" ", 2)[1]) if head else 0
    if status != 200:
        return Stream(status, rest.decode(errors="replace"), 0, "", [])
    begin = len(head) + 4
    if b"transfer-encoding: chunked" in head.lower():
        payload, places = unchunked(rest)
    else:
        payload, places = rest, [(0, 0)]
    starts = [p[0] for p in places]
    text, tokens, finish, events, done = "", 0, "", [], False
    for found in re.finditer(rb"data: (.*)\n", payload):
        if found[1] == b"[DONE]":
            done = True
            break
        event = json.loads(found[1])
        if "error" in event:
            raise Broken(f"an error in a stream: {event}")
        tokens = (event.get("usage") or {}).get("completion_tokens", tokens)
        for choice in event["choices"]:
            text += choice.get("text") or choice.get("delta", {}).get("content") or ""
            finish = choice["finish_reason"] or finish
            place = places[bisect.bisect_right(starts, found.end() - 1) - 1]
            where = begin + place[1] + (found.end() - 1 - place[0])
            events.append(times[min(bisect.bisect_right(sizes, where), len(times) - 1)])
    if not done:
        raise Broken(f"a stream broke off after {len(events)} events")
    return Stream(status, text, tokens, finish, events)


def quantile(values, q):
    values = sorted(values)
    return values[min(len(values) - 1, round(q * (len(values) - 1)))]


async def many_streams(port, streams, tokens, prompts=20):
    """Streams side by side, each compared with what its prompt gives alone. Prints and returns how
    many times longer the slowest took than the fastest."""
    texts = [f"{17 * i} is the number" for i in range(prompts)]
    alone = [await stream(port, {"prompt": text, "max_tokens": tokens}) for text in texts]
    begun = time.monotonic()
    seen = await asyncio.gather(*(stream(port, {"prompt": texts[i % prompts], "max_tokens": tokens}) for i in range(streams)))
    took = time.monotonic() - begun
    for i, s in enumerate(seen):
        expected = alone[i % prompts]
        if s.status != 200:
            raise Broken(f"stream {i}: {s.status} {s.text[:200]}")
        if (s.text, s.tokens, s.finish) != (expected.text, expected.tokens, expected.finish):
            raise Broken(f"stream {i} says {s.text[:80]!r}, alone it says {expected.text[:80]!r}")
    longest = max(s.tokens for s in seen)
    same = [s.last for s in seen if s.tokens == longest]
    ratio = max(same) / min(same)
    first = [s.first for s in seen]
    print(f"streams: {streams} of {longest} tokens in {took:.2f} s, {sum(s.tokens for s in seen) / took:.0f} tokens/s, all right; first token "
          f"p50 {quantile(first, 0.5) * 1e3:.0f} ms, p95 {quantile(first, 0.95) * 1e3:.0f} ms; slowest / fastest of {len(same)}: {ratio:.2f}")
    return ratio


async def hold_idle(server, connections):
    """Holds connections that say nothing, some of them after a request, while one chats."""
    alone = await stream(server.port, {"prompt": "3 is", "max_tokens": 32})
    before = server.rss_bytes()
    held = []
    for i in range(connections):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        if i % 10 == 0:
            writer.write(head_of("GET", "/health", b""))
            await reader.readuntil(b"\r\n\r\n")
            await reader.readuntil(b"}")
        held.append((reader, writer))
    seen = await stream(server.port, {"prompt": "3 is", "max_tokens": 32})
    if (seen.status, seen.text) != (200, alone.text):
        raise Broken(f"beside idle connections: {seen.status} {seen.text[:200]}")
    lost = sum(reader.at_eof() for reader, _ in held)
    for reader, writer in held[::100]:  # they are alive
        writer.write(head_of("GET", "/health", b""))
        if b" 200 " not in await reader.readline():
            lost += 1
    print(f"idle: {len(held)} connections held, {lost} lost; one chat of 32 tokens {alone.last * 1e3:.0f} ms without them, {seen.last * 1e3:.0f} ms with; "
          f"{(server.rss_bytes() - before) / max(1, len(held)) / 1024:.1f} KiB for each")
    if lost:
        raise Broken(f"{lost} idle connections were lost")
    for _, writer in held:
        writer.close()


async def slow_clients(port, each):
    """Readers that read nothing and writers that write a byte now and then, until they are cut off."""
    cut = {"reader": 0, "writer": 0}

    async def slow_reader():
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
        writer.transport.pause_reading()
        writer.write(head_of("GET", "/vendor/katex.js", b"") * 60)
        while not writer.is_closing():
            await asyncio.sleep(0.1)
            try:  # a reset is seen by who writes
                writer.write(b"\r\n")
                await writer.drain()
            except ConnectionError:
                break
        cut["reader"] += 1

    async def slow_writer():
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n")
        try:
            while not reader.at_eof():
                writer.write(b" ")
                await writer.drain()
                await asyncio.sleep(0.1)
                await asyncio.wait_for(reader.read(4096), 0.05) if reader._buffer else None
        except (ConnectionError, asyncio.TimeoutError):
            pass
        cut["writer"] += 1

    alone = await stream(port, {"prompt": "3 is", "max_tokens": 32})
    tasks = [asyncio.create_task(f()) for f in [slow_reader, slow_writer] * each]
    await asyncio.sleep(0.3)
    seen = await stream(port, {"prompt": "3 is", "max_tokens": 32})
    if (seen.status, seen.text) != (200, alone.text):
        raise Broken(f"beside slow clients: {seen.status} {seen.text[:200]}")
    _, hanging = await asyncio.wait(tasks, timeout=60)
    for task in hanging:
        task.cancel()
    print(f"slow: one chat {alone.last * 1e3:.0f} ms alone, {seen.last * 1e3:.0f} ms beside {each} slow readers and {each} slow writers; "
          f"cut off: {cut['reader']} and {cut['writer']}")
    if hanging:
        raise Broken(f"{len(hanging)} slow clients were not cut off")


REQUESTS = [  # of all kinds: what is answered, and with which status
    ("POST", "/v1/completions", {"prompt": "5 is", "max_tokens": 2}, 200),
    ("POST", "/v1/completions", {"prompt": "6 is", "max_tokens": 3, "stream": True, "logprobs": 3}, 200),
    ("POST", "/v1/chat/completions", {"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 2, "n": 2, "temperature": 1}, 200),
    ("POST", "/v1/chat/completions", {"messages": [{"role": "user", "content": "x"}], "temperature": -1}, 400),
    ("POST", "/api/tokenize", {"text": "some text 中文 " * 20}, 200),
    ("POST", "/api/next", {"ids": [5, 6, 7], "position": None, "top": 10}, 200),
    ("GET", "/v1/models", None, 200),
    ("GET", "/metrics", None, 200),
    ("GET", "/vendor/marked.js", None, 200),
    ("GET", "/nothing", None, 404),
]


async def read_answer(reader):
    head = await reader.readuntil(b"\r\n\r\n")
    lower = head.lower()
    if b"transfer-encoding: chunked" in lower:
        while size := int(await reader.readuntil(b"\r\n"), 16):
            await reader.readexactly(size + 2)
        await reader.readexactly(2)
    else:
        await reader.readexactly(int(re.search(rb"content-length: (\d+)", lower)[1]))
    return int(head.split(b" ", 2)[1]), b"connection: close" in lower


async def many_requests(server, requests, clients=8, points=8):
    """Returns resident bytes after each of `points` equal parts of the requests."""
    bodies = [(head_of(m, path, json.dumps(body).encode() if body else b""), status) for m, path, body, status in REQUESTS]
    rss, done = [], 0
    begun = time.monotonic()

    async def client(mine):
        reader = writer = None
        for i in mine:
            if writer is None or i % 17 == 0:  # a new connection now and then
                if writer:
                    writer.close()
                reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            data, expected = bodies[i % len(bodies)]
            writer.write(data)
            status, close = await read_answer(reader)
            if status != expected:
                raise Broken(f"request {i}: {status} in place of {expected}")
            if close:
                writer.close()
                writer = None
        if writer:
            writer.close()

    for part in range(points):
        todo = range(requests * part // points, requests * (part + 1) // points)
        await asyncio.gather(*(client(todo[k::clients]) for k in range(clients)))
        done = todo.stop
        rss.append(server.rss_bytes())
        print(f"memory: {rss[-1] / 2**20:.1f} MiB after {done} requests, {done / (time.monotonic() - begun):.0f} requests/s", flush=True)
    return rss


async def endless_prompt(port, prompt_tokens, tokens):
    """A prompt that the model does not end its answer to."""
    for shift in range(50):
        ids = [5 + (7 * shift + i) % 200 for i in range(prompt_tokens)]
        if (await stream(port, {"prompt": ids, "max_tokens": tokens})).tokens == tokens:
            return ids
    raise Broken(f"this model ends every answer before {tokens} tokens: take a base model, or fewer --tokens")


async def rate_of_streams(port, streams, prompt_tokens, tokens):
    """Tokens per second while all streams run, counted as bench infer does: what comes after the
    first token of the last one."""
    ids = await endless_prompt(port, prompt_tokens, tokens)
    seen = await asyncio.gather(*(stream(port, {"prompt": ids, "max_tokens": tokens}) for _ in range(streams)))
    if {s.status for s in seen} != {200} or min(s.tokens for s in seen) < tokens:
        raise Broken(f"a stream ended early: {[(s.status, s.tokens, s.text[:60]) for s in seen][:3]}")
    begin = max(s.first for s in seen)
    end = min(s.last for s in seen)
    return sum(sum(begin < t <= end for t in s.events) for s in seen) / (end - begin)


def rate_of_engine(arguments, batch, prompt_tokens, tokens):
    words = [live_server.program(), "bench", "infer", arguments.model, "--base-dir", arguments.base_dir, "--threads", arguments.threads,
             "--batch-sizes", batch, "--prompt-tokens", prompt_tokens, "--decode-tokens", tokens, "--json"]
    done = subprocess.run([str(w) for w in words], capture_output=True, text=True, check=True, env={**os.environ, "OMP_WAIT_POLICY": "passive"})
    return json.loads(done.stdout)["batches"][0]["tokens_per_second"]


def start(arguments, *flags):
    return Server("--base-dir", arguments.base_dir, *flags, model=arguments.model, threads=arguments.threads)


def part_streams(arguments):
    with start(arguments, "--slots", arguments.streams, "--queue", arguments.streams) as server:
        ratios = [asyncio.run(many_streams(server.port, arguments.streams, arguments.tokens)) for _ in range(2)]
    if (ratio := max(ratios)) > 3:
        raise Broken(f"the slowest stream took {ratio:.2f} times as long as the fastest of its length")


def part_idle(arguments):
    with start(arguments) as server:
        asyncio.run(hold_idle(server, arguments.idle))


def part_slow(arguments):
    with start(arguments, "--timeout", 2) as server:
        asyncio.run(slow_clients(server.port, 50))


def part_memory(arguments):
    with start(arguments) as server:
        rss = asyncio.run(many_requests(server, arguments.requests))
    growth = rss[-1] - rss[len(rss) // 4]
    print(f"memory: {growth / 2**20:+.2f} MiB over the last three quarters")
    if growth > 4 << 20:
        raise Broken("memory grows")


def part_rate(arguments):
    batch, prompt, tokens = 16, 32, arguments.tokens
    server_rate = engine_rate = 0.0
    with start(arguments, "--slots", batch) as server:
        for _ in range(arguments.rounds):
            engine_rate = max(engine_rate, rate_of_engine(arguments, batch, prompt, tokens))
            server_rate = max(server_rate, asyncio.run(rate_of_streams(server.port, batch, prompt, tokens)))
    overhead = batch / server_rate - batch / engine_rate
    print(f"rate: {batch} streams {server_rate:.0f} tokens/s, the engine's own {engine_rate:.0f}: {server_rate / engine_rate:.3f}; "
          f"a step {batch / server_rate * 1e3:.2f} ms in place of {batch / engine_rate * 1e3:.2f}, {overhead / batch * 1e6:.1f} us for each token")


def part_page(arguments):
    with start(arguments) as server:
        begun = time.monotonic()
        seen, todo, total = set(), ["/"], 0
        while todo:
            path = todo.pop()
            seen.add(path)
            status, headers, body = server.request("GET", path, Accept_Encoding="identity")
            if status != 200:
                raise Broken(f"{path}: {status}")
            total += len(body)
            kind = headers["content-type"]
            if kind.startswith(("text/html", "text/javascript")):
                found = re.findall(rb"""(?:src=|href=|from |import ?\(?)["']\.?/?([\w./-]+\.\w+)["']""", body)
                todo += [p for p in {"/" + f.decode() for f in found} - seen if p not in todo and not p.endswith(".txt")]
        print(f"page: {len(seen)} files that it names, {total} bytes uncompressed, one after the other in {(time.monotonic() - begun) * 1e3:.0f} ms")


PARTS = {"streams": part_streams, "idle": part_idle, "slow": part_slow, "memory": part_memory, "rate": part_rate, "page": part_page}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help=" ".join(PARTS))
    parser.add_argument("--model", default="base:long")
    parser.add_argument("--base-dir")
    parser.add_argument("--program")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--streams", type=int, default=200)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--idle", type=int, default=2000)
    parser.add_argument("--requests", type=int, default=20000)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    if unknown := set(arguments.parts) - PARTS.keys():
        parser.error(f"no such part: {', '.join(unknown)}")
    if arguments.program:
        os.environ["NANOCHAT_BIN"] = arguments.program
    arguments.base_dir = arguments.base_dir or live_server.models()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    status = 0
    for name in arguments.parts or PARTS:
        try:
            PARTS[name](arguments)
        except Broken as broken:
            print(f"{name}: BROKEN: {broken}")
            status = 1
    sys.exit(status)


if __name__ == "__main__":
    main()
