#!/usr/bin/env python3
"""malloc in processes that were forked and go on with their parent's heap: each is replayed, to the last address.
forked_heaps_test.py FAULTLINE FORKED_HEAPS. FAULTLINE_SEED chooses what they do."""
import json
import os
import shutil
import sys
import unittest

from record_case import FAULTLINE, RecordCase, run

FORKED_HEAPS = os.path.abspath(sys.argv[2])
SEED = int(os.environ.get("FAULTLINE_SEED", "1"))


class ForkedHeapsTest(RecordCase):
    def check_all(self, least_forked, least_addresses):
        info = self.info()
        forked = addresses = 0
        for process in info["processes"]:
            pid = process["pid"]
            done = run([FAULTLINE, "verify", "--json", "--process", str(pid), self.file])
            if b"nothing to replay" in done.stderr:
                continue
            answer = json.loads(done.stdout)
            if answer["malloc"] is None:
                self.fail(f"process {pid}: {answer['malloc_reason']}")
            if answer["syscalls"]["total"] is None:
                self.skipTest("calls inside libc cannot be recorded here")
            malloc, calls, heap = answer["malloc"], answer["syscalls"], answer["minor_faults"]["heap"]
            where = f"seed {SEED}, process {pid}, forked: {process['forked_without_exec']}, {answer['first_divergence']}"
            self.assertEqual((malloc["addresses_matched"], calls["matched"]), (malloc["addresses_total"], calls["total"]), where)
            self.assertLessEqual(abs(heap["predicted"] - heap["observed"]), 5 + 0.05 * heap["observed"], f"minor faults of the heap: {where}")
            forked += process["forked_without_exec"]
            addresses += malloc["addresses_total"] if process["forked_without_exec"] else 0
        self.assertGreaterEqual(forked, least_forked)
        self.assertGreater(addresses, least_addresses)

    def test_children_of_children_and_of_threads(self):
        done = self.record([FORKED_HEAPS, str(SEED)], "--turns", "-q")
        self.assertEqual((done.returncode, done.stdout), (0, b"done\n"), done.stderr)
        self.check_all(12, 10000)

    def test_stressors(self):
        if shutil.which("stress-ng") is None:
            self.skipTest("wanted stress-ng, not installed")
        done = self.record(["stress-ng", "--malloc", "2", "--malloc-ops", "20000", "-q"], "--turns", "-q")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.check_all(2, 5000)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
