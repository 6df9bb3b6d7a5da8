#!/usr/bin/env python3
"""faultline check: recordings of a program that keeps and touches a known amount, against limits and against each other.

    check_test.py FAULTLINE GROWER
"""
import json
import os
import subprocess
import sys
import tempfile
import unittest

FAULTLINE, GROWER = map(os.path.abspath, sys.argv[1:3])
MIB = 1 << 20


def run(*words):
    return subprocess.run([FAULTLINE, *map(str, words)], capture_output=True, text=True, timeout=120)


class Check(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="faultline-check-")
        cls.small, cls.again, cls.large, cls.busy = (os.path.join(cls.folder.name, name) for name in ("small.fl", "again.fl", "large.fl", "busy.fl"))
        for path, kept, blocks in ((cls.small, 10, 100), (cls.again, 10, 100), (cls.large, 30, 100), (cls.busy, 10, 5000)):
            done = run("record", "-o", path, "--", GROWER, kept, blocks)
            assert done.returncode == 0, done.stderr
        report = json.loads(run("report", "--json", "--no-heap", cls.small).stdout)
        cls.faults = "page faults" not in " ".join(report["missing"]) or report["totals"]["minor_faults"] > 0
        cls.totals = report["totals"]

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def check(self, status, *words):
        done = run("check", *words)
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        self.assertEqual(done.stderr.count("\n"), 1 if status == 2 else 0, done.stderr)
        return done.stdout

    def test_limits(self):
        peak = self.totals["rss_peak_bytes"]
        self.check(0, self.small, "--max-peak-rss", peak)
        out = self.check(1, self.small, "--max-peak-rss", peak - 1)
        self.assertIn("FAILED", out)
        self.assertIn("who has most: bytes live when most were", out)
        self.assertIn("keep_much (grower.c:8)", out)
        self.check(0, self.small, "--max-peak-rss", "100M", "--max-end-rss", "100M")
        self.check(1, self.small, "--max-peak-rss", "100M", "--max-end-rss", "1M")
        self.check(0, self.small, "--max-allocations", self.totals["allocations"], "--max-peak-live", "11M")
        self.check(1, self.small, "--max-allocations", self.totals["allocations"] - 1)
        self.check(1, self.small, "--max-end-live", "9M")
        self.check(2, "/nonexistent.fl", "--max-peak-rss", "1M")

    def test_faults(self):
        if not self.faults:
            self.check(2, self.small, "--max-minor-faults", 1)
            self.skipTest("page faults cannot be recorded here")
        minor = self.totals["minor_faults"] + self.totals["unattributed_minor_faults"]
        self.check(0, self.small, "--max-minor-faults", minor)
        out = json.loads(self.check(1, self.small, "--max-minor-faults", minor - 1, "--json"))
        self.assertEqual(out["checks"][0]["found"], minor)
        sites = {site["site"]: site["after"] for site in out["checks"][0]["sites"]}
        self.assertEqual(sites["keep_much (grower.c:8)"], 10 * MIB // 4096 + 2)  # its last byte, and the page of malloc's cache

    def test_against(self):
        self.check(0, self.again, "--against", self.small)
        self.check(0, self.small, "--against", self.small, "--tolerance", "0%")
        out = json.loads(self.check(1, self.large, "--against", self.small, "--json"))
        failed = {one["figure"]: one for one in out["checks"] if not one["holds"]}
        self.assertIn("peak_rss_bytes", failed)
        self.assertIn("end_rss_bytes", failed)
        self.assertNotIn("allocations", failed)
        site = failed["peak_rss_bytes"]["sites"][0]
        self.assertEqual(site, {"site": "keep_much (grower.c:8)", "before": 10 * MIB + 1, "after": 30 * MIB + 1})
        self.check(0, self.large, "--against", self.small, "--tolerance", "400 %")
        self.check(0, self.small, "--against", self.large)  # less is no failure

    def test_allocations_of_a_site(self):
        out = json.loads(self.check(1, self.busy, "--against", self.small, "--json"))
        failed = [one for one in out["checks"] if not one["holds"]]
        self.assertEqual([one["figure"] for one in failed], ["allocations"])
        self.assertEqual(failed[0]["sites"], [{"site": "for_a_moment (grower.c:11)", "before": 100, "after": 5000}])

    def test_the_twin(self):
        first = json.loads(self.check(1, self.small, "--twin", "--max-peak-rss", "1M", "--json"))["checks"][0]
        self.assertLess(abs(first["found"] - self.totals["rss_peak_bytes"]), 0.03 * first["found"])
        self.assertEqual(first, json.loads(self.check(1, self.small, "--twin", "--max-peak-rss", "1M", "--json"))["checks"][0])

    def test_the_same_answer_twice(self):
        words = (self.large, "--against", self.small, "--max-peak-rss", "1M")
        self.assertEqual(self.check(1, *words), self.check(1, *words))

    def test_bad_usage(self):
        self.check(2, self.small)
        self.check(2, self.small, "--against", "/nonexistent.fl")
        self.check(2, self.small, "--max-peak-rss", "much")
        for tolerance in ("x", "-1%", "5%%", "nan"):
            self.check(2, self.small, "--against", self.small, f"--tolerance={tolerance}")
        cut = os.path.join(self.folder.name, "cut.fl")
        data = open(self.small, "rb").read()
        with open(cut, "wb") as file:
            file.write(data[:len(data) * 2 // 3])
        self.check(2, cut, "--max-peak-rss", "1G")  # what is missing would pass


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
