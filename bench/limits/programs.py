"""Real programs of bench/limits: the files they work on, made anew and always the same, and their commands."""
import os
import pathlib
import random
import sqlite3
import subprocess
from dataclasses import dataclass, field

PYTHON = "/usr/bin/python3"


@dataclass
class Program:
    name: str
    kind: str  # tuning: the model was looked at with it; checking
    command: list  # {} is the directory of the data
    needs: list = field(default_factory=list)  # files of make_data(), read cold
    environment: dict = field(default_factory=dict)

    def words(self, directory):
        return [word.replace("{}", str(directory)) for word in self.command]

    def missing(self):
        """What the machine lacks, or nothing."""
        return None if pathlib.Path(self.command[0]).exists() else f"no {self.command[0]}"


SQLITE_LOOKUPS = """
select sum(length(body)) from entries;
with recursive c(x) as (select 1 union all select x + 1 from c where x < 5000)
select sum(length(body)) from c join entries on id = (x * 104729) % 75000;
select count(*), sum(length(body)) from entries where id between 20000 and 45000;
"""

PYTHON_DICTIONARY = """
import random
random.seed(1)
table = {}
for i in range(12000):
    table["key%d" % i] = [i, "value %d" % (i * 7) * 280]
hot = random.sample(range(12000), 600)
total = 0
for step in range(6000):
    i = hot[step % 600] if step % 4 else random.randrange(12000)
    row = table["key%d" % i]
    row[0] += 1
    total += len(row[1])
words = sorted(table)
print(total, words[0])
"""


SOURCE = """
#include <array>
int sum(const std::array<int, 8>& values) {
  int all = 0;
  for (int value : values) all += value;
  return all;
}
"""

CC1PLUS = "/usr/lib/gcc/x86_64-linux-gnu/12/cc1plus"


def programs():
    return [
        Program("sqlite3-read", "checking", ["/usr/bin/sqlite3", "-init", "/dev/null", "{}/entries.db", "pragma mmap_size=0; pragma cache_size=-24000;" + SQLITE_LOOKUPS], ["entries.db"]),
        Program("sqlite3-mmap", "tuning", ["/usr/bin/sqlite3", "-init", "/dev/null", "{}/entries.db", "pragma mmap_size=1000000000; pragma cache_size=-2000;" + SQLITE_LOOKUPS], ["entries.db"]),
        Program("sort", "tuning", ["/usr/bin/sort", "-S", "200M", "--parallel=1", "-o", "/dev/null", "{}/lines.txt"], ["lines.txt"], {"LC_ALL": "C"}),
        Program("python-dictionary", "checking", [PYTHON, "-S", "-E", "{}/dictionary.py"], [], {"PYTHONHASHSEED": "0"}),
        Program("cc1plus", "checking", [CC1PLUS, "-quiet", "-std=c++11", "-imultiarch", "x86_64-linux-gnu", "-D_GNU_SOURCE", "{}/source.cc", "-o", "/dev/null"]),
        Program("zstd-d", "checking", ["/usr/bin/zstd", "-d", "-q", "-f", "--long=27", "--single-thread", "{}/lines.zst", "-o", "/dev/null"], ["lines.zst"]),
    ]


def make_data(directory):
    draw = random.Random(5)
    words = [f"w{draw.randrange(1 << 40):x}" for _ in range(4000)]
    with sqlite3.connect(directory / "entries.db") as base:
        base.execute("pragma page_size=4096")
        base.execute("create table entries(id integer primary key, body blob)")
        base.executemany("insert into entries values(?, ?)", ((i, " ".join(draw.choices(words, k=80)).encode()) for i in range(75_000)))
    base.close()
    with open(directory / "lines.txt", "w") as out:
        for _ in range(25_000):
            out.write(" ".join(draw.choices(words, k=80)) + "\n")
    with open(directory / "long.txt", "w") as out:
        paragraphs = [" ".join(draw.choices(words, k=2000)) for _ in range(800)]
        for _ in range(1200):
            out.write(draw.choice(paragraphs) + "\n")
    if pathlib.Path("/usr/bin/zstd").exists():
        subprocess.run(["zstd", "-q", "-f", "-3", "--long=27", directory / "long.txt", "-o", directory / "lines.zst"], check=True)
    (directory / "long.txt").unlink()
    (directory / "dictionary.py").write_text(PYTHON_DICTIONARY)
    (directory / "source.cc").write_text(SOURCE)


def drop_cache(path):
    """What is cached of the file goes, so that the next reader finds none."""
    with open(path, "rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
