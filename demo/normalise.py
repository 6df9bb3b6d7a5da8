#!/usr/bin/env python3
"""Normalises every document of a corpus, some rounds over: read, decode, fix line ends, encode, checksum.

Ordinary code: each step makes a new string of the document's size, and all of them are freed when the next document
begins. Nothing here mentions malloc.
"""
import pathlib
import sys
import zlib


def normalise(path):
    text = path.read_bytes().decode("utf-8")
    unix = text.replace("\r\n", "\n")
    titled = unix + "\n-- " + path.name + "\n"
    return zlib.adler32(titled.encode("utf-8"))


def main():
    directory, rounds = pathlib.Path(sys.argv[1]), int(sys.argv[2])
    checksum = 0
    for _ in range(rounds):
        for path in sorted(directory.iterdir()):
            checksum = (checksum * 31 + normalise(path)) & 0xFFFFFFFF
    print(f"checksum {checksum:08x}")


main()
