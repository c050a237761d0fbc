#!/usr/bin/env python3
"""Makes more identity conversations out of those of a file, by templates.

    nanochat data identity --name Momo --out momo.jsonl      # edit it
    scripts/multiply_identity.py momo.jsonl --n 2000 --out ~/.cache/nanochat/identity_conversations.jsonl

Each new one is made of one or two of the file: the user may greet first, be polite, write without
capitals or punctuation, mistype a letter; two conversations of one language may follow each other.
What the assistant says is never changed. The file's own conversations come first, each once. The
same seed gives the same file. Needs no packages.
"""

import argparse
import json
import random
import sys

GREETINGS = {
    "en": ["Hi! ", "Hello, ", "Hey, ", "Good morning! ", "Excuse me, ", "Ok, ", "So, ", "Tell me: ", "One question: "],
    "zh": ["你好，", "您好，", "嗨，", "早上好！", "请问，", "那么，", "问一下：", "我想知道，"],
}
ENDINGS = {
    "en": [" Thanks!", " Please be brief.", " I am curious.", " Just wondering."],
    "zh": ["谢谢！", "简单说说就行。", "我很好奇。", "随便问问。"],
}


def language(conversation):
    text = "".join(message["content"] for message in conversation)
    return "zh" if any("\u4e00" <= c <= "\u9fff" for c in text) else "en"


def mistyped(text, rng):
    """Two neighbouring letters inside a word change places."""
    places = [i for i in range(1, len(text) - 2)
              if all(c.isascii() and c.isalpha() for c in text[i - 1:i + 3])]
    if not places:
        return text
    i = rng.choice(places)
    return text[:i] + text[i + 1] + text[i] + text[i + 2:]


def asked_otherwise(text, lang, rng):
    if rng.random() < 0.4:
        greeting = rng.choice(GREETINGS[lang])
        starts_sentence = greeting.strip()[-1] in "!！" or text.startswith("I ")
        text = greeting + (text if starts_sentence else text[0].lower() + text[1:])
    if rng.random() < 0.2:
        text += rng.choice(ENDINGS[lang])
    if rng.random() < 0.25:
        text = text.lower()
    if rng.random() < 0.25:
        text = text.rstrip("?.!？。！")
    if rng.random() < 0.1:
        text = mistyped(text, rng)
    return text


def parts(line, place):
    messages = json.loads(line)
    if isinstance(messages, dict):
        messages = messages["messages"]
    for i, message in enumerate(messages):
        if message["role"] != ("user", "assistant")[i % 2] or not isinstance(message["content"], str):
            raise ValueError("%s: message %d: user and assistant in turns, with texts" % (place, i))
    return messages


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file")
    parser.add_argument("--out", required=True)
    parser.add_argument("--n", type=int, default=1000, help="conversations in all")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()

    conversations = []
    with open(options.file, encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                try:
                    conversations.append(parts(line, "%s:%d" % (options.file, number)))
                except (ValueError, KeyError, TypeError) as error:
                    sys.exit("%s:%d: no conversation: %s" % (options.file, number, error))
    if not conversations:
        sys.exit("%s: no conversations" % options.file)
    by_language = {"en": [], "zh": []}
    for conversation in conversations:
        by_language[language(conversation)].append(conversation)

    rng = random.Random(options.seed)
    made = list(conversations)
    seen = {json.dumps(conversation) for conversation in made}
    for _ in range(50 * options.n):
        if len(made) >= options.n:
            break
        first = rng.choice(conversations)
        lang = language(first)
        chain = list(first)
        if rng.random() < 0.3:
            chain += rng.choice(by_language[lang])
        new = [dict(m, content=asked_otherwise(m["content"], lang, rng)) if m["role"] == "user" else m
               for m in chain]
        if json.dumps(new) not in seen:
            seen.add(json.dumps(new))
            made.append(new)
    with open(options.out, "w", encoding="utf-8") as file:
        for conversation in made:
            file.write(json.dumps(conversation, ensure_ascii=False) + "\n")
    print("%d conversations in %s" % (len(made), options.out))


if __name__ == "__main__":
    main()
