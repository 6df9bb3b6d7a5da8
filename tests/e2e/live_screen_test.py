#!/usr/bin/env python3
"""faultline top and map on a terminal: a pseudo-terminal of 80x24 and of other sizes, drawn by a terminal emulator (python3-pyte).

    live_screen_test.py FAULTLINE LIVE_TOUCH [--update]
Pictures of a folder that looks like /proc, where nothing moves, are compared letter for letter with tests/golden/live/.
"""
import fcntl
import os
import pathlib
import pty
import select
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time
import unittest

sys.path.append("/usr/lib/python3/dist-packages")  # Debian's pyte, whichever python3 runs this
try:
    import pyte
except ImportError:
    print("python3-pyte is missing: skipped")
    sys.exit(77)

FAULTLINE, LIVE_TOUCH = map(os.path.abspath, sys.argv[1:3])
UPDATE = "--update" in sys.argv
GOLDEN = pathlib.Path(__file__).resolve().parents[1] / "golden/live"
UP, DOWN, PAGE_DOWN, END, ESCAPE, ENTER = "\033OA", "\033OB", "\033[6~", "\033[4~", "\033", "\r"


class Terminal:
    def __init__(self, *words, rows=24, columns=80, environment=None):
        self.screen = pyte.Screen(columns, rows)
        self.stream = pyte.ByteStream(self.screen)
        self.raw = b""
        main, sub = pty.openpty()
        fcntl.ioctl(sub, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        settings = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "LINES", "NO_COLOR")}
        settings |= {"TERM": "screen", "LC_ALL": "C.UTF-8", **(environment or {})}
        self.before = termios.tcgetattr(sub)
        self.process = subprocess.Popen([FAULTLINE, *map(str, words)], stdin=sub, stdout=sub, stderr=sub, env=settings, start_new_session=True,
                                        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
        self.main, self.sub = main, sub

    def read(self, seconds):
        ready, _, _ = select.select([self.main], [], [], seconds)
        if not ready:
            return False
        data = os.read(self.main, 65536)
        self.raw += data
        self.stream.feed(data)
        return True

    def until(self, what, seconds=30):
        """Reads until what(lines) holds."""
        end = time.monotonic() + seconds
        while not what(self.lines()):
            if time.monotonic() > end:
                raise AssertionError("never came:\n" + "\n".join(self.lines()))
            self.read(0.1)
        return self.lines()

    def shows(self, text, seconds=30):
        return self.until(lambda lines: any(text in line for line in lines), seconds)

    def still(self, what):
        """As until, once nothing more comes: the picture is whole."""
        self.until(what)
        while self.read(0.5):
            pass
        return self.until(what)

    def lines(self):
        return [line.rstrip() for line in self.screen.display]

    def reverse(self):
        """The rows drawn in reverse video."""
        return [row for row in range(self.screen.lines) if self.screen.buffer[row][0].reverse]

    def press(self, keys):
        os.write(self.main, keys.encode())

    def resize(self, rows, columns):
        self.screen.resize(rows, columns)
        fcntl.ioctl(self.sub, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.process.send_signal(signal.SIGWINCH)

    def wait(self, seconds=30):
        end = time.monotonic() + seconds
        while self.process.poll() is None and time.monotonic() < end:
            self.read(0.05)
        while self.read(0.05):
            pass
        return self.process.wait(1)

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.main)
        os.close(self.sub)


class ScreenCase(unittest.TestCase):
    def terminal(self, *words, **options):
        one = Terminal(*words, **options)
        self.addCleanup(one.close)
        return one

    def golden(self, name, lines):
        path = GOLDEN / name
        text = "\n".join(lines).rstrip() + "\n"
        if UPDATE:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        self.assertEqual(text, path.read_text(), f"{path}: --update after looking at the difference")


STAT = "{pid} ({name}) {state} 1 1 1 0 -1 {flags} {minor} 0 {major} 0 7 6 5 4 20 0 {threads} 0 {start} 1000000 {rss} 0\n"


class FakeProc:
    """A folder of processes that do nothing."""

    def __init__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="faultline-proc-")
        self.root = pathlib.Path(self.folder.name)

    def process(self, pid, name, command, minor=0, major=0, pages=0, swap=0, state="S", flags=0x400000, status=True):
        place = self.root / str(pid)
        place.mkdir()
        (place / "stat").write_text(STAT.format(pid=pid, name=name, state=state, flags=flags, minor=minor, major=major, threads=1, start=pid, rss=pages))
        (place / "cmdline").write_text(command.replace(" ", "\0"))
        if status:
            (place / "status").write_text(f"Name:\t{name}\nVmRSS:\t{pages * 4} kB\nVmSwap:\t{swap} kB\nVmPTE:\t40 kB\n")
        return place

    def example(self):
        self.process(1, "init", "/sbin/init", minor=41234, pages=3000)
        self.process(2, "kthreadd", "", flags=0x208040, status=False)
        self.process(77, "a (b) c", "/usr/bin/a --with \033[31m colours", minor=1234567, major=89, pages=400000, swap=2048)
        self.process(78, "gone", "", state="Z", status=False)
        for pid in range(100, 140):
            self.process(pid, f"worker-{pid}", f"worker --number {pid}", minor=pid, pages=pid)
        return self


