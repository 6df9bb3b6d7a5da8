#!/usr/bin/env python3
"""faultline record and info, end to end: record_test.py FAULTLINE PROGRAM STATIC_PROGRAM.

PROGRAM is programs/record_loop.c, STATIC_PROGRAM the same linked statically.
"""
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
import unittest

from record_case import FAULTLINE, RecordCase, run

PROGRAM, STATIC = map(os.path.abspath, sys.argv[2:4])
OWN_VARIABLES = ("LD_PRELOAD=", "FAULTLINE_", "_=", "SHLVL=")


class RecordTest(RecordCase):
    def main_process(self, info):
        return next(p for p in info["processes"] if p["is_main"])

    def one_line(self, done, *parts):
        lines = done.stderr.decode().splitlines()
        self.assertEqual(done.returncode, 2, lines)
        self.assertEqual(len(lines), 1, lines)
        for part in parts:
            self.assertIn(part, lines[0])


class Transparency(RecordTest):
    def check_same(self, words, **options):
        plain, recorded = run(words, **options), self.record(words, "-q", **options)
        self.assertEqual(recorded.returncode, plain.returncode, recorded.stderr)
        self.assertEqual(recorded.stdout, plain.stdout)
        self.assertEqual(recorded.stderr, plain.stderr)

    def test_exit_status_and_output(self):
        for words in (["true"], ["false"], ["sh", "-c", "exit 42"], ["sh", "-c", "kill -9 $$"], ["sh", "-c", "kill -TERM $$"],
                      ["sh", "-c", "echo out; echo err >&2; exit 5"], ["echo", "--", "-o", "x"], [PROGRAM, "100", "1", "quick"],
                      [PROGRAM, "100", "1", "kill"], [PROGRAM, "100", "1", "exit"], ["sh", "-c", "ulimit -c 0; exec " + PROGRAM + " 100 1 abort"]):
            with self.subTest(words=words):
                self.check_same(words)

    def test_files_lie_and_are_resident_as_without_us(self):
        """Which pages of a file a fault brings in hangs on its address within 64 KiB; and we read nothing of the program's files."""
        if run(["setarch", "-R", "true"]).returncode != 0:
            self.skipTest("address randomisation cannot be turned off here")

        def files(text):
            found, key = {}, None
            for line in text.decode().splitlines():
                words = line.split()
                if len(words) == 6 and "-" in words[0] and words[5].startswith("/"):
                    start = int(words[0].split("-")[0], 16)
                    ours = "libfaultline-shim" in words[5] or "memfd:" in line or start >> 40 == 0x7e
                    key = None if ours else (words[5], words[2])
                    if key:
                        found[key] = [start % 0x10000, 0]
                elif len(words) >= 6 or words[0].endswith("-"):
                    key = None
                elif words[0] == "Rss:" and key:
                    found[key][1] = int(words[1])
            return found
        words = ["/bin/cat", "/proc/self/smaps"]
        plain = files(run(["setarch", "-R", *words]).stdout)
        recorded = files(self.record(words, "-q", prefix=["setarch", "-R"]).stdout)
        self.assertEqual(plain.keys(), recorded.keys())
        for name, (place, kib) in plain.items():
            self.assertEqual(recorded[name][0], place, name)
            self.assertLessEqual(abs(recorded[name][1] - kib), 64, name)  # one window: symbols we look up
        self.assertLessEqual(abs(sum(kib for _, kib in recorded.values()) - sum(kib for _, kib in plain.values())), 128)

    def test_without_sys_no_processor_is_forgotten(self):
        """Small containers have no /sys: which processors there are comes from /proc/stat."""
        hidden = ["unshare", "-m", "sh", "-c", 'umount -l /sys && exec "$@"', "sh"]
        if run([*hidden, "test", "!", "-e", "/sys/devices"]).returncode != 0:
            self.skipTest("mounts cannot be changed here")
        for cpu in sorted(os.sched_getaffinity(0)):
            with self.subTest(cpu=cpu):
                done = self.record(["true"], prefix=[*hidden, "taskset", "-c", str(cpu)])
                self.assertEqual(done.returncode, 0, done.stderr)
                self.assertNotIn(b"perf events are not permitted (Invalid", done.stderr)
                if not self.info()["faults_recorded"]:
                    self.skipTest(done.stderr.decode().strip())
                process = self.main_process(self.info())
                self.assertGreater(process["minor_faults_recorded"], 20, done.stderr)
                self.assertLess(process["unattributed_minor_faults"], process["minor_faults_recorded"], done.stderr)

    def test_started_with_children_ignored(self):
        """Whoever ignores SIGCHLD gets no status of its children: not so the recorder, and the command still ignores it."""
        def ignore():
            signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        for words in (["sh", "-c", "exit 5"], ["grep", "^SigI", "/proc/self/status"]):
            self.check_same(words, preexec_fn=ignore)

    def test_pipelines_and_input(self):
        self.check_same(["cat"], input=b"x" * 300000)
        self.check_same(["sh", "-c", "seq 10000 | sort -r | head -3 | cat"])
        self.check_same(["sh", "-c", "cat | wc -c"], input=b"hello\n" * 1000)

    def test_descriptors_signals_directory(self):
        self.check_same(["ls", "/proc/self/fd"])  # one process: nothing races with it
        self.check_same(["grep", "^Sig[PBIC]", "/proc/self/status"])
        self.check_same(["sh", "-c", "grep -E '^(Sig[PBIC]|Shd)' /proc/self/status; pwd; ulimit -n; ulimit -s; umask"])

    def test_environment(self):
        def variables(done):
            return sorted(v for v in done.stdout.decode().splitlines() if not v.startswith(OWN_VARIABLES))
        environment = dict(os.environ, LANG="C", SOME_NAME="some value")
        self.assertEqual(variables(run(["env"], env=environment)), variables(self.record(["env"], "-q", env=environment)))


