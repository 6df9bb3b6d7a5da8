#!/usr/bin/env python3
"""What `report` says of malloc's heaps: the block that pins one is named first, and freeing it in a second run lowers the heap by what was
said. Real programs, also with threads: at random events every arena adds up.

    heap_report_test.py FAULTLINE PINNED_HEAP RANDOM_LOOKS
"""
import json
import os
import shutil
import subprocess
import sys
import tempfile

faultline, pinned_heap, random_looks = sys.argv[1:4]
failures = []


def check(what, good, found):
    print(f"{'ok  ' if good else 'FAIL'} {what}: {found}")
    if not good:
        failures.append(what)


def record(path, *command):
    subprocess.run([faultline, "record", "-o", path, "--", *command], check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def report(path):
    return json.loads(subprocess.run([faultline, "report", "--json", path], check=True, capture_output=True).stdout)


def adds_up(arena):
    parts = ["live", "rounding", "tcache", "fastbins", "trimmable", "pinned", "top_trimmable", "top_kept", "own", "foreign"]
    return sum(arena[f"{part}_bytes"] for part in parts) == arena["arena_bytes"]


def pinned(where, folder):
    path = os.path.join(folder, f"{where}.fl")
    record(path, pinned_heap, where)
    answer = report(path)
    heap = answer["heap"]
    if heap["why_not"]:
        check(where, False, heap["why_not"])
        return
    end = heap["moments"][-1]
    pins = sorted(end["end_pins"], key=lambda pin: -pin["held_bytes"])
    name = pins[0]["sites"][0]["site"]["function"] if pins else None
    check(f"{where}: the site that holds most", name == "allocate_pin", name)
    check(f"{where}: every arena adds up", all(adds_up(arena) for moment in heap["moments"] for arena in [*moment["arenas"], moment["total"]]),
          len(end["arenas"]))
    fell = int(subprocess.run([pinned_heap, where, "free"], check=True, capture_output=True, text=True).stdout)
    predicted = pins[0]["fall_bytes"] if pins else None
    check(f"{where}: freed, the heap gets smaller by", predicted == fell and fell > 8 << 20, f"{fell}, predicted {predicted}")
    if where == "main":
        trimmed = int(subprocess.run([pinned_heap, where, "trim"], check=True, capture_output=True, text=True).stdout)
        check("main: malloc_trim(0) moves the break by", end["total"]["malloc_trim_break_bytes"] == trimmed,
              f"{trimmed}, predicted {end['total']['malloc_trim_break_bytes']}")
    finding = [f for f in answer["findings"] if f["id"] == "pinned_top"]
    check(f"{where}: the finding", bool(finding) and "allocate_pin" in " ".join(finding[0]["lines"]), [f["id"] for f in answer["findings"]])


def real(name, folder, *command):
    if not shutil.which(command[0]):
        print(f"SKIPPED {name}: no {command[0]}")
        return
    path = os.path.join(folder, f"{name}.fl")
    record(path, *command)
    done = subprocess.run([random_looks, path, "25", "1"], capture_output=True, text=True)
    numbers = done.stdout.split()
    check(f"{name}: random events add up", done.returncode == 0 and numbers[0] == "25", done.stdout.strip() or done.stderr.strip()[-300:])
    heap = report(path)["heap"]
    check(f"{name}: at the peak and the end", not heap["why_not"] and all(adds_up(arena) for moment in heap["moments"] for arena in moment["arenas"]),
          heap["why_not"] or f"{heap['addresses_matched']} of {heap['addresses_total']} addresses")


with tempfile.TemporaryDirectory() as folder:
    pinned("main", folder)
    pinned("thread", folder)
    data = os.path.join(folder, "data")
    with open(data, "wb") as file:
        for i in range(400000):
            file.write(b"%d %x " % (i * i, i * 7919))
    real("sqlite3", folder, "sqlite3", ":memory:", "create table t(a,b); with recursive n(i) as (select 1 union all select i+1 from n where i<20000) "
         "insert into t select i, hex(i*i) from n; create index x on t(b); delete from t where a%3=0; select count(*) from t;")
    real("python", folder, "python3", "-c", "import json; d=json.loads(json.dumps([{'k%d'%i: list(range(i%60))} for i in range(4000)])); del d[::2]; print(len(d))")
    real("xz", folder, "xz", "-T2", "-2", "-k", "--block-size=1MiB", "-f", data)
    real("zstd", folder, "zstd", "-T2", "-3", "-q", "-f", data, "-o", data + ".zst")

print("failed: " + ", ".join(failures) if failures else "all good")
sys.exit(1 if failures else 0)
