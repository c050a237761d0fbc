#!/usr/bin/env python3
"""Trains one tokenizer with rustbpe (upstream's trainer), Hugging Face tokenizers and us.

    bench/peers/tok_train.py [--bin build/release/src/nanochat] [--data FOLDER] [--repeats 3]

All read the same JSON lines, each in a process of its own with the same number of threads, one
after another, and the best of the repeats counts. The seconds are those of the whole process, from
its start to the vocabulary on the disk: a peer's include Python's start and its reading of the
lines. Memory is the process's peak. Our vocabulary must be rustbpe's, token for token.

The text is that of every .jsonl and .txt file under FOLDER, repeated until there is enough. A .txt
file is cut into documents at its empty lines, as one document it would leave the peers' threads
idle.
"""

import argparse
import base64
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
PATTERN = (r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,2}"
           r"| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+")
N_SPECIALS = 9
OURS = "nanochat"


def fail(message):
    sys.exit(f"tok_train.py: {message}")


# ---- the corpus


def documents_of(path):
    if path.suffix == ".jsonl":
        with path.open(encoding="utf-8") as lines:
            return [json.loads(line)["text"] for line in lines]
    text = path.read_bytes().decode("utf-8")
    return [part + "\n" for part in text.split("\n\n") if part]


def write_corpus(folder, min_bytes, out):
    """Returns documents, bytes of text and repetitions."""
    files = sorted(p for p in folder.rglob("*") if p.suffix in (".jsonl", ".txt"))
    documents = [document for path in files for document in documents_of(path)]
    n_bytes = sum(len(document.encode()) for document in documents)
    if n_bytes == 0:
        fail(f"no .jsonl or .txt with text under {folder}: give another folder with --data")
    lines = "".join(json.dumps({"text": d}, ensure_ascii=False) + "\n" for d in documents)
    repetitions = -(-min_bytes // n_bytes)
    with out.open("w", encoding="utf-8") as file:
        for _ in range(repetitions):
            file.write(lines)
    return len(documents) * repetitions, n_bytes * repetitions, repetitions


# ---- the peers, each in a process that is this script again


def read_documents(corpus):
    with open(corpus, "rb") as lines:
        for line in lines:
            yield json.loads(line)["text"]


def train_rustbpe(corpus, vocab_size, out):
    import rustbpe

    tokenizer = rustbpe.Tokenizer()
    tokenizer.train_from_iterator(read_documents(corpus), vocab_size - N_SPECIALS, pattern=PATTERN)
    ranks = sorted(tokenizer.get_mergeable_ranks(), key=lambda pair: pair[1])
    with open(out, "w", encoding="ascii") as file:
        for token, rank in ranks:
            file.write(f"{base64.b64encode(bytes(token)).decode()} {rank}\n")


def train_tokenizers(corpus, vocab_size, out):
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE(byte_fallback=True, unk_token=None, fuse_unk=False))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(PATTERN), behavior="isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ])
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size - N_SPECIALS, show_progress=False, min_frequency=0,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    tokenizer.train_from_iterator(read_documents(corpus), trainer)
    tokenizer.save(str(out))


PEERS = {"rustbpe": train_rustbpe, "tokenizers": train_tokenizers}


# ---- the measurement


def measure(command, threads):
    """Seconds and peak MiB of a process that must succeed."""
    threads = str(threads)
    environment = dict(os.environ, RAYON_NUM_THREADS=threads, OMP_NUM_THREADS=threads,
                       TOKENIZERS_PARALLELISM="true")
    start = time.monotonic()
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.monotonic() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        fail(f"{' '.join(map(str, command))}: exit code {process.returncode}")
    return seconds, usage.ru_maxrss / 1024


def check_same_vocabulary(binary, folder):
    ours = folder / "ours.tiktoken"
    subprocess.run([binary, "tok", "export", "--quiet", "--tokenizer", folder / OURS,
                    "--to", "tiktoken", "--out", ours], check=True)
    lines, expected = (path.read_text().splitlines() for path in (ours, folder / "rustbpe"))
    if lines != expected:
        pairs = list(zip(lines, expected))
        at = next((i for i, (a, b) in enumerate(pairs) if a != b), len(pairs))
        fail(f"our vocabulary is not rustbpe's: {len(lines)} and {len(expected)} tokens, "
             f"the first that differs is {at}")
    print(f"our {len(lines)} tokens are rustbpe's")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    data = os.environ.get("NANOCHAT_DATA", REPOSITORY.parent / "shared" / "data")
    parser.add_argument("--bin", type=Path,
                        default=os.environ.get("NANOCHAT_BIN", REPOSITORY / "build/release/src/nanochat"),
                        help="our program (else $NANOCHAT_BIN, else %(default)s)")
    parser.add_argument("--data", type=Path, default=Path(data) / "pretrain",
                        help="folder of .jsonl and .txt (else $NANOCHAT_DATA/pretrain)")
    parser.add_argument("--vocab-size", type=int, default=32768)
    parser.add_argument("--min-bytes", type=int, default=200_000_000)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--peers", nargs="*", choices=PEERS, default=list(PEERS))
    parser.add_argument("--run-peer", nargs=3, metavar=("PEER", "CORPUS", "OUT"),
                        help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.run_peer:
        peer, corpus, out = args.run_peer
        PEERS[peer](corpus, args.vocab_size, out)
        return

    missing = [peer for peer in args.peers if importlib.util.find_spec(peer) is None]
    if missing:
        fail(f"not installed: pip install {' '.join(missing)} (or leave out with --peers)")
    if not args.bin.is_file():
        fail(f"no program at {args.bin}: build it, or name it with --bin or $NANOCHAT_BIN")

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        corpus = folder / "corpus.jsonl"
        documents, n_bytes, repetitions = write_corpus(args.data, args.min_bytes, corpus)
        print(f"{documents} documents, {n_bytes / 1e6:.1f} MB of text ({repetitions} times "
              f"{args.data}), vocabulary {args.vocab_size}, {args.threads} threads, "
              f"best of {args.repeats}", flush=True)
        commands = {OURS: [args.bin, "tok", "train", "--quiet", "--data", corpus, "--split", "all",
                           "--doc-cap", "0", "--max-chars", str(10**12),
                           "--vocab-size", str(args.vocab_size), "--out", folder / OURS]}
        for peer in args.peers:
            commands[peer] = [sys.executable, __file__, "--vocab-size", str(args.vocab_size),
                              "--run-peer", peer, corpus, folder / peer]
        # Round by round, so that a busy minute of the machine does not hit one of them alone.
        runs = {name: [] for name in commands}
        for _ in range(args.repeats):
            for name, command in commands.items():
                runs[name].append(measure(command, args.threads))
        if "rustbpe" in args.peers:
            check_same_vocabulary(args.bin, folder)

        best = {name: (min(s for s, _ in r), max(m for _, m in r)) for name, r in runs.items()}
        print(f"{'':12}{'seconds':>10}{'MB/s':>8}{'peak MiB':>10}{'time':>9}{'memory':>9}")
        for name, (seconds, mib) in best.items():
            print(f"{name:12}{seconds:10.2f}{n_bytes / 1e6 / seconds:8.1f}{mib:10.0f}"
                  f"{seconds / best[OURS][0]:8.1f}x{mib / best[OURS][1]:8.1f}x")


if __name__ == "__main__":
    main()
