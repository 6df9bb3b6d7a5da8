#!/usr/bin/env python3
"""record --references exact, import and info on real programs, judged by what the programs are known to do, and by strace."""
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

FAULTLINE, DUMP, PATTERN = sys.argv[1:4]
LACKEY = ["valgrind", "--tool=lackey", "--basic-counts=no", "--trace-mem=yes", "--trace-syscalls=yes"]


def run(*words, **options):
    return subprocess.run([str(word) for word in words], capture_output=True, text=True, timeout=300, **options)


def info(path):
    return json.loads(run(FAULTLINE, "info", "--json", path).stdout)


def events(path):
    """(process, kind, page, pages, file, file page) of each."""
    out = []
    for line in run(DUMP, path).stdout.splitlines():
        words = line.split("\t")
        out.append((int(words[0]), words[1], int(words[2], 16), int(words[3], 16), words[4], int(words[5], 16)))
    return out


class References(unittest.TestCase):
    def setUp(self):
        if shutil.which("valgrind") is None:
            self.skipTest("valgrind is not installed (Debian package valgrind)")
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.path = pathlib.Path(self.folder.name)
        self.stream = self.path / "stream.refs"

    def record(self, *command, **options):
        return run(FAULTLINE, "record", "--references", "exact", "-o", self.stream, "--", *command, **options)

    def touched(self, base, pages, list_of_events):
        return [event[2] - base for event in list_of_events if event[1] in "RWX" and base <= event[2] < base + pages]

    def test_a_known_pattern_is_found_as_it_was_made(self):
        pages, rounds = 1000, 3  # more pages than the filter's window: nothing of the order is lost
        result = self.record(PATTERN, pages, rounds)
        self.assertEqual(result.returncode, 3, result.stderr)
        base = int(result.stdout, 16)
        found = events(self.stream)
        mapped = [e for e in found if e[1] == "map" and e[2] == base]
        self.assertEqual([e[3] for e in mapped], [pages])
        self.assertEqual(mapped[0][4], "-")
        self.assertEqual([e[3] for e in found if e[1] == "unmap" and e[2] == base], [pages])
        self.assertEqual(self.touched(base, pages, found), [i * 7 % pages for i in range(rounds * pages)])
        # The program and its libraries are files, and its code is executed there.
        code = {e[4] for e in found if e[1] == "map"}
        self.assertIn(str(pathlib.Path(PATTERN).resolve()), code)
        self.assertTrue(any("ld-linux" in name for name in code) and any("libc.so" in name for name in code), code)
        about = info(self.stream)
        self.assertEqual(about["remarks"], [])
        self.assertLessEqual(about["bytes_per_touch"], 2.0)
        self.assertEqual(about["references"], about["touches"] + about["dropped"])

    def test_files_and_forks(self):
        data = self.path / "data"
        data.write_bytes(os.urandom(10 * 4096 + 5))
        result = self.record(PATTERN, 10, 1, data)
        self.assertEqual(result.returncode, 3, result.stderr)
        found = events(self.stream)
        reads = [e for e in found if e[1] == "file_read" and e[4] == str(data)]
        self.assertEqual([(e[5], e[3]) for e in reads], [(0, 3), (3, 3), (6, 3), (9, 2)])
        mapped = [e for e in found if e[1] == "map" and e[4] == str(data)]
        self.assertEqual([e[3] for e in mapped], [11])
        base = mapped[0][2]
        found = found[found.index(mapped[0]):]  # what was mapped there before is another matter
        self.assertEqual(self.touched(base, 11, [e for e in found if e[0] == 0]), list(range(11)))
        self.assertEqual([e[3] for e in found if e[1] == "fork"], [1])
        self.assertEqual(self.touched(base, 11, [e for e in found if e[0] == 1]), list(range(0, 11, 2)))
        self.assertEqual(sorted(e[0] for e in found if e[1] == "exit"), [0, 1])
        about = info(self.stream)
        self.assertEqual(len(about["processes"]), 2)
        self.assertEqual({f["path"]: f["size_pages"] for f in about["files"]}[str(data)], 11)

    def test_an_imported_log_is_the_recorded_run(self):
        log = self.path / "log"
        result = run(*LACKEY, f"--log-file={log}", PATTERN, 1000, 2)
        base = int(result.stdout, 16)
        done = run(FAULTLINE, "import", "auto", log, "-o", self.stream)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(self.touched(base, 1000, events(self.stream)), [i * 7 % 1000 for i in range(2000)])
        about = info(self.stream)
        self.assertEqual((about["format"], about["has_mappings"], len(about["processes"])), ("lackey", True, 1))
        piped = self.path / "piped.refs"
        with open(log) as stream:
            self.assertEqual(run(FAULTLINE, "import", "lackey", "-", "-o", piped, stdin=stream).returncode, 0)
        self.assertEqual(events(piped), events(self.stream))

    def test_children_and_status_are_those_of_the_command(self):
        result = self.record("/bin/sh", "-c", "cat /etc/hostname | wc -c; echo to stderr >&2; exit 9")
        self.assertEqual(result.returncode, 9)
        self.assertEqual(int(result.stdout), os.path.getsize("/etc/hostname"))
        self.assertIn("to stderr", result.stderr)
        self.assertNotIn("==", result.stderr)
        about = info(self.stream)
        self.assertEqual(sorted(p["command"].split()[0] for p in about["processes"]), ["/bin/sh", "/usr/bin/cat", "/usr/bin/wc"])
        found = events(self.stream)
        cat = next(p["process"] for p in about["processes"] if p["command"].startswith("/usr/bin/cat"))
        self.assertEqual([e[3] for e in found if e[0] == cat and e[1] == "file_read" and e[4] == "/etc/hostname"], [1])
        for process in range(3):  # every touch is of something mapped at that time
            mapped = set()
            for number, kind, page, pages, _, _ in found:
                if number != process:
                    continue
                if kind == "map":
                    mapped.update(range(page, page + pages))
                elif kind == "unmap":
                    mapped.difference_update(range(page, page + pages))
                elif kind in "RWX" and process == 0:
                    self.assertIn(page, mapped)
        result = self.record("/bin/sh", "-c", "kill -9 $$")
        self.assertEqual(result.returncode, -9)

    def test_a_program_that_closes_all_it_has(self):
        result = self.record(PATTERN, "close")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("true", info(self.stream)["processes"][0]["command"])

    def test_sqlite_reads_what_strace_saw(self):
        for tool in ("sqlite3", "strace"):
            if shutil.which(tool) is None:
                self.skipTest(f"{tool} is not installed")
        base = (self.path / "base.db").resolve()
        run("sqlite3", base, "create table t(a, b); with recursive n(i) as (select 1 union all select i + 1 from n where i < 2000) "
            "insert into t select i, hex(randomblob(400)) from n;")
        query = ["sqlite3", base, "select count(*) from t;"]
        seen = run("strace", "-y", "-e", "trace=pread64,read", *query).stderr
        wanted = []
        for name, arguments, got in re.findall(rf"(p?read)(?:64)?\(\d+<{re.escape(str(base))}>, (.*)\) = (\d+)", seen):
            if int(got) > 0:
                offset = int(arguments.rsplit(", ", 1)[1]) if name == "pread" else 0  # the shell's one look at what the file is
                wanted.append((offset // 4096, (offset + int(got) + 4095) // 4096 - offset // 4096))
        if not wanted:
            self.skipTest("strace may not trace here")
        result = self.record(*query)
        self.assertEqual((result.returncode, result.stdout), (0, "2000\n"), result.stderr)
        reads = [(e[5], e[3]) for e in events(self.stream) if e[1] == "file_read" and e[4] == str(base)]
        self.assertEqual(reads, wanted)
        self.assertGreater(len(reads), 400)

    def test_bad_input_is_one_line_and_status_2(self):
        trace = self.path / "trace"
        trace.write_text("R 1000\nW zz\n")
        result = run(FAULTLINE, "import", "text", trace)
        self.assertEqual((result.returncode, result.stderr.count("\n")), (2, 1))
        self.assertIn("line 2", result.stderr)
        self.assertEqual([p.name for p in self.path.iterdir()], ["trace"])
        trace.write_bytes(b"12345")
        self.assertIn("offset 0", run(FAULTLINE, "import", "pages64", trace).stderr)
        self.assertEqual(run(FAULTLINE, "import", "nonsense", trace).returncode, 2)
        self.assertEqual(run(FAULTLINE, "import", "text", trace, "-o", trace).returncode, 2)
        result = run(FAULTLINE, "record", "--references", "exact", "-o", self.stream, "--", "true", env={"PATH": "/nowhere"})
        self.assertEqual(result.returncode, 2)
        result = run(FAULTLINE, "record", "--references", "exact", "-o", self.stream, "--", "/bin/true", env={"PATH": "/nowhere"})
        self.assertEqual((result.returncode, result.stderr.count("\n")), (2, 1))
        self.assertIn("package 'valgrind'", result.stderr)
        self.assertFalse(self.stream.exists())


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[4:], verbosity=2)