class Top(ScreenCase):
    def setUp(self):
        self.fake = FakeProc().example()
        self.addCleanup(self.fake.folder.cleanup)

    def top(self, *more, **options):
        return self.terminal("top", "--proc", self.fake.root, "-d", "0.2", *more, **options)

    def test_pictures(self):
        one = self.top()
        self.golden("top.txt", one.still(lambda lines: "0 minor and 0 major" in lines[0]))
        one.press("r")
        self.golden("top_by_rss.txt", one.still(lambda lines: "by resident memory" in lines[1]))
        one.press("pk")
        one.resize(20, 110)
        self.golden("top_kernel_110.txt", one.still(lambda lines: any("[kthreadd]" in line for line in lines) and "q quit" in lines[-1]))
        one.press("q")
        self.assertEqual(one.wait(), 0)

    def test_every_line_fits_and_keys_are_shown(self):
        for rows, columns in ((24, 80), (50, 132), (10, 40), (3, 20)):
            one = self.top(rows=rows, columns=columns)
            lines = one.until(lambda lines: "faults" in lines[-1])
            if columns >= 80:
                self.assertIn("q quit", lines[-1])
            one.press("q")
            self.assertEqual(one.wait(), 0, (rows, columns))

    def test_choosing(self):
        one = self.top("--sort", "pid")
        one.still(lambda lines: "by PID" in lines[1] and "0 minor" in lines[0])
        first = one.until(lambda _: 3 in one.reverse())  # the titles are in reverse too
        self.assertIn("/sbin/init", first[3])
        one.press(DOWN)
        one.until(lambda _: 4 in one.reverse() and 3 not in one.reverse())
        one.press(END)
        one.until(lambda lines: any("139" in line for line in lines))
        one.press("k")  # kernel threads too: what was chosen stays so
        lines = one.still(lambda lines: any("worker --number 139" in line for line in lines))
        row = next(i for i, line in enumerate(lines) if "worker --number 139" in line)
        one.until(lambda _: row in one.reverse())
        one.press("\033[1~")
        one.shows("[kthreadd]")
        one.press("q")
        self.assertEqual(one.wait(), 0)

    def test_a_smaller_window(self):
        one = self.top(rows=40, columns=120)
        one.shows("q quit")
        one.resize(12, 80)
        one.until(lambda lines: len(lines) == 12 and "q quit" in lines[-1])
        one.press("q")
        self.assertEqual(one.wait(), 0)

    def test_the_terminal_is_given_back(self):
        for end in ("q", "\003"):
            one = self.top()
            one.shows("q quit")
            one.press(end)
            one.wait()
            self.assertEqual(termios.tcgetattr(one.sub), one.before)
            self.assertIn(b"\033[?1049l", one.raw)  # the screen that was there before is back

    def test_unknown_terminals(self):
        one = self.terminal("top", environment={"TERM": "no-such-terminal"})
        self.assertEqual(one.wait(), 2)
        self.assertIn("TERM=no-such-terminal", "".join(one.lines()))


class Real(ScreenCase):
    def setUp(self):
        self.program = subprocess.Popen([LIVE_TOUCH, "2"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
        self.addCleanup(lambda: (self.program.kill(), self.program.wait(), self.program.stdin.close(), self.program.stdout.close()))
        while self.program.stdout.readline() != "ready\n":
            pass

    def tell(self, command):
        self.program.stdin.write(command + "\n")
        self.program.stdin.flush()
        self.assertEqual(self.program.stdout.readline(), "done\n")

    def test_down_to_the_mappings(self):
        one = self.terminal("top", "-d", "1", "--sort", "pid")
        one.shows("q quit")
        pid = str(self.program.pid)
        chosen = lambda: [one.lines()[row].split()[0] for row in one.reverse() if row >= 3 and one.lines()[row]]
        one.until(lambda _: len(chosen()) == 1)
        while chosen() != [pid]:  # down to the program, a line after the other
            before = chosen()
            one.press(DOWN)
            one.until(lambda _: len(chosen()) == 1 and chosen() != before)
        one.press(ENTER)
        one.until(lambda lines: lines[0].startswith(pid) and "Esc back" in lines[-1])
        one.shows("arena 1")
        one.press("c")
        one.shows("by change")
        self.tell("t500")
        one.shows("+1.95 MiB")  # the region, and the process's RSS
        self.program.kill()
        self.program.wait()
        one.shows(f"process {pid} ended")
        one.press(ESCAPE)
        one.shows("by PID")
        one.press("q")
        self.assertEqual(one.wait(), 0)

    def test_map(self):
        self.tell("t1024")
        for columns in (80, 120):
            one = self.terminal("map", self.program.pid, rows=100, columns=columns)
            self.assertEqual(one.wait(), 0)
            lines = one.lines()
            text = "\n".join(lines)
            for wanted in ("2 thread arenas", "stack of thread", "heap", "page tables", "arena 2: reserved", "libc.so.6: text"):
                self.assertIn(wanted, text)
            addresses = [int(line.split()[0], 16) for line in lines if len(line.split()) > 3 and len(line.split()[0]) == 12 and line.startswith("  ")]
            self.assertGreater(len(addresses), 20)
            self.assertEqual(addresses, sorted(addresses))
            self.assertIn(b"\033[", one.raw)
            plain = self.terminal("map", self.program.pid, rows=100, columns=columns, environment={"NO_COLOR": "1"})
            plain.wait()
            self.assertNotIn(b"\033[", plain.raw)

    def test_stat(self):
        one = self.terminal("stat", "-p", self.program.pid, "0.2")
        one.until(lambda lines: len([line for line in lines if line]) >= 4)
        one.press("\003")
        self.assertEqual(one.wait(), 0)
        self.assertTrue(all(len(line) <= 80 for line in one.lines()))


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
