#!/usr/bin/env python3
"""Training speed and memory beside PyTorch: the same model, the same batch, full optimizer steps.

    bench/peers/torch_train.py                        # depth 6, 16384 tokens a step
    bench/peers/torch_train.py --depth 4 --rounds 3
    bench/peers/torch_train.py --check                # is the model here upstream's?

PyTorch runs classic nanochat's architecture and optimizers (AdamW for the embeddings, Muon for the
matrices, clipping, gradient accumulation) eagerly and through torch.compile, in f32 and under bf16
autocast with f32 master weights, and with Newton-Schulz in bf16, as upstream has it, and in f32,
which CPUs without bf16 units prefer. bf16 autocast is left out where the CPU has no bf16 units,
unless --bf16 asks for it. We are the program train_step of the build (bench/train_step.cpp):
--program, else $NANOCHAT_BIN/train_step, else build/release/bench/train_step.

Every setting of PyTorch is a process of its own that waits between its turns; all take a turn in
each round, so that a busy minute of the machine does not hit one of them alone. The best step
counts. Memory is the peak of the process; since a good part of PyTorch's is the library, the figure
without what it held right after "import torch" stands beside it, ours without what the program holds
when it starts.

--check loads the weights of the fixtures (--fixtures, else $NANOCHAT_FIXTURES, else
../shared/fixtures), compares loss and gradients with gpt_mha, and ten optimizer steps with optim.

Needs PyTorch (pip install torch) and, for torch.compile, a C++ compiler.
"""

import argparse
import json
import os
import re
import resource
import struct
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = {  # name: (torch.compile, bf16 autocast, Newton-Schulz in bf16)
    "eager f32": (False, False, True),
    "eager f32, Muon f32": (False, False, False),
    "compile f32": (True, False, True),
    "compile f32, Muon f32": (True, False, False),
    "eager bf16": (False, True, True),
    "compile bf16": (True, True, True),
}


def fail(message):
    sys.exit(f"torch_train.py: {message}")


def peak_mib():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def cpu_has_bf16():
    flags = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace")
    return "avx512_bf16" in flags or "amx_bf16" in flags


# ---- the model


def build(torch):
    """The classes, once PyTorch is there: the process that only starts others does without it."""
    nn, F = torch.nn, torch.nn.functional

    def norm(x):
        return F.rms_norm(x, (x.size(-1),), eps=2.0**-23)

    def rotate(x, cos, sin):
        a, b = x.chunk(2, dim=-1)  # halves, turned by minus the angle
        return torch.cat([a * cos + b * sin, b * cos - a * sin], dim=-1)

    class Attention(nn.Module):
        def __init__(self, width, heads):
            super().__init__()
            self.heads = heads
            for name in ("c_q", "c_k", "c_v", "c_proj"):
                setattr(self, name, nn.Linear(width, width, bias=False))

        def forward(self, x, cos, sin):
            B, T, C = x.shape
            q, k, v = (f(x).view(B, T, self.heads, -1) for f in (self.c_q, self.c_k, self.c_v))
            q, k = norm(rotate(q, cos, sin)), norm(rotate(k, cos, sin))
            q, k, v = (t.to(v.dtype).transpose(1, 2) for t in (q, k, v))
            y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
            return self.c_proj(y.transpose(1, 2).reshape(B, T, C))

    class Mlp(nn.Module):
        def __init__(self, width):
            super().__init__()
            self.c_fc = nn.Linear(width, 4 * width, bias=False)
            self.c_proj = nn.Linear(4 * width, width, bias=False)

        def forward(self, x):
            return self.c_proj(F.relu(self.c_fc(x)).square())

    class Block(nn.Module):
        def __init__(self, width, heads):
            super().__init__()
            self.attn, self.mlp = Attention(width, heads), Mlp(width)

        def forward(self, x, cos, sin):
            x = x + self.attn(norm(x), cos, sin)
            return x + self.mlp(norm(x))

    class Gpt(nn.Module):
        def __init__(self, layers, width, heads, vocabulary, context):
            super().__init__()
            self.transformer = nn.ModuleDict({
                "wte": nn.Embedding(vocabulary, width),
                "h": nn.ModuleList(Block(width, heads) for _ in range(layers))})
            self.lm_head = nn.Linear(width, vocabulary, bias=False)
            D = width // heads
            frequency = 1.0 / 10000 ** (torch.arange(0, D, 2, dtype=torch.float32) / D)
            angle = torch.outer(torch.arange(context, dtype=torch.float32), frequency)
            for name, table in (("cos", angle.cos()), ("sin", angle.sin())):
                table = table.bfloat16()[None, :, None, :]  # rounded even when all else is f32
                self.register_buffer(name, table, persistent=False)

        def forward(self, ids, targets):
            T = ids.size(1)
            cos, sin = self.cos[:, :T], self.sin[:, :T]
            x = norm(self.transformer["wte"](ids))
            for block in self.transformer["h"]:
                x = block(x, cos, sin)
            logits = self.lm_head(norm(x))
            logits = (15 * torch.tanh(logits / 15)).float()
            return F.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=-1)

        def init_weights(self):
            for p in self.parameters():
                out, into = p.shape
                nn.init.normal_(p, std=min(1, (out / into) ** 0.5) / into**0.5)
            nn.init.normal_(self.transformer["wte"].weight)
            nn.init.zeros_(self.lm_head.weight)
            for block in self.transformer["h"]:
                nn.init.zeros_(block.attn.c_proj.weight)
                nn.init.zeros_(block.mlp.c_proj.weight)

    return Gpt


