#!/usr/bin/env python3
"""faultline export: a program whose allocations and faults are known (tests/golden/known_faults.c), read back by the tools the formats are of.

    export_test.py FAULTLINE KNOWN_FAULTS SOURCE
Consumers: heaptrack_print, go tool pprof, protoc --decode, the OpenMetrics parser of python3-prometheus-client, Python's csv; one that is
not installed is said and left out.
"""
import csv
import gzip
import io
import json
import os
import pathlib
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest

FAULTLINE, PROGRAM, SOURCE = map(os.path.abspath, sys.argv[1:4])
FORMATS = {"csv", "firefox", "folded", "heaptrack", "openmetrics", "perfetto", "pprof", "speedscope"}
# By known_faults.c: function: (bytes, calls, bytes never freed, faults)
KNOWN = {"allocate_mapped": (64 << 20, 1, 64 << 20, 8000), "allocate_read_buffer": (8 << 20, 1, 8 << 20, None), "allocate_bulk": (4000000, 4000, 0, None),
         "allocate_pin": (40, 1, 40, None), "allocate_temporary": (50000, 500, 0, 0)}


def run(*words, text=True, **options):
    return subprocess.run([*map(str, words)], capture_output=True, text=text, timeout=120, **options)


class Export(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="faultline-export-")
        cls.root = pathlib.Path(cls.folder.name)
        cls.file = cls.root / "known.fl"
        done = run(FAULTLINE, "record", "-o", cls.file, "--", PROGRAM)
        assert done.returncode == 0, done.stderr
        report = json.loads(run(FAULTLINE, "report", "--json", "--no-heap", "--top", 1000, cls.file).stdout)
        cls.faults = report["totals"]["minor_faults"] > 0
        cls.totals = report["totals"]

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def export(self, name, *more):
        out = self.root / f"out.{name}"
        done = run(FAULTLINE, "export", name, self.file, "-o", out, *more)
        self.assertEqual(done.returncode, 0, done.stderr)
        return out

    def need(self, tool):
        if shutil.which(tool) is None:
            self.skipTest(f"{tool} is not installed")

    def test_list(self):
        done = run(FAULTLINE, "export", "--list")
        self.assertEqual({line.split()[0] for line in done.stdout.splitlines()}, FORMATS)

    def test_folded(self):
        for sample, at in (("alloc_space", 0), ("alloc_objects", 1), ("inuse_space", 2)):
            sums = {}
            for line in self.export("folded", "--sample", sample).read_text().splitlines():
                stack, _, count = line.rpartition(" ")
                self.assertEqual(stack.split(";")[0], "_start")
                sums[stack.split(";")[-1]] = sums.get(stack.split(";")[-1], 0) + int(count)
            for function, numbers in KNOWN.items():
                self.assertEqual(sums.get(function, 0), numbers[at], (sample, function))

    def test_csv(self):
        rows = list(csv.DictReader(io.StringIO(self.export("csv").read_text(), newline="")))
        for function, (allocated, calls, kept, faults) in KNOWN.items():
            own = [row for row in rows if row["function"] == function]
            self.assertEqual(sum(int(row["alloc_space_bytes"]) for row in own), allocated)
            self.assertEqual(sum(int(row["alloc_objects"]) for row in own), calls)
            self.assertEqual(sum(int(row["inuse_space_bytes"]) for row in own), kept)
            if self.faults and faults is not None:
                self.assertEqual(sum(int(row["page_faults"]) for row in own), faults)
        # 8000 pages were written from the 16th byte of a chunk on; its mapping begins with malloc's header.
        mapped = next(row for row in rows if row["function"] == "allocate_mapped")
        self.assertEqual(int(mapped["resident_space_bytes"]), 8000 * 4096 - 16)
        if self.faults:
            self.assertEqual(sum(int(row["page_faults"]) for row in rows), self.totals["minor_faults"] + self.totals["major_faults"])

    def test_heaptrack(self):
        self.need("heaptrack_print")
        done = run("heaptrack_print", self.export("heaptrack"))
        self.assertEqual(done.returncode, 0, done.stderr)
        for function, (_, calls, _, _) in KNOWN.items():
            self.assertRegex(done.stdout, rf"{calls} calls to allocation functions with \S+ peak consumption from\n{function}\n  at \S*known_faults.c:\d+")
        self.assertIn("total memory leaked: 75.50M", done.stdout)  # 72 MiB and 40 bytes, in heaptrack's decimal units
        self.assertIn(f"calls to allocation functions: {self.totals['allocations']} ", done.stdout)

    def test_pprof(self):
        self.need("go")
        out = self.export("pprof")
        done = run("go", "tool", "pprof", "-raw", out, env={**os.environ, "HOME": str(self.root)})
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("alloc_space/bytes[dflt] alloc_objects/count inuse_space/bytes inuse_objects/count", done.stdout)
        done = run("go", "tool", "pprof", "-top", "-unit=B", "-sample_index=inuse_space", out, env={**os.environ, "HOME": str(self.root)})
        self.assertRegex(done.stdout, r"67108864B .*\ballocate_mapped\n")

    def decode(self, description, message, data):
        self.need("protoc")
        folder = pathlib.Path(SOURCE) / "src/report/exporters"
        done = run("protoc", f"--proto_path={folder}", f"--decode={message}", folder / description, text=False, input=data)
        self.assertEqual(done.returncode, 0, done.stderr)
        text = done.stdout.decode()
        self.assertIsNone(re.search(r"^\s*\d+:", text, re.M), "a field its description does not know")
        return text

    def test_protocol_buffers(self):
        self.assertIn("allocate_mapped", self.decode("pprof.proto", "faultline.pprof.Profile", gzip.decompress(self.export("pprof").read_bytes())))
        self.assertIn("mem.rss", self.decode("perfetto.proto", "faultline.perfetto.Trace", self.export("perfetto").read_bytes()))

    def test_openmetrics(self):
        sys.path.append("/usr/lib/python3/dist-packages")
        try:
            from prometheus_client.openmetrics.parser import text_string_to_metric_families
        except ImportError:
            self.skipTest("python3-prometheus-client is not installed")
        families = {family.name: family for family in text_string_to_metric_families(self.export("openmetrics").read_text())}
        allocated = {sample.labels["function"]: sample.value for sample in families["faultline_allocated_bytes"].samples}
        for function, numbers in KNOWN.items():
            self.assertEqual(allocated[function], numbers[0])
        self.assertEqual(families["faultline_rss_peak_bytes"].samples[0].value, self.totals["rss_peak_bytes"])

    def test_speedscope(self):
        file = json.loads(self.export("speedscope").read_text())
        frames = file["shared"]["frames"]
        for profile in file["profiles"]:
            self.assertEqual(len(profile["samples"]), len(profile["weights"]))
            self.assertEqual(sum(profile["weights"]), profile["endValue"])
            self.assertTrue(all(0 <= frame < len(frames) for sample in profile["samples"] for frame in sample))
        space = next(profile for profile in file["profiles"] if profile["name"] == "alloc_space")
        self.assertEqual(sum(weight for sample, weight in zip(space["samples"], space["weights"]) if frames[sample[-1]]["name"] == "allocate_bulk"), 4000000)

    def test_firefox(self):
        file = json.loads(self.export("firefox").read_text())
        for thread in file["threads"]:
            strings = thread["stringArray"]
            for name in ("samples", "stackTable", "frameTable", "funcTable", "markers"):
                table = thread[name]
                for column, values in table.items():
                    if isinstance(values, list):
                        self.assertEqual(len(values), table["length"], (name, column))
            self.assertTrue(all(prefix is None or prefix < i for i, prefix in enumerate(thread["stackTable"]["prefix"])))  # as the reader wants it
            self.assertTrue(all(0 <= name < len(strings) for name in thread["funcTable"]["name"]))
        space = next(thread for thread in file["threads"] if thread["name"] == "alloc_space")
        self.assertEqual(sum(space["samples"]["weight"]), self.totals["allocated_bytes"])
        for counter in file["counters"]:
            self.assertEqual(len(counter["samples"]["time"]), len(counter["samples"]["count"]))

    def test_the_same_twice(self):
        for name in FORMATS:
            self.assertEqual(self.export(name).read_bytes(), self.export(name).read_bytes(), name)

    def test_standard_output_and_default_names(self):
        done = run(FAULTLINE, "export", "folded", self.file, "-o", "-")
        self.assertEqual(done.stdout, self.export("folded").read_text())
        done = run(FAULTLINE, "export", "pprof", self.file)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertTrue((self.root / "known.fl.pb.gz").exists())

    def test_what_a_recording_lacks_is_said(self):
        bare = self.root / "bare.fl"
        done = run(FAULTLINE, "record", "--no-stacks", "-o", bare, "--", PROGRAM)
        self.assertEqual(done.returncode, 0, done.stderr)
        done = run(FAULTLINE, "export", "folded", bare, "-o", "-")
        self.assertEqual(done.returncode, 0)
        self.assertIn("not in it: no call stacks were recorded", done.stderr)
        self.assertTrue(all("(no stack recorded)" in line for line in done.stdout.splitlines()))

    def test_bad_usage_leaves_nothing(self):
        before = sorted(os.listdir(self.root))
        for words in (["nosuch", self.file], ["folded"], ["folded", "/nonexistent.fl"], ["folded", SOURCE], ["folded", self.file, "--sample", "x"], [],
                      ["folded", self.file, "-o", "/nonexistent/out"], ["folded", self.file, "-o", self.file], ["folded", self.file, "-o", self.root],
                      ["csv", self.file, "-o", "/dev/full"], ["csv", self.file, "--process", 999999]):
            done = run(FAULTLINE, "export", *words)
            self.assertEqual(done.returncode, 2, (words, done.stderr))
            self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
        self.assertEqual(sorted(os.listdir(self.root)), before)

    def test_a_full_disk_leaves_what_was_there(self):
        out = self.root / "kept.csv"
        out.write_text("what was there")

        def small_files():
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
        done = run(FAULTLINE, "export", "csv", self.file, "-o", out, preexec_fn=small_files)
        self.assertEqual(done.returncode, 2)
        self.assertEqual(out.read_text(), "what was there")
        self.assertEqual([name for name in os.listdir(self.root) if "part" in name], [])


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
