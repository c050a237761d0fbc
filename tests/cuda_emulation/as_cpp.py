#!/usr/bin/env python3
"""as_cpp.py KERNEL.cu OUT.cpp: a CUDA file as C++ for the emulation (emulation.h): launches and
dynamic shared memory are all that C++ cannot read once CUDA's words are macros."""

import re
import sys

LAUNCH = re.compile(r"(\w+(?:<[^;(){}]*?>)?)\s*<<<(.*?)>>>\s*\(", re.DOTALL)
SHARED = re.compile(r"extern __shared__ (?:__align__\(\d+\) )?(\w+) (\w+)\[\];")
ATTRIBUTE = re.compile(r"cudaFuncSetAttribute\((\w+),")


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        text = file.read()
    text = LAUNCH.sub(r"::nanochat::emulation::launch(\2, [=](auto... a_) { \1(a_...); })(", text)
    text = SHARED.sub(
        r"auto* const \2 = reinterpret_cast<\1*>(::nanochat::emulation::dynamic_shared_memory());",
        text)
    text = ATTRIBUTE.sub(r"cudaFuncSetAttribute(reinterpret_cast<const void*>(\1),", text)
    if "<<<" in text or "extern __shared__" in text:
        sys.exit(f"as_cpp.py: {sys.argv[1]}: a launch or a declaration was not understood")
    with open(sys.argv[2], "w", encoding="utf-8") as file:
        file.write(f'#include "emulation.h"\n#line 1 "{sys.argv[1]}"\n{text}')


if __name__ == "__main__":
    main()
