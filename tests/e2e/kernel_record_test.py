#!/usr/bin/env python3
"""Calls, faults, tasks and mappings in a recording, against programs that know what they did:
kernel_record_test.py FAULTLINE RECORDING_DUMP KERNEL_TRUTH ENTRY_MAPS RECORD_LOOP."""
import collections
import json
import os
import pathlib
import re
import shutil
import sys
import unittest

from record_case import FAULTLINE, NOBODY, RecordCase, run

DUMP, TRUTH, ENTRY_MAPS, LOOP = map(os.path.abspath, sys.argv[2:6])

# x86-64 numbers; how many arguments count.
CALLS = {9: ("mmap", 6), 10: ("mprotect", 4), 11: ("munmap", 2), 12: ("brk", 1), 25: ("mremap", 5), 26: ("msync", 3), 27: ("mincore", 3),
         28: ("madvise", 3), 30: ("shmat", 3), 67: ("shmdt", 1), 149: ("mlock", 2), 150: ("munlock", 2), 151: ("mlockall", 1),
         152: ("munlockall", 0), 157: ("prctl", 5), 160: ("prlimit", 4), 206: ("io_setup", 2), 207: ("io_destroy", 1),
         216: ("remap_file_pages", 5), 237: ("mbind", 6), 302: ("prlimit", 4), 325: ("mlock2", 3), 329: ("mprotect", 4),
         440: ("process_madvise", 5), 453: ("map_shadow_stack", 3), 462: ("mseal", 3)}
UNKNOWN_LIMIT = [1, 0]


class Truth:
    """What the program said it did."""

    def __init__(self, text):
        self.calls = collections.defaultdict(list)   # (pid, tid): (name, args, result)
        self.faults = collections.defaultdict(list)  # (pid, address): accesses
        self.births = {}                             # pid: (parent, shares memory)
        self.limits = []
        for line in text.splitlines():
            kind, *words = line.split()
            if kind == "call":
                pid, tid, number = map(int, words[:3])
                *args, result = (int(w, 16) for w in words[3:])
                name, count = CALLS[number]
                if number == 10:
                    args[3] = 0
                elif number == 329:
                    args[3] = 1 + (args[3] & 0xffffffff)
                elif number == 160:
                    args = [0, args[0], args[1], 0]
                self.calls[pid, tid].append((name, args[:count], result - (1 << 64) if result >> 63 else result))
            elif kind == "fault":
                access = {"r": ["read"], "w": ["write"], "x": ["execute"], "-": []}[words[2]]
                self.faults[int(words[0]), int(words[1], 16)] += access
            elif kind == "birth":
                self.births[int(words[0])] = (int(words[1]), words[2] == "1")
            elif kind == "limit":
                self.limits.append([int(w, 16) for w in words])


class KernelRecordTest(RecordCase):
    def record(self, words, *options, **more):
        return super().record(words, "-q", *options, **more)

    def dump(self):
        done = run([DUMP, self.file])
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)

    def need_nobody(self):
        if os.geteuid() != 0 or shutil.which("setpriv") is None:
            self.skipTest("needs root and setpriv to become somebody without privileges")
        done = run([*NOBODY, FAULTLINE, "--version"])
        if done.returncode != 0:
            self.skipTest("the build directory is closed to other users: " + done.stderr.decode().strip())

    def need(self, by):
        """Skips unless calls were captured by these means."""
        info = self.info()
        if info["calls_by"] != by:
            self.skipTest("calls were captured by %s: %s" % (info["calls_by"], info["missing"]))
        return info

    def check_calls(self, truth, dump):
        recorded = collections.defaultdict(list)
        for pid, process in dump["processes"].items():
            for call in process["calls"]:
                recorded[int(pid), call["tid"]].append(call)
        self.assertEqual(set(recorded), set(truth.calls))
        counts = dict(CALLS.values())
        for thread, calls in truth.calls.items():
            mine = [(c["name"], c["args"][:counts[c["name"]]], c["result"]) for c in recorded[thread]]
            self.assertEqual(mine, calls, thread)
            for one in recorded[thread]:
                self.assertLess(one["begin_ns"], one["end_ns"])
        known = [c["args"][4:] for calls in recorded.values() for c in calls if c["name"] == "prlimit" and c["args"][2] != 0]
        self.assertTrue(known)
        return known

    def check_tasks(self, truth, dump, shares_known):
        births = {t["pid"]: (t["parent"], t["shares_memory"]) for t in dump["tasks"] if t["kind"] == "fork"}
        expected = {pid: (parent, shares and shares_known) for pid, (parent, shares) in truth.births.items()}
        self.assertEqual(births, expected)
        pids = {pid for pid, _ in truth.calls}
        for kind in ("exec", "exit"):
            self.assertEqual(sorted(t["pid"] for t in dump["tasks"] if t["kind"] == kind), sorted(pids), kind)


