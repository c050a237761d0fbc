#!/usr/bin/env python3
"""Makes src/tokenizer/unicode_tables.cpp: letter, number, white space or other, for every code point.

    pip install unicodedata2==16.0.0
    scripts/make_unicode_tables.py [--check]

The version is pinned, because a tokenizer must cut text the same way for ever: Unicode 16.0 is what
rustbpe and tiktoken use. --check compares the file with what would be written, and changes nothing;
exit status 1: they differ; 3: the package is missing or of another version.
"""

import argparse
import pathlib
import sys

VERSION = "16.0.0"
OUTPUT = pathlib.Path(__file__).resolve().parent.parent / "src/tokenizer/unicode_tables.cpp"

OTHER, LETTER, NUMBER, SPACE = range(4)  # CharClass of unicode_tables.h

# The property White_Space of PropList.txt, which unicodedata2 does not have. Not Python's isspace():
# that adds U+001C..U+001F.
WHITE_SPACE = {*range(0x9, 0xE), 0x20, 0x85, 0xA0, 0x1680, *range(0x2000, 0x200B), 0x2028, 0x2029,
               0x202F, 0x205F, 0x3000}

N_CODE_POINTS = 0x110000
BLOCK = 128  # code points; must be kBlockSize of unicode_tables.h
PER_WORD = 32  # code points in one 64-bit word, two bits each, the first in the lowest bits

TEMPLATE = """\
// Made by scripts/make_unicode_tables.py from Unicode {version}. Do not edit.
#include "tokenizer/unicode_tables.h"

namespace nanochat::unicode {{

// clang-format off
const uint8_t kBlockOf[{n_index}] = {{
{index}
}};

const uint64_t kBlocks[{n_blocks}][{n_words}] = {{
{blocks}
}};
// clang-format on

}}  // namespace nanochat::unicode
"""


def char_class(unicodedata, code_point):
    if code_point in WHITE_SPACE:
        return SPACE
    category = unicodedata.category(chr(code_point))
    return {"L": LETTER, "N": NUMBER}.get(category[0], OTHER)


def make_tables(unicodedata):
    """The index of each block of code points, and the distinct blocks as tuples of words."""
    blocks, index = {}, []
    for first in range(0, N_CODE_POINTS, BLOCK):
        words = []
        for start in range(first, first + BLOCK, PER_WORD):
            classes = (char_class(unicodedata, start + i) << 2 * i for i in range(PER_WORD))
            words.append(sum(classes))
        index.append(blocks.setdefault(tuple(words), len(blocks)))
    assert len(blocks) <= 256, "kBlockOf is of bytes"
    return index, list(blocks)


def render(index, blocks):
    def rows(numbers, per_row):
        lines = (numbers[i : i + per_row] for i in range(0, len(numbers), per_row))
        return "\n".join("    " + " ".join(f"{n}," for n in line) for line in lines)

    return TEMPLATE.format(
        version=VERSION,
        n_index=len(index),
        index=rows(index, 24),
        n_blocks=len(blocks),
        n_words=BLOCK // PER_WORD,
        blocks="\n".join("    {" + ", ".join(f"0x{w:016x}" for w in b) + "}," for b in blocks),
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="only compare with the file")
    check = parser.parse_args().check
    try:
        import unicodedata2
    except ImportError:
        print(f"no package unicodedata2: pip install unicodedata2=={VERSION}", file=sys.stderr)
        return 3
    if unicodedata2.unidata_version != VERSION:
        found = unicodedata2.unidata_version
        print(f"Unicode {found} is not {VERSION}: pip install unicodedata2=={VERSION}", file=sys.stderr)
        return 3
    text = render(*make_tables(unicodedata2))
    if not check:
        OUTPUT.write_text(text)
        return 0
    if OUTPUT.read_text() != text:
        print(f"{OUTPUT} is not what {pathlib.Path(__file__).name} makes", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