class Optimizer:
    """Classic nanochat's: clipping, AdamW, Muon; momentum as at the start of a run."""

    def __init__(self, torch, model, width, ns_dtype, compiled):
        self.torch, self.model = torch, model
        scale = (width / 768) ** -0.5
        self.adamw = torch.optim.AdamW(
            [{"params": [model.lm_head.weight], "lr": 0.004 * scale},
             {"params": [model.transformer["wte"].weight], "lr": 0.2 * scale}],
            betas=(0.8, 0.95), eps=1e-10, weight_decay=0.0, fused=True)
        self.rates = [group["lr"] for group in self.adamw.param_groups]
        self.matrices = list(model.transformer["h"].parameters())
        self.momenta = [torch.zeros_like(p) for p in self.matrices]

        def orthogonal(g):
            x = g.to(ns_dtype)
            tall = x.size(0) > x.size(1)
            x = x.mT if tall else x
            x = x / (x.norm() + 1e-7)
            for _ in range(5):
                a = x @ x.mT
                b = -4.7750 * a + 2.0315 * a @ a
                x = 3.4445 * x + b @ x
            return x.mT if tall else x

        self.orthogonal = torch.compile(orthogonal) if compiled else orthogonal

    def step(self, i, multiplier=1.0, clip=1.0):
        """Returns the norm of the gradient before clipping."""
        torch = self.torch
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), clip)
        for group, rate in zip(self.adamw.param_groups, self.rates):
            group["lr"] = rate * multiplier
        self.adamw.step()
        f = min(i / 300, 1)
        mu = (1 - f) * 0.85 + f * 0.95
        with torch.no_grad():
            for p, m in zip(self.matrices, self.momenta):
                m.lerp_(p.grad, 1 - mu)
                update = self.orthogonal(p.grad.lerp(m, mu))
                rate = 0.02 * multiplier * max(1, p.size(0) / p.size(1)) ** 0.5
                p.add_(update.to(p.dtype), alpha=-rate)
        self.model.zero_grad(set_to_none=True)
        return norm


# ---- a setting of PyTorch, in a process of its own


