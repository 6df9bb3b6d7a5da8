#!/usr/bin/env python3
"""What ptrace could do to a program and must not: each program ends under `record --calls ptrace` as it ends alone, and when the recorder is
killed the program does not notice. ptrace_safety_test.py FAULTLINE KERNEL_TRUTH ENTRY_MAPS RECORD_LOOP."""
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
import unittest

FAULTLINE, TRUTH, ENTRY_MAPS, LOOP = map(os.path.abspath, sys.argv[1:5])
NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]

STOPS = """
import os, signal
child = os.fork()
if child == 0:
    os.kill(os.getpid(), signal.SIGSTOP)
    os._exit(7)
_, status = os.waitpid(child, os.WUNTRACED)
print("stopped", os.WIFSTOPPED(status), os.WSTOPSIG(status), open("/proc/%d/stat" % child).read().split(") ")[1][0] in "Tt")
os.kill(child, signal.SIGCONT)
_, status = os.waitpid(child, os.WCONTINUED)
print("continued", os.WIFCONTINUED(status))
_, status = os.waitpid(child, 0)
print("exited", os.WEXITSTATUS(status))
"""
SIGNALS = """
import os, signal, time
seen = []
for number in (signal.SIGUSR1, signal.SIGTRAP, signal.SIGCHLD, signal.SIGRTMIN + 5, signal.SIGALRM):
    signal.signal(number, lambda n, frame: seen.append(n))
for number in (signal.SIGUSR1, signal.SIGTRAP, signal.SIGCHLD, signal.SIGRTMIN + 5):
    os.kill(os.getpid(), number)
signal.setitimer(signal.ITIMER_REAL, 0.01)
time.sleep(0.2)
print(sorted(seen))
os.kill(os.getpid(), signal.SIGTRAP)
signal.signal(signal.SIGTRAP, signal.SIG_DFL)
print(flush=True)
os.kill(os.getpid(), signal.SIGTRAP)
"""
EXEC_BY_THREAD = """
import os, threading, time
threading.Thread(target=lambda: os.execv("/bin/sh", ["sh", "-c", "echo from a thread; exit 6"])).start()
time.sleep(20)
"""
SPAWN = """
import os, subprocess
for i in range(20):
    print(subprocess.run(["sh", "-c", "exit %d" % i]).returncode, os.waitstatus_to_exitcode(os.waitpid(os.posix_spawn("/bin/false", ["false"], {}), 0)[1]))
"""
STRICT = """
import ctypes, os
libc = ctypes.CDLL(None)
libc.prctl(22, 1, 0, 0, 0)   # seccomp: read, write, exit and sigreturn only
os.write(1, b"still here")
libc.getppid()
os.write(1, b"never said")
"""
DEBUGGER = """
import ctypes, os, signal, time
libc = ctypes.CDLL(None, use_errno=True)
def ptrace(request, pid):
    return libc.ptrace(ctypes.c_long(request), ctypes.c_long(pid), ctypes.c_void_p(0), ctypes.c_void_p(0))
for request in (16, 0x4206):  # PTRACE_ATTACH, PTRACE_SEIZE
    child = os.fork()
    if child == 0:
        while True: time.sleep(0.01)
    time.sleep(0.05)
    print("attach", ptrace(request, child), ctypes.get_errno())
    if request == 0x4206: print("interrupt", ptrace(0x4207, child))
    _, status = os.waitpid(child, 0)
    print("stopped", os.WIFSTOPPED(status))
    print("detach", ptrace(17, child))
    os.kill(child, signal.SIGTERM)
    print(os.waitpid(child, 0)[1])
"""


def run(words, **options):
    return subprocess.run(words, capture_output=True, timeout=120, **options)


class PtraceTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="faultline-ptrace-")
        os.chmod(self.folder.name, 0o777)
        self.file = os.path.join(self.folder.name, "r.fl")

    def tearDown(self):
        self.folder.cleanup()

    def record(self, words, prefix=()):
        done = run([*prefix, FAULTLINE, "record", "-q", "-o", self.file, "--calls", "ptrace", "--", *words])
        if b"ptrace is not permitted" in done.stderr:
            self.skipTest(done.stderr.decode().strip())
        return done

    def missing(self):
        return json.loads(run([FAULTLINE, "info", "--json", self.file]).stdout)["missing"]

    def check_same(self, words, prefix=()):
        plain, recorded = run([*prefix, *words]), self.record(words, prefix)
        self.assertEqual((recorded.returncode, recorded.stdout), (plain.returncode, plain.stdout), recorded.stderr)
        return plain

    def python(self, script):
        return self.check_same([sys.executable, "-c", script])


