#!/usr/bin/env python3
"""The code block of a document that follows the comment `<!-- compiled: NAME -->`, written to a file: what CI compiles is what the
document shows.   code_block.py DOCUMENT NAME OUTPUT [MAX_LINES]"""
import pathlib
import re
import sys


def main():
    document, name, output = sys.argv[1:4]
    text = pathlib.Path(document).read_text()
    found = re.findall(rf"<!-- compiled: {re.escape(name)} -->\n+```cpp\n(.*?)^```$", text, re.S | re.M)
    if len(found) != 1:
        sys.exit(f"{document}: wanted one block <!-- compiled: {name} -->, found {len(found)}")
    lines = found[0].count("\n")
    if len(sys.argv) > 4 and lines >= int(sys.argv[4]):
        sys.exit(f"{document}: {name} has {lines} lines, wanted fewer than {sys.argv[4]}")
    start = text[: text.index(f"<!-- compiled: {name} -->")].count("\n") + 3
    pathlib.Path(output).write_text(f'#line {start} "{pathlib.Path(document).resolve()}"\n{found[0]}')


main()
