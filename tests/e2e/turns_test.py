#!/usr/bin/env python3
"""record --turns: threads that allocate at once, explained to the last address. turns_test.py FAULTLINE THREAD_CHURN.
FAULTLINE_SEED chooses what the threads do."""
import json
import os
import sys
import time
import unittest

from record_case import FAULTLINE, RecordCase, run

CHURN = os.path.abspath(sys.argv[2])
SEED = int(os.environ.get("FAULTLINE_SEED", "1"))


class TurnsTest(RecordCase):
    def verify(self):
        done = run([FAULTLINE, "verify", "--json", self.file])
        self.assertTrue(done.stdout, done.stderr)
        return json.loads(done.stdout)

    def record_whole(self, words):
        """A busy machine may lose records, and says so: then it is recorded again."""
        for _ in range(5):
            done = self.record(words, "--turns", "-q")
            self.assertEqual((done.returncode, done.stdout), (0, b"done\n"), done.stderr)
            info = self.info()
            self.assertTrue(info["turns"])
            lost = {key: count for process in info["processes"] for key, count in process.items() if key.startswith("lost_") and count}
            if not lost:
                return
            print(f"recorded again: {lost}", file=sys.stderr)
        self.fail(f"five recordings lost something: {lost}")

    def check_exact(self, words):
        self.record_whole(words)
        answer = self.verify()
        malloc, calls = answer["malloc"], answer["syscalls"]
        if calls["total"] is None:
            self.skipTest("calls inside libc cannot be recorded here")
        self.assertGreater(malloc["addresses_total"], 1000)
        self.assertEqual((malloc["addresses_matched"], calls["matched"]), (malloc["addresses_total"], calls["total"]), f"seed {SEED}: {words}")

    def test_threads_that_come_and_go(self):
        for threads, rounds in ((2, 10), (4, 40), (9, 60), (24, 30)):
            with self.subTest(threads=threads):
                self.check_exact([CHURN, str(threads), str(rounds), "1500", str(SEED)])

    def test_few_arenas(self):
        self.check_exact(["/usr/bin/env", "GLIBC_TUNABLES=glibc.malloc.arena_max=2", CHURN, "6", "20", "1500", str(SEED)])

    def test_a_thread_that_is_lost_in_malloc_holds_nobody_up(self):
        for _ in range(5):
            start = time.monotonic()
            done = self.record([CHURN, "3", "3", "1000", str(SEED), "cancel"], "--turns", "-q")
            self.assertEqual((done.returncode, done.stdout), (0, b"done\n"), done.stderr)
            self.assertLess(time.monotonic() - start, 20)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
