#!/usr/bin/env python3
"""What PyTorch gets out of the same GPU, in the lines that bench/gpu prints: attention and training.

    bench/peers/torch_gpu.py attention
    bench/peers/torch_gpu.py train 20

The model and its optimizers are those of torch_train.py, through torch.compile, under bf16 autocast;
attention is F.scaled_dot_product_attention by each of its fused backends.
"""

import sys
import time

START = time.time()

SEQUENCE, VOCABULARY, STEP_TOKENS = 2048, 65536, 524288
PEAKS = {"H200": 989e12, "H100": 989e12, "GH200": 989e12, "B200": 2250e12, "A100": 312e12,
         "4090": 165e12}


def row(what, figure, share):
    print(f"{what:<46} | {figure:>22} | {share:>8}", flush=True)


def time_of(torch, f):
    f()
    torch.cuda.synchronize()
    start = time.perf_counter()
    f()
    torch.cuda.synchronize()
    calls = min(200, max(1, int(0.05 / (time.perf_counter() - start))))
    best = float("inf")
    for _ in range(4):
        start = time.perf_counter()
        for _ in range(calls):
            f()
        torch.cuda.synchronize()
        best = min(best, (time.perf_counter() - start) / calls)
    return best


def attention(torch, peak):
    from torch.nn.attention import SDPBackend, sdpa_kernel
    F = torch.nn.functional
    for D in (128, 64):
        B, H = 16, 1280 // D
        q, k, v = (torch.randn(B, H, SEQUENCE, D, device="cuda", dtype=torch.bfloat16,
                               requires_grad=True) for _ in range(3))
        flops = 4 * B * H * D * SEQUENCE * (SEQUENCE + 1) / 2
        for name, backend in (("flash", SDPBackend.FLASH_ATTENTION),
                              ("cuDNN", SDPBackend.CUDNN_ATTENTION)):
            try:
                with sdpa_kernel(backend):
                    forward = time_of(
                        torch, lambda: F.scaled_dot_product_attention(q, k, v, is_causal=True))
                    y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
                    dy = torch.randn_like(y)
                    backward = time_of(torch, lambda: torch.autograd.grad(
                        y, (q, k, v), dy, retain_graph=True))
            except RuntimeError as error:
                print(f"# PyTorch {name}: {str(error).splitlines()[0]}", flush=True)
                continue
            row(f"PyTorch {name} forward, head {D} T {SEQUENCE}",
                f"{flops / forward / 1e12:.1f} TFLOP/s", f"{flops / forward / peak:.3f}")
            row(f"PyTorch {name} backward, head {D} T {SEQUENCE}",
                f"{2.5 * flops / backward / 1e12:.1f} TFLOP/s",
                f"{2.5 * flops / backward / peak:.3f}")


def train(torch, peak, depth):
    from torch_train import Optimizer, build
    torch.manual_seed(1)
    width = 64 * depth
    heads = (width + 127) // 128
    B = 32
    with torch.device("cuda"):
        model = build(torch)(depth, width, heads, VOCABULARY, SEQUENCE)
        model.init_weights()
        ids = (VOCABULARY * torch.rand(B, SEQUENCE + 1) ** 3).long()
    inputs, targets = ids[:, :-1].contiguous(), ids[:, 1:].contiguous()
    optimizer = Optimizer(torch, model, width, torch.bfloat16, True)
    loss_of = torch.compile(model, dynamic=False)

    def micro_step():
        with torch.autocast("cuda", torch.bfloat16):
            loss = loss_of(inputs, targets)
        loss.backward()

    def update():
        for p in model.parameters():
            if p.grad is None:
                p.grad = torch.zeros_like(p)
        optimizer.step(0)

    micro_step()
    update()
    torch.cuda.synchronize()
    row(f"PyTorch depth {depth}: first step", f"{time.time() - START:.2f} s", "-")
    micro = time_of(torch, micro_step)
    optim = time_of(torch, update)
    seconds = micro * (STEP_TOKENS // (B * SEQUENCE)) + optim
    rate = STEP_TOKENS / seconds
    matrices = sum(p.numel() for p in model.parameters()) - VOCABULARY * width
    flops = rate * (6 * matrices + 12 * depth * width * SEQUENCE)
    row(f"PyTorch depth {depth}: training", f"{rate:.0f} tokens/s", f"{flops / peak:.3f}")
    row(f"PyTorch depth {depth}: optimizer's share", f"{optim * 1e3:.1f} ms",
        f"{optim / seconds:.4f}")
    row(f"PyTorch depth {depth}: memory", f"{torch.cuda.max_memory_reserved() / 2**30:.2f} GiB",
        "-")


def main():
    import torch
    if not torch.cuda.is_available():
        sys.exit("torch_gpu.py: PyTorch sees no GPU")
    name = torch.cuda.get_device_name()
    peak = next((value for key, value in PEAKS.items() if key in name), float("inf"))
    print(f"# PyTorch {torch.__version__} on {name}", flush=True)
    torch.set_float32_matmul_precision("high")
    if sys.argv[1:2] == ["attention"]:
        attention(torch, peak)
    elif sys.argv[1:2] == ["train"] and len(sys.argv) == 3:
        train(torch, peak, int(sys.argv[2]))
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
