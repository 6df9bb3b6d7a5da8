#!/usr/bin/env python3
"""What ptrace could do to a program and must not: each program ends under `record --calls ptrace` as it ends alone, and when the recorder is
killed the program does not notice. ptrace_safety_test.py FAULTLINE KERNEL_TRUTH ENTRY_MAPS RECORD_LOOP."""
import os
import random
import shutil
import subprocess
import sys
import time
import unittest

from record_case import FAULTLINE, NOBODY, RecordCase, run

TRUTH, ENTRY_MAPS, LOOP = map(os.path.abspath, sys.argv[2:5])

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

INTERRUPTED = """
import os, select, signal, threading, time
def interrupt(child, numbers):
    for number in numbers:
        time.sleep(0.05)
        os.kill(child, number)
def of_child(body, *numbers):
    ready, told = os.pipe()
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGUSR1, lambda n, frame: None)  # one that comes before the call harms nothing: others follow
        os.write(told, b"x")
        os._exit(body())
    os.read(ready, 1)
    interrupt(child, numbers)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
def slept(seconds):  # restarted with what is left of it
    start = time.monotonic()
    ctypes_sleep(seconds)
    return 0 if seconds <= time.monotonic() - start < seconds + 5 else 1
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
class timespec(ctypes.Structure): _fields_ = [("s", ctypes.c_long), ("n", ctypes.c_long)]
def ctypes_sleep(seconds): return libc.nanosleep(ctypes.byref(timespec(0, int(seconds * 1e9))), None)
def polled():
    start = time.monotonic()
    return 0 if libc.poll(None, 0, 400) == 0 and time.monotonic() - start >= 0.4 else 1
def handled(restart):
    signal.signal(signal.SIGUSR1, lambda n, frame: None)
    signal.siginterrupt(signal.SIGUSR1, not restart)
    a, b = os.pipe()
    threading.Timer(1.5, lambda: os.write(b, b"x")).start()
    got = libc.read(a, ctypes.create_string_buffer(1), 1)
    return 100 + ctypes.get_errno() if got < 0 else got
print(of_child(lambda: slept(0.4), signal.SIGSTOP, signal.SIGCONT, signal.SIGCONT))
print(of_child(polled, signal.SIGSTOP, signal.SIGCONT))
often = [signal.SIGUSR1] * 16
print(of_child(lambda: handled(True), *often), of_child(lambda: handled(False), *often))
def interrupted_sleep():
    signal.signal(signal.SIGUSR1, lambda n, frame: None)
    return 100 + ctypes.get_errno() if ctypes_sleep(0.99) < 0 else 0
print(of_child(interrupted_sleep, *often))
"""
LEADER_ENDS = """
import ctypes, os, threading, time
def other():
    time.sleep(0.1)
    print(open("/proc/%d/stat" % os.getpid()).read().split(") ")[1][0], flush=True)
    os._exit(11)
threading.Thread(target=other).start()
ctypes.CDLL(None).syscall(60, 0)  # exit of this thread only
"""
CLONES = """
import ctypes, os
libc = ctypes.CDLL(None)
def clone(flags, status):
    child = libc.syscall(56, flags | 17, 0, 0, 0, 0)
    if child == 0: os._exit(status)
    return child
child = clone(0x800000, 9)  # CLONE_UNTRACED
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
ends = os.pipe()
middle = os.fork()
if middle == 0:
    os.write(ends[1], str(clone(0x8000, 8)).encode())  # CLONE_PARENT
    os._exit(7)
print(os.waitstatus_to_exitcode(os.waitpid(middle, 0)[1]))
print(os.waitstatus_to_exitcode(os.waitpid(int(os.read(ends[0], 20)), 0)[1]))
"""
# Ends with 9, through the system calls of i386.
NARROW = bytes.fromhex("7f454c46010101000000000000000000" "0200030001000000548004083400000000000000000000003400200001000000" "00000000"
                       "010000000000000000800408008004086000000060000000050000000010000031c040b309cd8090")
STOPPED = """
import os, signal, time
child = os.fork()
if child == 0:
    os.kill(os.getpid(), signal.SIGSTOP)
    os._exit(7)
os.waitpid(child, os.WUNTRACED)
time.sleep(0.15)
for _ in range(200):  # where its tracer dies just now, it runs for a moment on its way from one kind of stop to the other (__ptrace_unlink())
    state = open("/proc/%d/stat" % child).read().split(") ")[1][0]
    if state in "TtZ": break
    time.sleep(0.01)
print(state in "Tt")
os.kill(child, signal.SIGCONT)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
MANY_SIGNALS = """
import os, signal
seen = 0
def count(number, frame):
    global seen
    seen += 1
