#!/usr/bin/env python3
"""Writes a corpus of text documents of 100 KB to some MB: the input of normalise.py. Same seed, same bytes."""
import pathlib
import random
import sys


def main():
    directory = pathlib.Path(sys.argv[1])
    directory.mkdir(parents=True, exist_ok=True)
    rng = random.Random(20)
    words = ["".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=rng.randint(2, 11))) for _ in range(5000)]
    paragraph = [" ".join(rng.choices(words, k=60)) for _ in range(400)]
    for number in range(48):
        size = rng.choice([120_000, 300_000, 700_000, 1_500_000, 3_000_000])
        text, written = [], 0
        while written < size:
            piece = rng.choice(paragraph)
            text.append(piece)
            written += len(piece) + 2
        (directory / f"document-{number:02}.txt").write_text("\r\n".join(text), encoding="utf-8")


main()
