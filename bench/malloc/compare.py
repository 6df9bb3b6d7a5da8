#!/usr/bin/env python3
"""libfaultline-malloc.so against glibc's malloc: the same work by turns, CPU time, medians and ratios. The goal is a ratio >= 0.8.

compare.py LIBRARY MALLOC_LOOPS [--rounds N] [--only NAME,...]"""
import argparse
import os
import pathlib
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile

LOOPS = ["flat", "runs", "random", "larson", "calloc", "realloc", "large", "aligned"]
GOAL = 0.8


def environment(library):
    env = {k: v for k, v in os.environ.items() if not k.startswith(("MALLOC_", "LD_PRELOAD", "GLIBC_TUNABLES"))}
    if library:
        env["LD_PRELOAD"] = library
    return env


def loop(program, name):
    def run(library):
        done = subprocess.run([program, name], env=environment(library), capture_output=True, text=True, check=True)
        return float(done.stdout)
    return run


def whole(command):
    """CPU seconds of a program's whole run, with its children."""
    def run(library):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, env=environment(library), stdout=subprocess.DEVNULL, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return run


def programs(folder):
    """Real programs: one large C++ file through cc1plus, an SQL script through sqlite3."""
    work = {}
    if shutil.which("g++"):
        source = folder / "large.cc"
        source.write_text("#include <map>\n#include <regex>\n#include <string>\n#include <unordered_map>\n#include <functional>\n" + "".join(
            f"std::map<std::string, std::function<int(int)>> m{i} = {{{{\"a\", [](int x) {{ return x + {i}; }}}}}};\n" for i in range(60)))
        work["cc1plus"] = whole(["g++", "-S", "-O1", str(source), "-o", "/dev/null"])
    if shutil.which("sqlite3"):
        script = folder / "script.sql"
        script.write_text("CREATE TABLE t(a INTEGER PRIMARY KEY, b TEXT, c REAL);\nBEGIN;\n" + "".join(
            f"INSERT INTO t VALUES({i}, 'row number {i * 7919 % 100003}', {i}.5);\n" for i in range(60000)) +
            "COMMIT;\nCREATE INDEX i ON t(b);\nSELECT b, count(*), sum(c) FROM t GROUP BY substr(b, 1, 14) ORDER BY 2;\n"
            "SELECT group_concat(b) FROM t WHERE a % 3 = 0;\n")
        work["sqlite3"] = whole(["sqlite3", ":memory:", f".read {script}"])
    return work


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("library")
    parser.add_argument("loops")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only", default="")
    arguments = parser.parse_args()
    library = str(pathlib.Path(arguments.library).resolve())
    failed = []
    with tempfile.TemporaryDirectory() as folder:
        work = {f"{name} (ns)": loop(arguments.loops, name) for name in LOOPS}
        work |= {f"{name} (s)": run for name, run in programs(pathlib.Path(folder)).items()}
        only = [name for name in arguments.only.split(",") if name]
        print(f"{'':16}{'glibc':>10}{'faultline':>12}{'ratio':>8}   speed of libfaultline-malloc / glibc's, medians of {arguments.rounds}")
        for name, run in work.items():
            if only and name.split()[0] not in only:
                continue
            theirs, ours = [], []
            for _ in range(arguments.rounds):
                theirs.append(run(None))
                ours.append(run(library))
            a, b = statistics.median(theirs), statistics.median(ours)
            print(f"{name:16}{a:10.3f}{b:12.3f}{a / b:8.2f}", flush=True)
            if a / b < GOAL:
                failed.append(name)
    if failed:
        sys.exit(f"below {GOAL}: {', '.join(failed)}")


main()
