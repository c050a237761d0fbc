#!/usr/bin/env python3
"""Encoding speed against tiktoken and Hugging Face tokenizers: the same vocabulary, the same
documents, in one run, best of several, in turns so that a busy machine is busy for all.

    bench/peers/tok_encode.py english=a.jsonl,b.jsonl chinese=c.jsonl
    bench/peers/tok_encode.py english=a.jsonl --tokenizer FOLDER --threads 1 2 --repeat 5

Our side is the program tok_encode of the build (bench/tok_encode.cpp): --program, else
$NANOCHAT_BIN/tok_encode, else build/release/bench/tok_encode. Without --tokenizer it trains one on
all the documents. Each side measures only the encoding of documents that are in memory.
Needs the packages tiktoken and tokenizers (pip install tiktoken tokenizers).
"""

import argparse
import base64
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

try:
    import tiktoken
    import tokenizers
except ImportError as error:
    sys.exit(f"tok_encode.py: {error}; pip install tiktoken tokenizers")

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("corpora", nargs="+", metavar="NAME=FILE,FILE",
                        help="files .jsonl with the member text; any other file is one document")
    parser.add_argument("--tokenizer", help="a folder with our file, tokenizer.json and ranks")
    parser.add_argument("--vocab-size", type=int, default=32768, help="when one is trained")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--repeat", type=int, default=5)
    build = os.environ.get("NANOCHAT_BIN", ROOT / "build/release/bench")
    parser.add_argument("--program", default=pathlib.Path(build) / "tok_encode")
    return parser.parse_args()


def documents_of(files):
    documents = []
    for name in files:
        with open(name, encoding="utf-8", newline="") as file:
            if name.endswith(".jsonl"):
                documents += [json.loads(line)["text"] for line in file if line.strip()]
            else:
                documents.append(file.read())
    return documents


def ours(arguments, files, folder, threads):
    """The best of three in a process: tiktoken, whose process lives through all rounds, is warm."""
    command = [arguments.program, *files, "--tokenizer", folder, "--json", "--repeat", "3",
               "--threads", str(threads)]
    result = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)[0]
    return result["seconds"], result["tokens"]


def seconds_and_tokens(encode):
    start = time.perf_counter()
    rows = encode()
    return time.perf_counter() - start, sum(map(len, rows))


def child(folder, files, threads):
    """Hugging Face's threads are set once a process, so each measurement is a process."""
    os.environ["RAYON_NUM_THREADS"] = str(threads)
    os.environ["TOKENIZERS_PARALLELISM"] = "true" if threads > 1 else "false"
    face = tokenizers.Tokenizer.from_file(f"{folder}/tokenizer.json")
    face.encode_special_tokens = True
    documents = documents_of(files)
    start = time.perf_counter()
    encodings = face.encode_batch_fast(documents, add_special_tokens=False)
    seconds = time.perf_counter() - start
    print(json.dumps([seconds, sum(len(e.ids) for e in encodings)]))


def hugging_face(folder, files, threads):
    command = [sys.executable, __file__, "--child", folder, str(threads), *files]
    return json.loads(subprocess.run(command, check=True, capture_output=True).stdout)


def load_tiktoken(folder):
    ranks = {}
    with open(f"{folder}/tokenizer.tiktoken", encoding="ascii") as file:
        for line in file:
            token, rank = line.split()
            ranks[base64.b64decode(token)] = int(rank)
    with open(f"{folder}/tokenizer.nanochat.json", encoding="utf-8") as file:
        pattern = json.load(file)["pattern"]
    return tiktoken.Encoding("ours", pat_str=pattern, mergeable_ranks=ranks, special_tokens={})


def compare(arguments, name, files, folder, openai):
    documents = documents_of(files)
    n_bytes = sum(len(document.encode()) for document in documents)
    print(f"\n{name}: {len(documents)} documents, {n_bytes / 1e6:.1f} MB, "
          f"best of {arguments.repeat}")
    one_thread = None
    for threads in arguments.threads:
        def openai_batch():
            if threads == 1:
                return [openai.encode_ordinary(document) for document in documents]
            return openai.encode_ordinary_batch(documents, num_threads=threads)

        sides = {
            "nanochat": lambda: ours(arguments, files, folder, threads),
            "tiktoken": lambda: seconds_and_tokens(openai_batch),
            "tokenizers": lambda: hugging_face(folder, files, threads),
        }
        best, tokens = {}, {}
        for _ in range(arguments.repeat):
            for side, measure in sides.items():
                seconds, tokens[side] = measure()
                best[side] = min(seconds, best.get(side, seconds))
        if len(set(tokens.values())) != 1:
            sys.exit(f"tok_encode.py: not the same tokens: {tokens}")
        line = ", ".join(f"{side} {n_bytes / s / 1e6:.1f} MB/s" for side, s in best.items())
        print(f"  {threads} thread{'s' * (threads > 1)}: {line}")
        print(f"    nanochat is {best['tiktoken'] / best['nanochat']:.1f}x tiktoken, "
              f"{best['tokenizers'] / best['nanochat']:.1f}x tokenizers")
        if threads == 1:
            one_thread = best["nanochat"]
        elif one_thread:
            print(f"    nanochat, {threads} threads against one: "
                  f"{one_thread / best['nanochat']:.2f}x")


def main():
    if sys.argv[1:2] == ["--child"]:
        return child(sys.argv[2], sys.argv[4:], int(sys.argv[3]))
    arguments = parse_arguments()
    corpora = dict(corpus.split("=", 1) for corpus in arguments.corpora)
    corpora = {name: files.split(",") for name, files in corpora.items()}
    if not pathlib.Path(arguments.program).exists():
        sys.exit(f"tok_encode.py: no {arguments.program}: build it, or name it with --program")
    with tempfile.TemporaryDirectory() as scratch:
        folder = arguments.tokenizer
        if folder is None:
            folder = scratch
            every_file = [file for files in corpora.values() for file in files]
            subprocess.run([arguments.program, *every_file, "--train", str(arguments.vocab_size),
                            "--save", folder, "--repeat", "0"], check=True)
        openai = load_tiktoken(folder)
        for name, files in corpora.items():
            compare(arguments, name, files, folder, openai)


if __name__ == "__main__":
    main()