class Transparency(PtraceTest):
    def test_exit_status(self):
        for words in (["true"], ["sh", "-c", "exit 42"], ["sh", "-c", "kill -9 $$"], ["sh", "-c", "kill -TERM $$"], [LOOP, "1000", "4"],
                      ["sh", "-c", "seq 1000 | sort -r | head -3 | cat"], ["sh", "-c", "ulimit -c 0; exec " + LOOP + " 100 1 abort"]):
            with self.subTest(words=words):
                self.check_same(words)

    def test_commands_that_cannot_run(self):
        script = os.path.join(self.folder.name, "script")
        with open(script, "w") as out:
            out.write("#!/no/such/interpreter\n")
        os.chmod(script, 0o755)
        done = self.record([script])
        self.assertEqual(done.returncode, 2)
        self.assertIn("cannot execute", done.stderr.decode())

    def test_stops_and_continues(self):
        self.assertIn(b"exited 7", self.python(STOPS).stdout)

    def test_signals(self):
        self.assertEqual(self.python(SIGNALS).returncode, -5)

    def test_exec_by_a_thread(self):
        self.assertEqual(self.python(EXEC_BY_THREAD).returncode, 6)

    def test_spawned_children(self):
        self.assertIn(b"19 1", self.python(SPAWN).stdout)

    def test_a_program_under_seccomp(self):
        self.assertEqual(self.python(STRICT).returncode, -9)

    def test_a_program_that_traces_its_children(self):
        done = self.record([ENTRY_MAPS, TRUTH, "/bin/true"])
        self.assertEqual(done.stdout.count(b"== "), 2)
        self.assertEqual(done.stdout.count(b"[stack]"), 2)
        self.assertTrue(any("itself traces" in line for line in self.missing()))

    def test_a_debugger(self):
        plain = self.python(DEBUGGER)
        self.assertEqual(plain.stdout.count(b"attach 0"), 2, plain)

    def test_setuid_programs_keep_their_privileges(self):
        if os.geteuid() != 0 or shutil.which("setpriv") is None:
            self.skipTest("needs root and setpriv")
        program = os.path.join(self.folder.name, "who")
        shutil.copy(shutil.which("id"), program)
        os.chmod(program, 0o4755)
        plain = run([*NOBODY, program, "-u"])
        if plain.stdout != b"0\n":
            self.skipTest("setuid has no effect in " + self.folder.name)
        for words in ([program, "-u"], ["sh", "-c", 'cd "$1" && ./who -u; exit 3', "sh", self.folder.name]):
            self.check_same(words, NOBODY)
            self.assertTrue(any("setuid" in line for line in self.missing()), self.missing())


class KilledRecorder(PtraceTest):
    def check_outlives(self, words, expected):
        plain = run(words)
        self.assertEqual(plain.stdout, expected)
        for _ in range(12):
            recorder = subprocess.Popen([FAULTLINE, "record", "-q", "-o", self.file, "--calls", "ptrace", "--", "sh", "-c",
                                         'echo begun; "$@"; echo "status $?"', "sh", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            first = recorder.stdout.readline()
            if first != b"begun\n":
                self.skipTest(recorder.stderr.read().decode())
            time.sleep(random.random() * 0.05)
            recorder.kill()
            out, error = recorder.communicate(timeout=60)  # until the program has closed its end, too
            self.assertEqual((out, error), (expected + b"status %d\n" % plain.returncode, b""))

    def test_system_calls_of_many_processes(self):
        self.check_outlives(["sh", "-c", "for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15; do /bin/true || exit 9; ls / >/dev/null || exit 8; done; echo done; exit 4"],
                            b"done\n")

    def test_threads(self):
        self.check_outlives([LOOP, "30000", "4"], b"done\n")

    def test_memory_calls(self):
        self.check_outlives([sys.executable, "-c", "import mmap\nfor i in range(3000): mmap.mmap(-1, 1 << 20).close()\nprint('done')"], b"done\n")


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[5:])
