#!/usr/bin/env python3
"""Generation speed beside PyTorch: the same model with a key/value cache, greedy, in one run.

    bench/peers/torch_infer.py                       # depth 12, 1 and 16 sequences
    bench/peers/torch_infer.py --depth 6 --rounds 3
    bench/peers/torch_infer.py --check               # does the cache give the logits of the whole?

PyTorch runs classic nanochat's architecture (bench/peers/torch_train.py) eagerly, in f32 and in bf16
weights and activations, with a cache that is allocated once and written in place. We are
`nanochat bench infer` (--program, else build/release/src/nanochat) with --dtype f32, and with bf16
weights. All take a turn in each round; the best counts. Both sides read a prompt of --prompt-tokens
and then generate; only the tokens after the first are timed, by the median step.

Needs PyTorch (pip install torch).
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

from torch_train import build, fail

ROOT = Path(__file__).resolve().parents[2]


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--depth", type=int, default=12)
    parser.add_argument("--vocab-size", type=int, default=32768)
    parser.add_argument("--prompt-tokens", type=int, default=128)
    parser.add_argument("--decode-tokens", type=int, default=32)
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[1, 16])
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--program", default=ROOT / "build/release/src/nanochat")
    parser.add_argument("--check", action="store_true")
    return parser.parse_args()


class Decoder:
    """The forward pass of torch_train's Gpt, with a cache."""

    def __init__(self, torch, model, dtype, batch, capacity):
        self.torch, self.model, self.dtype = torch, model, dtype
        blocks = model.transformer["h"]
        heads = blocks[0].attn.heads
        width = model.lm_head.weight.shape[1]
        shape = (len(blocks), 2, batch, heads, capacity, width // heads)
        self.cache = torch.zeros(shape, dtype=dtype)
        self.position = 0

    def norm(self, x):
        return self.torch.nn.functional.rms_norm(x, (x.size(-1),), eps=2.0**-23)

    def rotate(self, x, cos, sin):
        a, b = x.chunk(2, dim=-1)
        return self.torch.cat([a * cos + b * sin, b * cos - a * sin], dim=-1)

    def __call__(self, ids):
        """Logits of the last token of each row; ids [B, T] follow what the cache holds."""
        F = self.torch.nn.functional
        B, T = ids.shape
        begin, end = self.position, self.position + T
        cos, sin = (t[:, begin:end].to(self.dtype) for t in (self.model.cos, self.model.sin))
        x = self.norm(self.model.transformer["wte"](ids))
        for layer, block in enumerate(self.model.transformer["h"]):
            attn, u = block.attn, self.norm(x)
            q, k, v = (f(u).view(B, T, attn.heads, -1) for f in (attn.c_q, attn.c_k, attn.c_v))
            q, k = (self.norm(self.rotate(t, cos, sin)).transpose(1, 2) for t in (q, k))
            self.cache[layer, 0, :, :, begin:end] = k
            self.cache[layer, 1, :, :, begin:end] = v.transpose(1, 2)
            keys, values = self.cache[layer, :, :, :, :end]
            y = F.scaled_dot_product_attention(q, keys, values, is_causal=T > 1 and begin == 0)
            x = x + attn.c_proj(y.transpose(1, 2).reshape(B, T, -1))
            x = x + block.mlp(self.norm(x))
        self.position = end
        logits = self.model.lm_head(self.norm(x[:, -1]))
        return 15 * self.torch.tanh(logits.float() / 15)


def make_model(torch, arguments, dtype):
    width = 64 * arguments.depth
    heads = max(1, (width + 127) // 128)
    torch.manual_seed(1)
    context = arguments.prompt_tokens + arguments.decode_tokens + 2
    model = build(torch)(arguments.depth, width, heads, arguments.vocab_size, context)
    model.init_weights()
    for name, weight in model.named_parameters():  # what starts at zero would hide mistakes
        if name.endswith("c_proj.weight") or name.startswith("lm_head"):
            torch.nn.init.normal_(weight, std=0.02)
    return model.to(dtype).eval()


def measure_torch(torch, arguments, model, dtype, batch):
    """Seconds of the median step."""
    ids = torch.randint(arguments.vocab_size, (1, arguments.prompt_tokens)).repeat(batch, 1)
    with torch.inference_mode():
        decode = Decoder(torch, model, dtype, batch,
                         arguments.prompt_tokens + arguments.decode_tokens + 1)
        token = decode(ids).argmax(-1, keepdim=True)
        seconds = []
        for _ in range(arguments.decode_tokens):
            start = time.perf_counter()
            token = decode(token).argmax(-1, keepdim=True)
            seconds.append(time.perf_counter() - start)
    return sorted(seconds)[len(seconds) // 2]


def measure_ours(arguments, dtype, batch):
    command = [arguments.program, "bench", "infer", "--depth", arguments.depth, "--vocab-size",
               arguments.vocab_size, "--prompt-tokens", arguments.prompt_tokens,
               "--decode-tokens", arguments.decode_tokens, "--batch-sizes", batch,
               "--dtype", dtype, "--threads", arguments.threads, "--json"]
    result = subprocess.run(list(map(str, command)), check=True, capture_output=True)
    return json.loads(result.stdout)["batches"][0]["step_seconds"]


def check(torch, arguments):
    """With the cache in chunks, the last token's logits are those of one pass over all tokens."""
    model = make_model(torch, arguments, torch.float32)
    ids = torch.randint(arguments.vocab_size, (2, arguments.prompt_tokens))
    with torch.inference_mode():
        whole = Decoder(torch, model, torch.float32, 2, ids.shape[1])(ids)
        decode = Decoder(torch, model, torch.float32, 2, ids.shape[1])
        decode(ids[:, :-3])
        for i in range(3, 0, -1):
            logits = decode(ids[:, ids.shape[1] - i:ids.shape[1] - i + 1])
    error = (whole - logits).abs().max().item()
    print(f"largest difference {error:.2e} of logits up to {whole.abs().max().item():.2f}")
    if not error < 1e-3:
        fail("the cache does not give the logits of the whole prompt")


def main():
    arguments = parse_arguments()
    try:
        import torch
    except ImportError as error:
        sys.exit(f"torch_infer.py: {error}; pip install torch")
    torch.set_num_threads(arguments.threads)
    if arguments.check:
        return check(torch, arguments)
    dtypes = {"f32": torch.float32, "bf16": torch.bfloat16}
    models = {name: make_model(torch, arguments, dtype) for name, dtype in dtypes.items()}
    print(f"depth {arguments.depth}, prompt of {arguments.prompt_tokens}, best of "
          f"{arguments.rounds}, PyTorch {torch.__version__}")
    for batch in arguments.batch_sizes:
        sides = {f"PyTorch {name}": lambda n=name: measure_torch(
            torch, arguments, models[n], dtypes[n], batch) for name in dtypes}
        sides |= {"nanochat f32": lambda: measure_ours(arguments, "f32", batch),
                  "nanochat, bf16 weights": lambda: measure_ours(arguments, "auto", batch)}
        best = {}
        for _ in range(arguments.rounds):
            for side, measure in sides.items():
                best[side] = min(measure(), best.get(side, 1e9))
        print(f"\n{batch} sequence{'s' * (batch > 1)}:")
        for side, seconds in best.items():
            print(f"  {side:24} {1e3 * seconds:8.1f} ms a step, {batch / seconds:8.1f} tokens/s")
        theirs = min(best[f"PyTorch {name}"] for name in dtypes)
        print(f"  f32 beside f32: {best['PyTorch f32'] / best['nanochat f32']:.2f}x; bf16 weights "
              f"beside PyTorch's best: {theirs / best['nanochat, bf16 weights']:.2f}x")


if __name__ == "__main__":
    main()