class CallsTest(KernelRecordTest):
    def test_tracepoints(self):
        done = self.record([TRUTH])
        self.assertEqual(done.returncode, 5, done.stderr)
        self.need("tracepoints")
        truth, dump = Truth(done.stdout.decode()), self.dump()
        known = self.check_calls(truth, dump)
        for limit in known:  # asked for afterwards: only while the process lives
            self.assertIn(limit, [*truth.limits, UNKNOWN_LIMIT])
        self.check_tasks(truth, dump, True)

    def test_ptrace(self):
        done = self.record([TRUTH], "--calls", "ptrace")
        self.need_ptrace(done)
        self.assertEqual(done.returncode, 5, done.stderr)
        truth, dump = Truth(done.stdout.decode()), self.dump()
        for limit in self.check_calls(truth, dump):
            self.assertIn(limit, truth.limits)
        if self.info()["mappings_recorded"]:
            self.check_tasks(truth, dump, True)

    def test_without_privileges(self):
        self.need_nobody()
        done = self.record([TRUTH], "--calls", "exact", prefix=NOBODY)
        self.need_ptrace(done)
        self.assertEqual(done.returncode, 5, done.stderr)
        info = self.need("ptrace")
        truth, dump = Truth(done.stdout.decode()), self.dump()
        for limit in self.check_calls(truth, dump):
            self.assertIn(limit, truth.limits)
        if info["mappings_recorded"]:
            self.check_tasks(truth, dump, True)

    def test_automatic_without_privileges(self):
        """Nobody is slowed without having asked; what is lacking is one line, and says what to ask for."""
        self.need_nobody()
        self.assertEqual(self.record([LOOP, "100"], prefix=NOBODY).returncode, 3)
        info = self.need("wrapped")
        self.assertEqual(len([line for line in info["missing"] if "--calls exact" in line]), 1, info["missing"])

    def test_libc_program_both_ways(self):
        """What libc and the dynamic linker call, threads too: the same list whoever watches."""
        lists = []
        for how in ("exact", "ptrace"):
            done = self.record(["setarch", "-R", LOOP, "2000", "1"], "--calls", how, "--no-faults")
            if done.returncode != 3:
                self.skipTest("cannot run with fixed addresses: " + done.stderr.decode())
            if how == "exact":
                self.need("tracepoints")
            dump = self.dump()
            (process,) = dump["processes"].values()
            starts = [t["time_ns"] for t in dump["tasks"] if t["kind"] == "exec"]
            lists.append([(c["name"], c["args"], c["result"]) for c in process["calls"] if c["begin_ns"] > starts[-1]])
        self.assertGreater(len(lists[0]), 20)
        self.assertEqual(*lists)


class RealProgramsTest(KernelRecordTest):
    """The same program twice at fixed addresses: by ptrace for a user without privileges, and by tracepoints for root. Every call, of every
    process, with its arguments and its result."""

    def lists(self, words, prefix, how, by):
        done = self.record(words, "--calls", how, "--no-faults", prefix=prefix)
        self.need_ptrace(done)
        info = self.need(by)
        if not info["mappings_recorded"]:
            self.skipTest("when programs began is not recorded: perf events are not permitted")
        self.assertTrue(info["calls_exact"], info["missing"])
        dump = self.dump()
        began = {str(t["pid"]): t["time_ns"] for t in dump["tasks"] if t["kind"] == "exec"}
        # mincore: the recorder's own, before it reads a block; how many blocks it samples hangs on time.
        lists = [[(c["name"], c["args"], c["result"]) for c in process["calls"] if c["begin_ns"] > began.get(pid, 0) and c["name"] != "mincore"]
                 for pid, process in dump["processes"].items()]
        return done, sorted(lists)

    def check_both(self, words, processes):
        self.need_nobody()
        words = ["setarch", "-R", *words]
        one, unprivileged = self.lists(words, NOBODY, "exact", "ptrace")
        two, privileged = self.lists([*NOBODY, *words], (), "exact", "tracepoints")
        self.assertEqual((one.returncode, one.stdout), (two.returncode, two.stdout))
        self.assertEqual(len(unprivileged), processes)
        self.assertGreater(min(map(len, unprivileged)), 10)
        self.assertEqual(unprivileged, privileged)

    def test_sqlite3(self):
        if shutil.which("sqlite3") is None:
            self.skipTest("sqlite3 is not installed")
        self.check_both(["sqlite3", ":memory:", "create table t(a, b); with recursive n(i) as (select 1 union all select i+1 from n where i < 40000) "
                         "insert into t select i, hex(zeroblob(40)) from n; create index x on t(b, a); delete from t where a % 3; select count(*) from t;"], 1)

    def test_verify_without_privileges(self):
        """The twin makes every call as the kernel did and has its maps, of all processes; what was not seen is not judged."""
        self.need_nobody()
        self.assertEqual(self.record(["sh", "-c", "seq 20000 | sort -r | head -n 3; exit 4"], "--calls", "exact", prefix=NOBODY).returncode, 4)
        info = self.need("ptrace")
        if not info["mappings_recorded"]:
            self.skipTest("when programs began is not recorded: perf events are not permitted")
        done = run([FAULTLINE, "verify", "--json", self.file])
        self.assertEqual(done.returncode, 0, done.stdout)
        verified = json.loads(done.stdout)
        self.assertTrue(verified["maps_equal"])
        self.assertEqual(verified["follow"]["processes"], 4)
        self.assertGreater(verified["follow"]["calls"]["total"], 150)
        self.assertEqual(verified["follow"]["calls"]["matched"], verified["follow"]["calls"]["total"])
        self.assertEqual(verified["follow"]["faults"]["judged"], info["fault_access"])

    def test_pipeline(self):
        self.check_both(["sh", "-c", "seq 20000 | sort -S 1M -r | head -n 3 | cat; exit 4"], 5)


