#!/usr/bin/env python3
"""faultline import and limits together, on streams whose answers are known, and on input that is none.

    limits_test.py FAULTLINE
"""
import json
import pathlib
import subprocess
import sys
import tempfile

FAULTLINE = sys.argv[1]
PAGE = 4096
failures = []


def check(good, what):
    print(("ok      " if good else "FAILED  ") + what)
    if not good:
        failures.append(what)


def run(*arguments):
    return subprocess.run([FAULTLINE, *map(str, arguments)], capture_output=True, text=True)


def stream(directory, name, lines):
    text, out = directory / f"{name}.txt", directory / f"{name}.refs"
    text.write_text("".join(lines))
    done = run("import", "text", text, "-o", out)
    check(done.returncode == 0, f"import of {name}: {done.stderr.strip()}")
    return out


def limits(file, *arguments):
    done = run("limits", file, "--json", *arguments)
    check(done.returncode == 0, f"limits {file.name} {' '.join(map(str, arguments))}: {done.stderr.strip()[:200]}")
    return json.loads(done.stdout)


def cycled(directory):
    """4,096 pages written in a circle, six times: under half of it every pass reads all of them back, eight by eight."""
    file = stream(directory, "cycle", [f"W {page * PAGE:#x}\n" for _ in range(6) for page in range(4096)])
    answer = limits(file, "--limit", "8mb", "--limit", "64mb", "--compare", "lru", "--compare", "opt")
    large, small = answer["limits"]
    check(answer["references"] == 6 * 4096, "every reference counts")
    check(large["major_faults"] == 0 and large["minor_faults"] == 4096, "with room each page faults once")
    check(abs(small["major_faults"] - 5 * 4096 / 8) <= 0.05 * 5 * 4096 / 8, f"half the room: a major fault for eight pages ({small['major_faults']})")
    check(small["swapped_out_pages"] > 4 * 4096 and small["stall_ns"] > 0, "what goes is written, and waited for")
    misses = {one["policy"]: one["misses"] for one in answer["policies"]}
    check(misses["lru"] == [4096, 6 * 4096], f"LRU misses all of a circle that does not fit: {misses['lru']}")
    check(4096 < misses["opt"][1] < 4 * 4096, f"OPT keeps a part of it: {misses['opt']}")
    regret = {one["policy"]: one["regret"] for one in answer["policies"]}
    check(regret["opt"] == [0, 0] and abs(regret["lru"][1] - (6 * 4096 / misses["opt"][1] - 1)) < 1e-6, f"regret is against OPT: {regret}")
    check(answer["safe_bytes"] > 12 << 20, "half the memory is not safe")


def no_swap(directory):
    file = stream(directory, "fill", [f"W {page * PAGE:#x}\n" for page in range(4096)])
    answer = limits(file, "--limit", "4mb", "--swap", "0", "--compare", "none")
    check(answer["limits"][0]["out_of_memory"] and answer["limits"][0]["killed_at"], "without swap the program is killed")
    check(answer["killed_below_bytes"] == 4 << 20, "and the answer says so")
    text = run("limits", file, "--limit", "4mb", "--swap", "0", "--compare", "none")
    check("out of memory" in text.stdout, "in words, too")


def policies(directory):
    lines = [f"{'W' if i % 3 == 0 else 'R'} {((i * i * 7919) % 2003) * PAGE:#x}\n" for i in range(30000)]
    file = stream(directory, "mixed", lines)  # 1,002 pages: 3.9 MiB
    for policy in ("linux", "lru", "clock", "arc", "fifo"):
        answer = limits(file, "--limit", "3mb", "--policy", policy, "--compare", "none")
        row = answer["limits"][0]
        check(row["major_faults"] > 0 and not row["out_of_memory"] and row["peak_bytes"] <= 3 << 20, f"the twin with policy {policy} holds its limit")
    for device in ("nvme", "hdd", "zram"):
        check(limits(file, "--limit", "3mb", "--device", device, "--cgroup-v1", "--compare", "none")["limits"][0]["major_faults"] > 0, f"on {device}")


def bad_input(directory):
    empty = directory / "empty"
    empty.write_text("")
    junk = directory / "junk"
    junk.write_bytes(b"\x7fELF" + bytes(5000))
    good = stream(directory, "good", ["W 0x1000\n"])
    for arguments in ([directory / "nowhere"], [empty], [junk], [directory], [good, "--policy", "best"], [good, "--policy", "opt"], [good, "--compare", "x"],
                      [good, "--device", "tape"], [good, "--limit", "7"], [good, "--limit", "much"], [good, "--slowdown", "-1"], [good, "--slowdown", "nan"], [good, "--limit", "-1"],
                      [good, "--limit", "0"], [good, "--limit", "1E"], [good, "--limit", "99999999999999999999"], [good, "--swap", "-1"], [good, "--swap", "1E"],
                      [good, "--read-ahead", "-1"]):
        done = run("limits", *arguments)
        what = " ".join(str(a).replace(str(directory), "") for a in arguments)
        check(done.returncode == 2 and done.stderr.strip() and done.stdout == "", f"{what}: exit {done.returncode}, {done.stderr.strip().splitlines()[0] if done.stderr.strip() else 'nothing said'}")
    for name in ("text", "lackey", "pages32"):
        done = run("import", name, empty, "-o", directory / "none.refs")
        check(done.returncode == 2 and done.stderr.strip() != "" and not (directory / "none.refs").exists(), f"import {name} of nothing: exit {done.returncode}, {done.stderr.strip()}")
    truncated = directory / "cut.refs"
    whole = stream(directory, "long", [f"W {(page * 7919 % 100003) * PAGE:#x}\n" for page in range(300000)])
    truncated.write_bytes(whole.read_bytes()[:-1000])
    done = run("limits", truncated, "--limit", "8mb", "--compare", "none")
    check(done.returncode in (0, 2) and done.stderr.strip() != "", f"a cut stream is told: exit {done.returncode}, {done.stderr.strip()[:100]}")


with tempfile.TemporaryDirectory(prefix="faultline-limits-test-") as name:
    cycled(pathlib.Path(name))
    no_swap(pathlib.Path(name))
    policies(pathlib.Path(name))
    bad_input(pathlib.Path(name))
sys.exit(1 if failures else 0)
