#!/usr/bin/env python3
"""The lab's scripts through the real command, against their golden outputs; and scripts it must refuse in one line.

    lab_golden.py FAULTLINE [--update]
"""
import pathlib
import subprocess
import sys
import tempfile

faultline = sys.argv[1]
update = sys.argv[2:] == ["--update"]
here = pathlib.Path(__file__).resolve().parent
scripts = here.parents[1] / "demo" / "lab"
failures = 0


def lab(*arguments, text=""):
    return subprocess.run([faultline, "lab", *arguments], input=text.encode(), capture_output=True, timeout=60)


def check(good, what):
    global failures
    print(("ok   " if good else "FAIL ") + what)
    failures += not good


for script in sorted(scripts.glob("*.lab")):
    ran = lab(str(script))
    found = ran.stdout.decode()
    check(ran.returncode == 0, f"{script.name}: exit status {ran.returncode} {ran.stderr.decode().strip()}")
    if script.stem == "exec":  # depends on the machine's /bin/true
        for wanted in ("execve(/bin/true) = 0", "[stack]", "[vdso]", "ld-linux-x86-64.so.2", "call: brk("):
            check(wanted in found, f"{script.name}: {wanted}")
        continue
    golden = here / "lab" / f"{script.stem}.txt"
    if update:
        golden.parent.mkdir(exist_ok=True)
        golden.write_text(found)
    check(golden.exists() and golden.read_text() == found, f"{script.name}: equals {golden.relative_to(here)}")
    if golden.exists() and golden.read_text() != found:
        for number, (one, other) in enumerate(zip(golden.read_text().splitlines(), found.splitlines()), 1):
            if one != other:
                print(f"     line {number}: wanted {one!r}, found {other!r}")
                break

NONSENSE = {
    "frobnicate": "wanted a command",
    "malloc": "wanted a size",
    "malloc 99999999999999999999": "wanted a size",
    "a = malloc 1\nfree a\nfree a": "wanted a block of malloc's",
    "touch 0x0 100T": "at most 4 GiB",
    "mmap 1M rw populate noreserve\nmlock 0x1000 100T": "at most 4 GiB",
    "limit frames 3": "wanted a number of frames",
    "limit as 4K\nmalloc 1": "wanted limits under which a program starts",
    "limit colours 7": "wanted frames, maps",
    "exec /nonexistent": "wanted a program to read",
    "exec /": "a regular file",
    "exec /etc/passwd": "/etc/passwd",
    "repeat 1000000 show": "wanted a number of repetitions",
    "file f 100000T": "wanted",
    "use nobody": "wanted a process",
    "exit\nmalloc 1": "wanted a process to act on",
    "expect": "something to expect",
    "expect happiness 1": "wanted one of",
    "tunables colour=red": "colour",
    "\x01\x02": "wanted text",
}
with tempfile.TemporaryDirectory() as folder:
    damaged = pathlib.Path(folder) / "damaged"
    damaged.write_bytes(b"\x7fELF\x02\x01\x01" + bytes(57) + b"\xff" * 100)
    damaged.chmod(0o755)
    NONSENSE[f"exec {damaged}"] = str(damaged)
    for text, wanted in NONSENSE.items():
        ran = lab("-", text=text)
        error = ran.stderr.decode()
        line = len(text.splitlines())
        good = ran.returncode == 2 and error.count("\n") == 1 and f"standard input:{line}: " in error and wanted in error
        check(good, f"{text!r}: {ran.returncode} {error.strip()}")
    ran = lab(str(pathlib.Path(folder) / "no.lab"))
    check(ran.returncode == 2 and "wanted a script to read" in ran.stderr.decode(), "a script that is not there")
    ran = lab("-", text="a = malloc 1K\nexpect brk 2\nfree a")
    check(ran.returncode == 1 and b"expected brk 2, found 1" in ran.stdout and b"free" not in ran.stdout, "a failed expectation ends the script with 1")
    ran = lab("-", "--quiet", text="# words\na = malloc 1K")
    check(b"words" not in ran.stdout and b"> a" not in ran.stdout, "--quiet")

sys.exit(1 if failures else 0)