class FaultsTest(KernelRecordTest):
    def test_kinds_of_access(self):
        done = self.record([TRUTH])
        if not self.info()["fault_access"]:
            self.skipTest("kinds of access: " + "; ".join(self.info()["missing"]))
        truth = Truth(done.stdout.decode())
        recorded = collections.defaultdict(list)
        unknown = 0
        for pid, process in self.dump()["processes"].items():
            for fault in process["faults"]:
                recorded[int(pid), fault["address"]].append(fault["access"])
                unknown += fault["access"] == "unknown"
        self.assertGreaterEqual(len(truth.faults), 7)
        for where, accesses in truth.faults.items():
            self.assertEqual(recorded[where], accesses, "process %d, address %#x" % where)
        self.assertEqual(unknown, 0)

    def test_switched_off(self):
        self.record([TRUTH], "--no-fault-access")
        info = self.info()
        self.assertFalse(info["fault_access"])
        if info["kernel_mode_faults"]:
            self.assertEqual(len([line for line in info["missing"] if "--no-fault-access" in line]), 1)


class MappingsTest(KernelRecordTest):
    """The mappings that execve made are those of /proc/PID/maps at the first instruction."""

    def merged(self, mappings):
        out = []
        for start, end, rights, inode, name in sorted(mappings):
            if out and out[-1][1] == start and out[-1][2:] == [rights, inode, name]:
                out[-1][1] = end
            else:
                out.append([start, end, rights, inode, name])
        return out

    def laid_over(self, events):
        out = []
        for event in events:
            start, end = event["start"], event["end"]
            rights = "".join(c if event["prot"] >> i & 1 else "-" for i, c in enumerate("rwx"))
            left = []
            for s, e, *rest in out:
                left += [[a, b, *rest] for a, b in ((s, min(e, start)), (max(s, end), e)) if a < b]
            out = left + [[start, end, rights, event["inode"], "" if event["path"] == "//anon" else event["path"]]]
        return out

    def test_layout_at_entry(self):
        candidates = ["ls", "sh", "bash", "python3", "gcc", "perl", "sort", "make", "git", "cat", "sqlite3", "gawk", "ldd"]
        programs = [p for p in map(shutil.which, candidates) if p and pathlib.Path(p).read_bytes()[:4] == b"\x7fELF"] + [TRUTH, LOOP]
        done = self.record([ENTRY_MAPS, *programs])
        self.assertEqual(done.returncode, 0, done.stderr)
        if not self.info()["mappings_recorded"]:
            self.skipTest("mappings are not recorded: perf events are not permitted")
        dump = self.dump()
        executed = {t["pid"]: t["time_ns"] for t in dump["tasks"] if t["kind"] == "exec"}
        seen = 0
        for part in done.stdout.decode().split("== ")[1:]:
            head, *lines = part.splitlines()
            pid, path = head.split(" ", 1)
            maps = []
            for line in lines:
                start, end, rights, inode, name = re.match(r"(\w+)-(\w+) (...). \w+ \S+ (\d+)\s*(.*)", line).groups()
                if name != "[vsyscall]":
                    maps.append([int(start, 16), int(end, 16), rights, int(inode), name])
            events = [m for m in dump["processes"][pid]["mappings"] if m["time_ns"] >= executed[int(pid)]]
            self.assertEqual(self.merged(self.laid_over(events)), self.merged(maps), path)
            seen += 1
        self.assertEqual(seen, len(programs))

    def test_nothing_is_lost_with_many_processes(self):
        self.record(["sh", "-c", "for i in $(seq 300); do /bin/true; done"])
        info, dump = self.info(), self.dump()
        self.assertEqual(sum(p["lost_task_records"] + p["lost_call_records"] + p["lost_fault_records"] for p in info["processes"]), 0)
        if info["mappings_recorded"]:
            counts = collections.Counter(t["kind"] for t in dump["tasks"])
            self.assertEqual(counts, {"fork": counts["fork"], "exec": counts["fork"] + 1, "exit": counts["fork"] + 1})
            self.assertGreaterEqual(counts["fork"], 300)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[6:])