class Contents(RecordTest):
    def test_events_faults_and_calls(self):
        done = self.record([PROGRAM, "20000"])
        self.assertEqual(done.returncode, 3)
        self.assertIn("faultline report " + self.file, done.stderr.decode())
        info = self.info()
        main = self.main_process(info)
        # 20,000 mallocs, as many frees, and what stdio takes.
        self.assertGreaterEqual(main["heap_events"], 40000)
        self.assertLess(main["heap_events"], 40020)
        self.assertTrue(main["exit_seen"])
        self.assertIsNone(info["damage"])
        self.assertEqual(main["lost_heap_events"], 0)
        if info["faults_recorded"] and info["kernel_mode_faults"]:
            seen = main["minor_faults_recorded"]
            self.assertGreater(seen, 30)
            # Populated pages, and the few that execve itself touches: nothing else may be missing.
            self.assertLessEqual(main["unattributed_minor_faults"], 20)
        if info["calls_exact"]:
            self.assertGreater(main["memory_calls"], 5)

    def test_threads(self):
        self.assertEqual(self.record([PROGRAM, "100000", "8"]).returncode, 3)
        main = self.main_process(self.info())
        self.assertEqual(main["threads"], 8)
        self.assertGreaterEqual(main["heap_events"], 8 * 200000)
        self.assertLess(main["heap_events"], 8 * 200000 + 100)
        self.assertEqual(main["lost_heap_events"], 0)

    def test_wrapper_and_children(self):
        self.record(["sh", "-c", "true; %s 5000; true" % PROGRAM])
        info = self.info()
        main = self.main_process(info)
        self.assertEqual(main["command"][0], PROGRAM)
        self.assertGreaterEqual(len(info["processes"]), 2)

    def test_exec_replaces_the_image(self):
        self.record(["sh", "-c", "x=$(echo a); exec %s 5000" % PROGRAM])
        main = self.main_process(self.info())
        self.assertEqual(os.path.basename(main["exe"]), os.path.basename(PROGRAM))
        self.assertEqual(len(main["earlier_images"]), 1)
        self.assertGreaterEqual(main["heap_events"], 10000)
        self.assertLess(main["heap_events"], 10020)

    def test_options(self):
        self.record([PROGRAM, "1000"], "--no-stacks", "--no-faults", "--calls", "none")
        info = self.info()
        main = self.main_process(info)
        self.assertEqual((main["stacks"], main["minor_faults_recorded"], main["memory_calls"]), (0, 0, 0))
        self.assertGreaterEqual(main["heap_events"], 2000)
        self.assertEqual(len(info["missing"]), 2)

    def test_wrapped_calls(self):
        self.record([PROGRAM, "1000"], "--calls", "wrapped")
        self.assertFalse(self.info()["calls_exact"])

    def test_static_program(self):
        done = self.record([STATIC, "1000"])
        self.assertEqual(done.returncode, 3)
        self.assertIn("statically linked", done.stderr.decode())
        main = self.main_process(self.info())
        self.assertEqual(main["heap_events"], 0)
        if self.info()["faults_recorded"]:
            self.assertGreater(main["minor_faults_recorded"], 10)