signal.signal(signal.SIGUSR1, count)
for i in range(5000): os.kill(os.getpid(), signal.SIGUSR1)
print(seen)
"""


class PtraceTest(RecordCase):
    def record(self, words, prefix=()):
        done = super().record(words, "-q", "--calls", "ptrace", prefix=prefix)
        self.need_ptrace(done)
        return done

    def missing(self):
        return self.info()["missing"]

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

    def test_strace(self):
        if shutil.which("strace") is None:
            self.skipTest("strace is not installed")
        log = os.path.join(self.folder.name, "log")
        self.assertEqual(self.check_same(["strace", "-f", "-o", log, "sh", "-c", "/bin/true; echo traced; exit 4"]).returncode, 4)
        with open(log) as lines:
            self.assertIn("exited with 4", lines.read())

    def test_interrupted_calls(self):
        self.assertEqual(self.python(INTERRUPTED).stdout, b"0\n0\n1 104\n104\n")

    def test_the_first_thread_ends_first(self):
        plain = self.python(LEADER_ENDS)
        self.assertEqual((plain.stdout, plain.returncode), (b"Z\n", 11))

    def test_clones(self):
        self.assertEqual(self.python(CLONES).stdout, b"9\n7\n8\n")
        self.assertTrue(any("CLONE_UNTRACED" in line for line in self.missing()))

    def test_a_program_of_32_bits(self):
        program = os.path.join(self.folder.name, "narrow")
        with open(program, "wb") as out:
            out.write(NARROW)
        os.chmod(program, 0o755)
        words = ["sh", "-c", program + "; echo $?"]
        if run(words).stdout != b"9\n":
            self.skipTest("the kernel runs no 32-bit programs")
        self.check_same(words)
        self.assertTrue(any("32-bit" in line for line in self.missing()), self.missing())

    def test_setuid_programs_keep_their_privileges(self):
        if os.geteuid() != 0 or shutil.which("setpriv") is None:
            self.skipTest("needs root and setpriv")
        program = os.path.join(self.folder.name, "who")
        shutil.copy(shutil.which("id"), program)
        os.chmod(program, 0o4755)
        plain = run([*NOBODY, program, "-u"])
        if plain.stdout != b"0\n":
            self.skipTest("setuid has no effect in " + self.folder.name)
        script, shell = os.path.join(self.folder.name, "script"), os.path.join(self.folder.name, "shell")
        shutil.copy(shutil.which("dash") or shutil.which("sh"), shell)
        os.chmod(shell, 0o4755)
        with open(script, "w") as out:
            out.write("#! %s -p\nid -u\n" % shell)
        os.chmod(script, 0o755)
        self.assertEqual(run([*NOBODY, script]).stdout, b"0\n")
        for words in ([program, "-u"], ["sh", "-c", 'cd "$1" && ./who -u; exit 3', "sh", self.folder.name], [script], ["sh", "-c", script + "; exit 3"]):
            self.check_same(words, NOBODY)
            self.assertTrue(any("setuid" in line for line in self.missing()), self.missing())


class KilledRecorder(PtraceTest):
    def check_outlives(self, words, expected, within=0.05):
        plain = run(words)
        self.assertEqual(plain.stdout, expected)
        for _ in range(12):
            recorder = subprocess.Popen([FAULTLINE, "record", "-q", "-o", self.file, "--calls", "ptrace", "--", "sh", "-c",
                                         'echo begun; "$@"; echo "status $?"', "sh", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            first = recorder.stdout.readline()
            if first != b"begun\n":
                self.skipTest(recorder.stderr.read().decode())
            time.sleep(random.random() * within)
            recorder.kill()
            out, error = recorder.communicate(timeout=60)  # until the program has closed its end, too
            self.assertEqual((out, error), (expected + b"status %d\n" % plain.returncode, b""))

    def test_system_calls_of_many_processes(self):
        self.check_outlives(["sh", "-c", "for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15; do /bin/true || exit 9; ls / >/dev/null || exit 8; done; echo done; exit 4"],
                            b"done\n")

    def test_threads(self):
        self.check_outlives([LOOP, "30000", "4"], b"done\n")

    def test_memory_calls(self):
        self.check_outlives([sys.executable, "-c", "import mmap\nfor i in range(3000): mmap.mmap(-1, 1 << 20).close()\nprint('done')"], b"done\n", 0.2)

    def test_a_stopped_child(self):
        self.check_outlives([sys.executable, "-c", STOPPED], b"True\n7\n", 0.3)

    def test_signals_on_their_way(self):
        self.check_outlives([sys.executable, "-c", MANY_SIGNALS], b"5000\n", 0.4)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[5:])
