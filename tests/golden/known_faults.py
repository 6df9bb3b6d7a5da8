#!/usr/bin/env python3
"""Records a program whose report is known beforehand, and checks the report against it.

    known_faults.py FAULTLINE PROGRAM
"""
import json
import os
import subprocess
import sys
import tempfile

faultline, program = sys.argv[1:3]
failures = []


def check(what, found, wanted):
    if callable(wanted):
        good = wanted(found)
    else:
        good = found == wanted
    print(f"{'ok  ' if good else 'FAIL'} {what}: {found}")
    if not good:
        failures.append(what)


with tempfile.TemporaryDirectory() as folder:
    path = os.path.join(folder, "known.fl")
    subprocess.run([faultline, "record", "-o", path, "--", program], check=True, stdin=subprocess.DEVNULL)
    report = json.loads(subprocess.run([faultline, "report", "--json", "--top", "1000", path], check=True, capture_output=True).stdout)
    text = subprocess.run([faultline, "report", path], check=True, capture_output=True, text=True).stdout

missing = " ".join(report["missing"])
if "page faults" in missing and not report["totals"]["minor_faults"]:
    print(f"SKIPPED: {missing}")
    sys.exit(77)
kernel_side = "kernel side" not in missing
sites = {row["site"]["function"]: row for row in report["sites"]["by_allocated"]}

mapped = sites["allocate_mapped"]
check("allocate_mapped: bytes", mapped["allocated_bytes"], 64 << 20)
# 8000 pages; the first holds the chunk header, so malloc touches it.
check("allocate_mapped: faults", mapped["minor_faults"], 8000)
check("allocate_mapped: inside malloc", mapped["faults_inside_malloc"], 1)
by_code = {row["code"]["function"]: row["minor_faults"] for row in mapped["touched_by"]}
check("allocate_mapped: touched by touch_mapped", by_code.get("touch_mapped"), 7999)

buffer = sites["allocate_read_buffer"]
if kernel_side:
    check("allocate_read_buffer: faults", buffer["minor_faults"], 1000)
    by_code = {row["code"]["function"]: row["minor_faults"] for row in buffer["touched_by"]}
    check("allocate_read_buffer: touched by the kernel", by_code.get("kernel (read, recv, ...)"), 999)

bulk = sites["allocate_bulk"]
check("allocate_bulk: calls, bytes", (bulk["calls"], bulk["allocated_bytes"]), (4000, 4000 * 1000))
# 4000 chunks of 1008 bytes: every heap page from the first (touched before) to the one of the top's header, each once.
check("allocate_bulk: faults", bulk["minor_faults"], lambda n: abs(n - 4000 * 1008 / 4096) <= 1)
check("allocate_bulk: each page once", bulk["minor_faults"] == bulk["faulted_pages"], True)
check("allocate_bulk: live at peak, at end", (bulk["at_peak_bytes"], bulk["at_end_bytes"]), (4000 * 1000, 0))

temporary = sites["allocate_temporary"]
check("allocate_temporary: temporary", temporary["temporary"], 500)

pin = report["retention"]["pins"][0]
check("pin: site, bytes", (pin["site"]["function"], pin["block_bytes"]), ("allocate_pin", 40))
check("pin: free below", pin["free_below_bytes"], lambda n: 4000 * 1008 - 4096 <= n <= 4000 * 1008 + 1008)
check("finding pinned_top", [f["id"] for f in report["findings"] if f["id"] == "pinned_top"], ["pinned_top"])

totals = report["totals"]
check("sum of regions is the total", sum(r["minor_faults"] for r in report["regions"] if r["region"] != "recorder"), totals["minor_faults"])
check("sites and files in the text", all(word in text for word in ("allocate_mapped (known_faults.c:", "touch_mapped", "What the heap holds")), True)

sys.exit(1 if failures else 0)