class Survival(RecordTest):
    def start(self, words, **options):
        return subprocess.Popen([FAULTLINE, "record", "-q", "-o", self.file, "--", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)

    def test_program_killed(self):
        self.record([PROGRAM, "20000", "1", "kill"])
        main = self.main_process(self.info())
        self.assertFalse(main["exit_seen"])
        self.assertGreaterEqual(main["heap_events"], 40000)  # every one up to the kill
        self.assertIsNone(self.info()["damage"])

    def test_recorder_killed(self):
        recorder = self.start([PROGRAM, "20000", "1", "sleep"])
        self.assertEqual(recorder.stdout.readline(), b"done\n")
        time.sleep(0.6)
        recorder.kill()
        recorder.wait()
        info = self.info()
        self.assertIn("not finished", info["damage"])
        main = self.main_process(info)
        self.assertGreaterEqual(main["heap_events"], 40000)
        self.assertTrue(main["allocator"])
        run(["kill", "-9", str(main["pid"])])  # the program itself is undisturbed
        recorder.stdout.close()
        recorder.stderr.close()

    def test_program_outlives_a_killed_recorder(self):
        recorder = self.start(["sh", "-c", 'echo started; exec "$1" 3000000', "sh", PROGRAM])
        self.assertEqual(recorder.stdout.readline(), b"started\n")
        time.sleep(0.3)
        recorder.kill()
        recorder.wait()
        out = recorder.stdout.read()  # end of file: the program ended too
        self.assertEqual(out, b"done\n")
        recorder.stdout.close()
        recorder.stderr.close()

    def test_full_disk(self):
        script = 'mount -t tmpfs -o size=64k none "$1" || exit 99; cd "$1"; "$2" record -o r.fl -- "$3" 300000 2; s=$?; cat r.fl >"$4"; exit $s'
        with tempfile.TemporaryDirectory(prefix="faultline-small-") as small:  # mounted for that shell alone
            done = run(["unshare", "-m", "sh", "-c", script, "sh", small, FAULTLINE, PROGRAM, self.file])
        if done.returncode in (1, 99):
            self.skipTest("needs a mount namespace (root): " + done.stderr.decode().strip())
        self.check_stopped(done, "No space left on device")

    def test_file_size_limit(self):
        def limit():  # also of the memory shared with programs, so only faults and calls can be recorded
            resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))
        done = self.record(["sh", "-c", "for i in 1 2 3 4 5 6 7 8 9; do ls / >/dev/null; done; echo done; exit 3"], preexec_fn=limit)
        self.check_stopped(done, "File too large")

    def check_stopped(self, done, reason):
        self.assertEqual((done.returncode, done.stdout), (3, b"done\n"), done.stderr)
        complaints = [line for line in done.stderr.decode().splitlines() if "recording stopped after" in line]
        self.assertEqual(len(complaints), 1, done.stderr)
        self.assertIn(reason, complaints[0])
        info = self.info()
        self.assertIn("not finished", info["damage"])

    def test_a_mapping_of_terabytes(self):
        # Half a minute when each of its pages is asked for.
        program = "import mmap; m = mmap.mmap(-1, 1 << 45, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x4000); m[1 << 44] = 1; print(m[1 << 44])"
        plain = run([sys.executable, "-c", program])
        if plain.returncode != 0:
            self.skipTest("such a mapping is not allowed here")
        done = self.record([sys.executable, "-c", program], "-q", timeout=20)
        self.assertEqual((done.returncode, done.stdout), (0, plain.stdout), done.stderr)
        self.assertEqual(run([FAULTLINE, "report", self.file], timeout=20).returncode, 0)

    def test_what_follows_the_end_is_named_and_harmless(self):
        self.assertEqual(self.record([PROGRAM, "1000", "1"]).returncode, 3)
        with open(self.file, "ab") as out:
            out.write(b"junk")
        for command in ("report", "verify"):
            done = run([FAULTLINE, command, self.file])
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn(b"damaged", done.stdout)

    def test_termination_is_passed_on(self):
        recorder = self.start([PROGRAM, "10", "1", "sleep"])
        self.assertEqual(recorder.stdout.readline(), b"done\n")
        recorder.send_signal(signal.SIGTERM)
        recorder.communicate(timeout=30)
        self.assertEqual(recorder.returncode, -signal.SIGTERM)
        self.assertIsNone(self.info()["damage"])

    def test_interrupt_of_the_group(self):
        recorder = self.start(["sh", "-c", "trap 'echo caught; exit 9' INT; echo ready; while :; do sleep 0.05; done"], start_new_session=True)
        self.assertEqual(recorder.stdout.readline(), b"ready\n")
        os.killpg(recorder.pid, signal.SIGINT)
        out, _ = recorder.communicate(timeout=30)
        self.assertEqual((recorder.returncode, out), (9, b"caught\n"))
        self.assertIsNone(self.info()["damage"])


