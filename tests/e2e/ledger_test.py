#!/usr/bin/env python3
"""The ledger of `report --at` against /proc/PID/smaps read at the same random instants, of real programs: RSS within 1 %, each category smaps
tells within 1 % of RSS.

ledger_test.py FAULTLINE [NAME ...]      FAULTLINE_SEED, FAULTLINE_SCALE and FAULTLINE_INSTANTS (12) change the run; bench/ledger/run is the long one.

Files hang on the page cache of the moment (follow_test.py): another look at the program is allowed twice.
"""
import os
import time

import ledger_reality
import on_programs

NEEDS = {"sqlite3": "sqlite3", "python-json": "/usr/bin/python3", "perl": "perl", "sort": "sort", "cc1plus": "g++", "xz": "xz", "redis-io": "redis-server", "zoo": os.environ.get("FAULTLINE_ZOO", "memory_zoo")}
INSTANTS = int(os.environ.get("FAULTLINE_INSTANTS", "12"))
SEED = int(os.environ.get("FAULTLINE_SEED", str(time.time_ns() % 1_000_000)))
ATTEMPTS = 3


def check(faultline, name, directory):
    wrong, line = [], ""
    for attempt in range(ATTEMPTS):
        rows, note = ledger_reality.look_at_program(faultline, name, directory, INSTANTS, SEED + attempt, "0.1")
        if not rows:
            return None, note
        wrong, worst = [], {}
        for seconds, told, seen in rows:
            for key, value in told.items():
                off = abs(value - seen[key]) / seen["rss"]
                worst[key] = max(worst.get(key, 0), off)
                # The recorder's library ends within a mapping: smaps tells its last pages as the program's.
                edge = 3 * 4096 if key in ("rest", "recorder", "heap and rest") else 0
                if abs(value - seen[key]) > max(0.01 * seen["rss"], edge):
                    wrong.append(f"after {seconds:.4f} s {key}: ledger {value >> 10} KiB, smaps {seen[key] >> 10} KiB of {seen['rss'] >> 10}")
        line = f"seed {SEED + attempt}: {len(rows)} instants, RSS off by at most {worst['rss']:.3%}, worst of all categories {max(worst.values()):.3%}"
        if note:
            line += f"; malloc not divided: {note}"
        if not wrong:
            break
    return wrong[:10], line


on_programs.main(check, NEEDS)
