#!/usr/bin/env python3
"""faultline stat, map and top -b against processes whose faults and pages are known, against ps, and against those that are difficult:
kernel threads, zombies, other users', ones that end, names with blanks and parentheses.

    live_test.py FAULTLINE LIVE_TOUCH
"""
import contextlib
import json
import os
import pathlib
import random
import subprocess
import sys
import time
import unittest

FAULTLINE, LIVE_TOUCH = map(os.path.abspath, sys.argv[1:3])
PAGE = 4096
NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]


def run(*words, **options):
    return subprocess.run([FAULTLINE, *map(str, words)], capture_output=True, text=True, timeout=60, **options)


def text(path):
    return pathlib.Path(path).read_text()


def objects(*words):
    done = run(*words, "--json")
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


class Toucher:
    """live_touch, told what to touch."""

    def __init__(self, threads=0):
        self.process = subprocess.Popen([LIVE_TOUCH, str(threads)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
        self.pid = self.process.pid
        self.regions = {}
        for line in self.process.stdout:
            if line == "ready\n":
                break
            name, address, _ = line.split()
            self.regions[name] = int(address, 16)
        for kind in "trfd":  # each command once, so that nothing of its own code is touched later
            self.tell(f"{kind}0")
        self.settle()

    def settle(self):
        """Threads that have just passed the barrier still touch the code that puts them to sleep: until every one is in pause(2)."""
        def pauses(task):
            with open(f"/proc/{self.pid}/task/{task}/syscall") as call:
                return call.read().split()[0] == "34"
        until = time.monotonic() + 10
        while not all(pauses(task) for task in os.listdir(f"/proc/{self.pid}/task") if int(task) != self.pid) and time.monotonic() < until:
            time.sleep(0.01)

    def tell(self, command):
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "done\n"

    def stat(self):
        return objects("stat", "-p", self.pid)[0]

    def map(self):
        done = run("map", self.pid, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def region(self, name):
        at = self.regions[name]
        return next(m for m in self.map()["mappings"] if int(m["start"], 16) <= at < int(m["end"], 16))

    def end(self):
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


@contextlib.contextmanager
def toucher(threads=0):
    one = Toucher(threads)
    try:
        yield one
    finally:
        one.end()


class Known(unittest.TestCase):
    def test_faults_and_pages_are_those_touched(self):
        seed = int(os.environ.get("FAULTLINE_SEED", time.time_ns() % 1000000))
        random.seed(seed)
        with toucher() as one:
            touched = {"written": 0, "read": 0, "shared": 0}
            for _ in range(12):
                kind, region = random.choice([("t", "written"), ("r", "read"), ("f", "shared")])
                pages = random.choice([1, 2, 7, 100, 255])
                before = one.stat()
                one.tell(f"{kind}{pages}")
                after = one.stat()
                touched[region] += pages
                self.assertEqual(after["minor_faults"] - before["minor_faults"], pages, f"seed {seed}")
                self.assertEqual(after["major_faults"], before["major_faults"])
                found = one.region(region)
                self.assertEqual(found["present_pages"], touched[region], f"seed {seed}")
                # Reads of fresh anonymous memory map the zero page: a fault, but no memory.
                self.assertEqual(found["rss_bytes"], 0 if region == "read" else touched[region] * PAGE, f"seed {seed}")
            given_back = touched["written"] // 2
            one.tell(f"d{given_back}")
            self.assertEqual(one.region("written")["rss_bytes"], (touched["written"] - given_back) * PAGE)

    def test_residency_lies_where_it_was_touched(self):
        with toucher() as one:
            one.tell("t1024")  # a quarter of 4096
            one.tell("d256")
            region = one.region("written")
            bar = region["residency"]
            first = (one.regions["written"] - int(region["start"], 16)) // PAGE
            pages = region["size_bytes"] // PAGE
            for i, cell in enumerate(bar):
                low, high = pages * i // len(bar), pages * (i + 1) // len(bar)
                resident = [first + 256 <= page < first + 1024 for page in range(low, high)]
                self.assertEqual(cell, "#" if all(resident) else "+" if any(resident) else ".", f"cell {i} of {bar}")

    def test_counters_are_those_of_ps(self):
        with toucher(2) as one:
            one.tell("t1000")
            ours = one.stat()
            words = subprocess.run(["ps", "-o", "min_flt=,maj_flt=,rss=", "-p", str(one.pid)], capture_output=True, text=True).stdout.split()
            self.assertEqual([ours["minor_faults"], ours["major_faults"]], [int(words[0]), int(words[1])])
            self.assertEqual(ours["rss_bytes"], int(words[2]) * 1024)
            top = json.loads(run("top", "-b", "-n", 1, "-d", 0.1, "--rows", 0, "--json").stdout)
            row = next(row for row in top["rows"] if row["pid"] == one.pid)
            self.assertEqual(row["minor_faults"], ours["minor_faults"])
            self.assertEqual(row["rss_bytes"], int(words[2]) * 1024)

    def test_map_is_smaps(self):
        with toucher(3) as one:
            one.tell("t300")
            ours = one.map()
            smaps = text(f"/proc/{one.pid}/smaps").splitlines()
            heads = [line.split()[:2] for line in smaps if line[:1] in "0123456789abcdef" and "[vsyscall]" not in line]
            self.assertEqual([[f'{int(m["start"], 16):x}-{int(m["end"], 16):x}', m["permissions"]] for m in ours["mappings"]],
                             [[f'{int(a, 16):x}-{int(b, 16):x}', rights] for (a, b), rights in ((head[0].split("-"), head[1]) for head in heads)])
            self.assertEqual(ours["total"]["rss_bytes"], sum(int(line.split()[1]) * 1024 for line in smaps if line.startswith("Rss:")))
            self.assertEqual(ours["total"]["rss_bytes"], sum(kind["rss_bytes"] for kind in ours["kinds"].values()))

    def test_arenas_and_stacks(self):
        with toucher(3) as one:
            ours = one.map()
            arenas = [m for m in ours["mappings"] if m["kind"] == "arena"]
            self.assertEqual({m["arena"] for m in arenas}, {1, 2, 3})
            for arena in arenas:
                self.assertEqual(int(arena["start"], 16) % (64 << 20), 0)
                self.assertGreaterEqual(arena["rss_bytes"], 2900000)
            tasks = {int(tid) for tid in os.listdir(f"/proc/{one.pid}/task")} - {one.pid}
            self.assertEqual({t["tid"] for t in ours["threads"]}, tasks)
            stacks = {m["thread"] for m in ours["mappings"] if m["kind"] == "thread_stack"}
            if os.path.exists(f"/proc/{one.pid}/syscall"):
                self.assertEqual(stacks, tasks)
            self.assertEqual(sum(m["kind"] == "heap" for m in ours["mappings"]), 1)
            self.assertEqual(sum(m["kind"] == "stack" for m in ours["mappings"]), 1)

    def test_rises_between_two_lines(self):
        with toucher() as one:
            watch = subprocess.Popen([FAULTLINE, "stat", "-p", str(one.pid), "0.2", "200", "--mappings", "--json"], stdout=subprocess.PIPE, text=True, bufsize=1)
            first = json.loads(watch.stdout.readline())
            self.assertIsNone(first["interval_ns"])
            one.tell("t777")
            minor = rss = region = 0
            while minor < 777:
                line = json.loads(watch.stdout.readline())
                minor += line["minor_faults_rise"]
                region += sum(m["rss_change_bytes"] for m in line["mappings"] if int(m["start"], 16) <= one.regions["written"] < int(m["end"], 16))
                self.assertAlmostEqual(line["minor_faults_per_second"], line["minor_faults_rise"] * 1e9 / line["interval_ns"], delta=0.01)
            # What was touched between the two readings of one line shows in the next.
            line = json.loads(watch.stdout.readline())
            region += sum(m["rss_change_bytes"] for m in line["mappings"] if int(m["start"], 16) <= one.regions["written"] < int(m["end"], 16))
            self.assertEqual(minor, 777)
            self.assertEqual(region, 777 * PAGE)
            watch.send_signal(2)  # Ctrl-C ends it in order
            watch.communicate(timeout=20)
            self.assertEqual(watch.returncode, 0)


class Difficult(unittest.TestCase):
    def test_names(self):
        with toucher() as one:
            self.assertEqual([o["pid"] for o in objects("stat", "-C", "live) t (uch")], [one.pid])
            self.assertIn(f"{one.pid}", run("top", "-b", "-n", 1, "-d", 0.1, "--rows", 0).stdout)
        done = run("stat", "-C", "no such name")
        self.assertEqual((done.returncode, done.stdout), (2, ""))
        self.assertIn("no such name", done.stderr)

    def test_kernel_threads(self):
        pid = 2  # kthreadd; in a container it is somebody else
        if not os.path.exists("/proc/2/stat") or not int(text("/proc/2/stat").rpartition(")")[2].split()[6]) & 0x200000:
            self.skipTest("no kernel thread is to be seen here")
        self.assertIn("kernel thread", run("map", pid).stdout)
        self.assertEqual(json.loads(run("map", pid, "--json").stdout)["mappings"], [])
        self.assertIsNone(objects("stat", "-p", pid)[0]["swapped_bytes"])

    def test_zombies(self):
        child = subprocess.Popen(["true"])
        try:
            while text(f"/proc/{child.pid}/stat").rpartition(")")[2].split()[0] != "Z":
                time.sleep(0.01)
            self.assertIn("zombie", run("map", child.pid).stdout)
            self.assertEqual(objects("stat", "-p", child.pid)[0]["state"], "Z")
        finally:
            child.wait()

    def test_ends_while_watched(self):
        child = subprocess.Popen(["sleep", "600"])
        watch = subprocess.Popen([FAULTLINE, "stat", "-p", str(child.pid), "0.1"], stdout=subprocess.PIPE, text=True)
        for _ in range(4):  # the command, the titles, two lines of numbers
            watch.stdout.readline()
        child.kill()
        child.wait()
        out, _ = watch.communicate(timeout=20)
        self.assertEqual(watch.returncode, 0)
        self.assertIn(f"{child.pid} ended", out)
        for command in (["map", child.pid], ["stat", "-p", child.pid]):
            done = run(*command)
            self.assertEqual((done.returncode, done.stdout), (2, ""))
            self.assertIn(f"no process {child.pid}", done.stderr)

    def test_other_users(self):
        if os.geteuid() != 0:
            self.skipTest("takes root to be another user")
        with toucher() as one:
            command = lambda *words: subprocess.run([*NOBODY, FAULTLINE, *map(str, words)], capture_output=True, text=True, timeout=60)
            done = command("map", one.pid)
            self.assertEqual(done.returncode, 2)
            self.assertEqual(done.stderr.count("\n"), 1)
            self.assertIn("CAP_SYS_PTRACE", done.stderr)
            done = command("stat", "-p", one.pid, "0.1", "2")
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn("CAP_SYS_PTRACE", done.stdout)  # one line; all else is there
            self.assertEqual(json.loads(command("stat", "-p", one.pid, "--json").stdout)["minor_faults"], one.stat()["minor_faults"])
            self.assertEqual(command("top", "-b", "-n", "1", "-d", "0.1").returncode, 0)

    def test_own_process_without_privileges(self):
        if os.geteuid() != 0:
            self.skipTest("run as root it is tried as another user")
        child = subprocess.Popen([*NOBODY, "sleep", "60"])
        try:
            while text(f"/proc/{child.pid}/comm") != "sleep\n":
                time.sleep(0.01)
            done = subprocess.run([*NOBODY, FAULTLINE, "map", str(child.pid)], capture_output=True, text=True)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn("[#", done.stdout)
        finally:
            child.kill()
            child.wait()

    def test_usage(self):
        for words in (["stat"], ["stat", "-p", "1", "-C", "x"], ["stat", "-p", "0"], ["stat", "-p", "1", "0"], ["stat", "-p", "1", "--mappings"], ["map"], ["map", "x"],
                      ["top", "--json"], ["top"], ["top", "-b", "--sort", "x"], ["map", "1", "--proc", "/nowhere"]):
            done = run(*words, stdin=subprocess.DEVNULL)
            self.assertEqual(done.returncode, 2, words)
            self.assertEqual(done.stderr.count("\n"), 1, done.stderr)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