class BadInput(RecordTest):
    def test_commands_that_cannot_run(self):
        self.one_line(self.record(["no-such-command-here"]), "no-such-command-here", "not found")
        self.one_line(self.record(["/etc/passwd"]), "/etc/passwd", "Permission denied")
        self.one_line(self.record(["/"]), "directory")
        self.assertFalse(os.path.exists(self.file))
        self.one_line(run([FAULTLINE, "record", "-o", self.file]), "wanted a command")

    def test_outputs_that_cannot_be(self):
        done = run([FAULTLINE, "record", "-o", "/nonexistent/folder/x.fl", "--", "true"])
        self.one_line(done, "/nonexistent/folder/x.fl", "No such file")
        with open(self.file, "w") as out:
            out.write("precious text, no recording")
        self.one_line(self.record(["true"]), "not overwritten")
        with open(self.file) as left:
            self.assertEqual(left.read(), "precious text, no recording")

    def test_info_of_anything_else(self):
        for content, part in ((b"", "an empty file"), (b"abc", "too short"), (b"\x7fELF" + b"x" * 1000, "another kind of file")):
            with open(self.file, "wb") as out:
                out.write(content)
            self.one_line(run([FAULTLINE, "info", self.file]), part)
        self.one_line(run([FAULTLINE, "info", self.folder.name]), "a directory")
        self.one_line(run([FAULTLINE, "info", self.file + ".none"]), "No such file")

    def test_info_of_truncated_recordings(self):
        self.record([PROGRAM, "5000"])
        with open(self.file, "rb") as whole:
            content = whole.read()
        for size in range(len(content) - 1, 16, -max(1, len(content) // 40)):
            with open(self.file, "wb") as out:
                out.write(content[:size])
            self.assertIsNotNone(self.info()["damage"], size)

    def test_verify_of_truncated_recordings(self):
        """What is left of a cut recording is verified as far as all of it is there: damage is never taken for a wrong twin."""
        self.record([PROGRAM, "400000"])
        with open(self.file, "rb") as whole:
            content = whole.read()
        for part in (0.3, 0.55, 0.8, 0.999):
            with open(self.file, "wb") as out:
                out.write(content[: int(len(content) * part)])
            done = run([FAULTLINE, "verify", "--json", self.file])
            if done.returncode == 2:  # nothing complete
                self.assertIn("damaged", done.stderr.decode())
                continue
            self.assertEqual(done.returncode, 0, (part, done.stdout))
            self.assertIn("damaged", json.loads(done.stdout)["remarks"][0])


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[4:])