def work(args):
    """Reads "N" from stdin: takes N steps, prints the seconds of the best and memory, as JSON."""
    import torch
    imported_mib = peak_mib()
    compiled, autocast, ns_bf16 = SETTINGS[args.worker]
    torch.set_num_threads(args.threads)
    torch.manual_seed(1)
    width = 64 * args.depth
    model = build(torch)(args.depth, width, max(1, (width + 127) // 128), args.vocab_size,
                         args.sequence_len)
    model.init_weights()
    optimizer = Optimizer(torch, model, width, torch.bfloat16 if ns_bf16 else torch.float32,
                          compiled)
    loss_of = torch.compile(model, dynamic=False) if compiled else model
    B, T = args.device_batch_size, args.sequence_len
    micro_batches = args.total_batch_size // (B * T)
    # Mostly small ids, as text has.
    ids = (args.vocab_size * torch.rand(B, T + 1) ** 3).long()
    inputs, targets = ids[:, :-1].contiguous(), ids[:, 1:].contiguous()

    def step(i):
        for _ in range(micro_batches):
            with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
                loss = loss_of(inputs, targets)
            (loss / micro_batches).backward()
        optimizer.step(i)
        return loss.item()

    def take_steps(n):
        best = float("inf")
        for _ in range(n):
            start = time.perf_counter()
            loss = step(take_steps.done)
            best = min(best, time.perf_counter() - start)
            take_steps.done += 1
        print(json.dumps({"seconds": best, "peak_mib": peak_mib(), "imported_mib": imported_mib,
                          "loss": loss}), flush=True)

    take_steps.done = 0
    for line in sys.stdin:
        take_steps(int(line))


class Peer:
    def __init__(self, name, args, environment):
        self.name, self.results = name, []
        flags = [f"--{key.replace('_', '-')}={getattr(args, key)}" for key in
                 ("depth", "vocab_size", "sequence_len", "total_batch_size", "device_batch_size",
                  "threads")]
        self.process = subprocess.Popen([sys.executable, __file__, "--worker", name, *flags],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                        env=environment)

    def turn(self, steps):
        try:
            self.process.stdin.write(f"{steps}\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass
        line = self.process.stdout.readline()
        if not line:
            fail(f"PyTorch, {self.name}, ended with exit code {self.process.wait()}")
        return json.loads(line)

    def close(self):
        self.process.stdin.close()
        self.process.wait()


# ---- ours


def our_turn(args, environment):
    command = [args.program, "--depth", args.depth, "--vocab-size", args.vocab_size,
               "--sequence-len", args.sequence_len, "--total-batch-size", args.total_batch_size,
               "--device-batch-size", args.device_batch_size, "--steps", args.steps, "--threads",
               args.threads] + (["--dtype", args.dtype] if args.dtype else [])
    try:
        done = subprocess.run([str(word) for word in command], capture_output=True, text=True,
                              env=environment, check=False)
    except OSError as error:
        fail(f"{args.program}: {error.strerror}: ./run bench train_step builds it")
    if done.returncode != 0:
        fail(f"{args.program}: {done.stderr.strip()}")
    speed = re.search(r"^(\w+)\s+x\d+\s+(\d+) tokens/s", done.stdout, re.MULTILINE)
    peak = re.search(r"peak of the process (\d+) MiB", done.stdout)
    return {"dtype": speed[1], "seconds": args.total_batch_size / float(speed[2]),
            "peak_mib": float(peak[1])}


def our_start_mib(args, environment):
    """What the program holds before it has done anything."""
    code = ("import resource, subprocess, sys; "
            "subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL); "
            "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024)")
    done = subprocess.run([sys.executable, "-c", code, str(args.program), "--help"], check=True,
                          capture_output=True, text=True, env=environment)
    return float(done.stdout)


def compare(args):
    environment = {key: value for key, value in os.environ.items()
                   if key not in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")}
    environment["OMP_NUM_THREADS"] = str(args.threads)
    if args.total_batch_size % (args.device_batch_size * args.sequence_len) != 0:
        fail(f"a total batch of {args.total_batch_size} tokens is no multiple of "
             f"{args.device_batch_size} x {args.sequence_len}")
    names = args.settings or [name for name in SETTINGS
                              if "bf16" not in name or args.bf16 or cpu_has_bf16()]
    if not args.settings and len(names) < len(SETTINGS):
        print("PyTorch's bf16 autocast is left out: this CPU has no bf16 units (--bf16 runs it)")
    print(f"depth {args.depth}, vocabulary {args.vocab_size}, T {args.sequence_len}, "
          f"{args.total_batch_size} tokens a step, {args.device_batch_size} sequences a "
          f"micro-batch, {args.threads} threads; best of {args.rounds} rounds of {args.steps} "
          "steps", flush=True)

    start_mib = our_start_mib(args, environment)
    peers = [Peer(name, args, environment) for name in names]
    for peer in peers:
        peer.turn(1)  # compiles, allocates
    ours = []
    for _ in range(args.rounds):
        ours.append(our_turn(args, environment))
        for peer in peers:
            peer.results.append(peer.turn(args.steps))
    for peer in peers:
        peer.close()

    rows = [(f"nanochat++ {ours[0]['dtype']}", min(r["seconds"] for r in ours),
             max(r["peak_mib"] for r in ours), start_mib)]
    for peer in peers:
        rows.append((f"PyTorch {peer.name}", min(r["seconds"] for r in peer.results),
                     max(r["peak_mib"] for r in peer.results), peer.results[0]["imported_mib"]))
    print(f"{'':34}{'tokens/s':>9}{'ms/step':>9}{'peak MiB':>10}{'- start':>9}")
    for name, seconds, peak, base in rows:
        print(f"{name:34}{args.total_batch_size / seconds:9.0f}{1000 * seconds:9.0f}{peak:10.0f}"
              f"{peak - base:9.0f}")
    _, our_seconds, our_peak, our_base = rows[0]
    fastest = min(rows[1:], key=lambda row: row[1])
    leanest = min(rows[1:], key=lambda row: row[2])
    print(f"speed    {fastest[1] / our_seconds:.2f} x PyTorch's best ({fastest[0]})")
    print(f"memory   {our_peak / fastest[2]:.2f} x of that setting, {our_peak / leanest[2]:.2f} x "
          f"of its leanest ({leanest[0]})")
    print(f"         {(our_peak - our_base) / (fastest[2] - fastest[3]):.2f} x and "
          f"{(our_peak - our_base) / min(row[2] - row[3] for row in rows[1:]):.2f} x without "
          "what the programs hold at their start")


# ---- --check


def load_safetensors(torch, path):
    data = path.read_bytes()
    (size,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8:8 + size])
    dtypes = {"F32": torch.float32, "I64": torch.int64, "I32": torch.int32}
    tensors = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        begin, end = (8 + size + offset for offset in entry["data_offsets"])
        raw = torch.frombuffer(bytearray(data[begin:end]), dtype=dtypes[entry["dtype"]])
        tensors[name] = raw.reshape(entry["shape"])
    return tensors


def load_model(torch, config, tensors, prefix):
    model = build(torch)(config["n_layer"], config["n_embd"], config["n_head"],
                         config["vocab_size"], 10 * config["sequence_len"])
    model.load_state_dict({name.removeprefix(prefix): t for name, t in tensors.items()
                           if name.startswith(prefix)})
    return model


def check_close(what, actual, expected, limit):
    error = abs(actual - expected) / abs(expected)
    if not error <= limit:
        fail(f"--check: {what} is {actual}, upstream's is {expected}")
    return error


def check(args):
    import torch
    folder = args.fixtures / "classic"
    try:
        gpt = json.loads((folder / "gpt_mha.json").read_text(encoding="utf-8"))
        run = json.loads((folder / "optim.json").read_text(encoding="utf-8"))
        tensors = load_safetensors(torch, folder / "gpt_mha.safetensors")
        steps = load_safetensors(torch, folder / "optim.safetensors")
    except OSError as error:
        fail(f"{error.filename}: {error.strerror}: give the fixtures with --fixtures")

    model = load_model(torch, gpt["config"], tensors, "w.")
    loss = model(tensors["idx"], tensors["targets"])
    loss.backward()
    error = check_close("loss", loss.item(), gpt["loss_mean"], 1e-5)
    worst = 0.0
    for name, p in model.named_parameters():
        g = tensors["g." + name]
        worst = max(worst, ((p.grad - g).abs().max() / g.abs().max()).item())
        if not worst <= 1e-4:
            fail(f"--check: the gradient of {name} differs by {worst:.2g} of its largest element")
    print(f"gpt_mha: loss within {error:.1e}, gradients within {worst:.1e} of their largest")

    for variant, dtype, limit in (("fp32", torch.float32, 1e-4), ("bf16", torch.bfloat16, 2e-2)):
        model = load_model(torch, run["config"], steps, "w0.")
        optimizer = Optimizer(torch, model, run["config"]["n_embd"], dtype, False)
        worst = 0.0
        for i, expected in enumerate(run["variants"][variant]["steps"]):
            loss = model(steps["idx"][i], steps["targets"][i])
            loss.backward()
            norm = optimizer.step(i, expected["lrm"])
            worst = max(worst, check_close(f"{variant} loss {i}", loss.item(), expected["loss"],
                                           limit),
                        check_close(f"{variant} norm {i}", norm.item(), expected["grad_norm"],
                                    5 * limit))
        print(f"optim {variant}: losses and gradient norms of {i + 1} steps within {worst:.1e}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0],
                                     epilog=__doc__.split("\n", maxsplit=1)[1],
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--depth", type=int, default=6)
    parser.add_argument("--vocab-size", type=int, default=32768)
    parser.add_argument("--sequence-len", type=int, default=512)
    parser.add_argument("--total-batch-size", type=int, default=16384, help="tokens a step")
    parser.add_argument("--device-batch-size", type=int, default=8, help="sequences at a time")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=2, help="of each round and setting")
    parser.add_argument("--settings", nargs="+", choices=SETTINGS, metavar="SETTING",
                        help=f"of PyTorch: {'; '.join(SETTINGS)} (default: all that make sense)")
    parser.add_argument("--bf16", action="store_true", help="autocast without bf16 units too")
    parser.add_argument("--dtype", help="ours: f32 or bf16 (default: what the CPU is good at)")
    build_folder = os.environ.get("NANOCHAT_BIN", ROOT / "build/release/bench")
    parser.add_argument("--program", type=Path, default=Path(build_folder) / "train_step")
    fixtures = os.environ.get("NANOCHAT_FIXTURES", ROOT.parent / "shared/fixtures")
    parser.add_argument("--fixtures", type=Path, default=Path(fixtures))
    parser.add_argument("--check", action="store_true", help="compare with upstream's numbers")
    parser.add_argument("--worker", choices=SETTINGS, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.check:
        check(args)
    elif args.worker:
        work(args)
    else:
        compare(args)


if __name__ == "__main__":
    main()
