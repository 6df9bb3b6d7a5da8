#!/usr/bin/env python3
"""Programs nobody here wrote, with libfaultline-malloc.so as their malloc: output and exit status must be those they have
with libc's. What is not installed says SKIPPED.

malloc_programs.py LIBRARY MALLOC_TORTURE [PROGRAM...]   environment: FAULTLINE_SOAK=N does N times as much"""
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

LIBRARY, TORTURE = (str(pathlib.Path(p).resolve()) for p in sys.argv[1:3])
SOAK = int(os.environ.get("FAULTLINE_SOAK", "1"))
PROGRAMS = {}
FOLDER = None  # scratch


def program(needs):
    def add(function):
        PROGRAMS[function.__name__] = (needs.split(), function)
        return function
    return add


def run(library, command, stdin="", timeout=100 * SOAK, **more):
    """Exit status and output. A preload that the loader could not use says so on stderr: that must not pass for success."""
    env = {k: v for k, v in os.environ.items() if not k.startswith(("MALLOC_", "GLIBC_TUNABLES"))} | more
    env["LD_PRELOAD"] = library or ""
    done = subprocess.run(command, input=stdin, env=env, capture_output=True, text=True, timeout=timeout, errors="replace", cwd=FOLDER)
    if "from LD_PRELOAD cannot be preloaded" in done.stderr:
        raise RuntimeError(done.stderr)
    return done.returncode, done.stdout, done.stderr[-500:] if done.returncode else ""


@program("")
def torture(library):
    return [run(library, [TORTURE, test]) for test in ("corners", "threads", "many", "forks") for _ in range(SOAK)]


@program("sqlite3")
def sqlite3(library):
    rows = 10000 * SOAK
    script = "CREATE TABLE t(a INTEGER PRIMARY KEY, b TEXT);\nBEGIN;\n" + "".join(
        f"INSERT INTO t VALUES({i}, 'row {i * 7919 % 10007}');\n" for i in range(rows)) + \
        "COMMIT;\nCREATE INDEX i ON t(b);\nSELECT b, count(*) FROM t GROUP BY b ORDER BY 2, 1 LIMIT 500;\nSELECT group_concat(b) FROM t;\n"
    return run(library, ["sqlite3", ":memory:"], script)


@program("python3")
def cpython(library):
    """Its own tests, and its allocator switched off, so that every object is a malloc."""
    own = ["/usr/bin/python3"] if os.path.exists("/usr/bin/python3") else [sys.executable]
    script = ("import json, re, threading\nout = {}\n"
              "def work(k):\n  out[k] = len(json.dumps([{'a': list(range(i % 50)), 'b': str(i) * 9} for i in range(4000)]))\n"
              "ts = [threading.Thread(target=work, args=(k,)) for k in range(4)]\n[t.start() for t in ts]\n[t.join() for t in ts]\n"
              "print(sorted(out.items()), len(re.sub('[a-e]+', 'xyz', 'abcdefgh' * 20000)))\n")
    answers = [run(library, [python, "-c", script], PYTHONMALLOC="malloc", PYTHONHASHSEED="1") for python in own]
    tests = ["test_list", "test_thread", "test_json", "test_dict", "test_re", "test_fork1"][:6 if SOAK > 1 else 2]
    for python in {own[0], sys.executable}:
        if run(None, [python, "-c", "import test.test_json"])[0] == 0:
            answers.append(run(library, [python, "-m", "test", *tests], PYTHONMALLOC="malloc")[0])
            break
    return answers


@program("perl")
def perl(library):
    return run(library, ["perl", "-e", "my %h; $h{$_ % 5000} .= 'v' x ($_ % 60) for 1..200000; my $t = ''; $t .= length($h{$_}) . ',' for sort keys %h; print $t"])


@program("g++")
def gxx(library):
    source = FOLDER / "file.cc"
    source.write_text("#include <map>\n#include <string>\n#include <functional>\n" + "".join(
        f"std::map<std::string, std::function<int(int)>> m{i} = {{{{\"a\", [](int x) {{ return x + {i}; }}}}}};\n" for i in range(3 * SOAK)))
    return run(library, ["g++", "-S", "-O1", "-o", "-", str(source)])


@program("git")
def git(library):
    repository = FOLDER / f"git-{'ours' if library else 'libc'}"
    identity = {f"GIT_{who}_{what}": value for who in ("AUTHOR", "COMMITTER")
                for what, value in (("NAME", "n"), ("EMAIL", "e@example.org"), ("DATE", "2001-01-01T00:00:00Z"))}
    answers = [run(library, ["git", "init", "-q", str(repository)])]
    for i in range(6):
        for k in range(40):
            (repository / f"f{k}").write_text("".join(f"line {j * (i + k)}\n" for j in range(200)))
        answers.append(run(library, ["git", "-C", str(repository), "add", "."]))
        answers.append(run(library, ["git", "-C", str(repository), "commit", "-qm", f"c{i}"], **identity))
    answers.append(run(library, ["git", "-C", str(repository), "-c", "pack.threads=2", "repack", "-adq"]))
    return answers + [run(library, ["git", "-C", str(repository), "log", "--stat", "-p"])]


@program("node")
def node(library):
    return run(library, ["node", "-e", "let a = []; for (let i = 0; i < 1e5; i++) a.push({x: i, s: 'k' + i});"
                         "const z = require('zlib'); console.log(a.reduce((t, o) => t + o.s.length, 0),"
                         "z.gunzipSync(z.gzipSync(Buffer.from(JSON.stringify(a)))).length)"])


@program("java")
def java(library):
    source = FOLDER / "Main.java"
    source.write_text("import java.util.*; public class Main { public static void main(String[] a) { Map<Integer, String> m = new TreeMap<>();"
                      "for (int i = 0; i < 100000; i++) m.put(i * 7919 % 100003, \"v\" + i); System.out.println(m.hashCode()); } }")
    if SOAK == 1 or not shutil.which("javac"):
        return run(library, ["java", "-XshowSettings:none", "-version"])[0]
    return run(library, ["java", str(source)])


@program("redis-server redis-cli redis-benchmark")
def redis(library):
    own = FOLDER / f"redis-{'ours' if library else 'libc'}"
    own.mkdir()
    socket = str(own / "socket")
    env = os.environ | {"LD_PRELOAD": library or ""}
    server = subprocess.Popen(["redis-server", "--port", "0", "--unixsocket", socket, "--save", "", "--io-threads", "2",
                               "--dir", str(own)], env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(100):
            if subprocess.run(["redis-cli", "-s", socket, "ping"], capture_output=True).stdout == b"PONG\n":
                break
            time.sleep(0.05)
        bench = subprocess.run(["redis-benchmark", "-s", socket, "-q", "-P", "16", "-n", str(5000 * SOAK), "-r", "1000", "-t", "set,lpush,hset,sadd,zadd"],
                               capture_output=True, timeout=100 * SOAK).returncode
        commands = "".join(f"hset h{i % 50} f{i} {'v' * (i % 300 + 1)}\nappend s{i % 9} x{i}\n" for i in range(3000)) + \
            "del h1\nsave\nget s3\nhlen h2\nobject encoding h2\nbgsave\n"
        answers = subprocess.run(["redis-cli", "-s", socket], input=commands.encode(), capture_output=True, timeout=100).stdout
        subprocess.run(["redis-cli", "-s", socket, "shutdown", "nosave"], capture_output=True)
        return bench, answers, server.wait(30)
    finally:
        if server.poll() is None:
            server.kill()
            server.wait()


@program("stress-ng")
def stress_ng(library):
    answers = []
    for options in (["--malloc", "2", "--malloc-ops", str(20000 * SOAK)], ["--malloc", "2", "--malloc-ops", str(20000 * SOAK), "--malloc-pthreads", "2"],
                    ["--malloc", "1", "--malloc-ops", str(5000 * SOAK), "--malloc-thresh", "4K", "--malloc-touch"],
                    ["--malloc", "1", "--malloc-ops", str(5000 * SOAK), "--malloc-trim"]):
        answers.append(run(library, ["stress-ng", *options, "--verify", "-t", str(30 * SOAK), "-q"])[0])
    return answers


def main():
    global FOLDER
    wanted = sys.argv[3:] or list(PROGRAMS)
    failed = False
    with tempfile.TemporaryDirectory() as folder:
        FOLDER = pathlib.Path(folder)
        for name in wanted:
            needs, function = PROGRAMS[name]
            missing = [tool for tool in needs if not shutil.which(tool)]
            if missing:
                print(f"{name}: SKIPPED, no {', '.join(missing)}")
                continue
            start = time.monotonic()
            libc, ours = function(None), function(LIBRARY)
            good = libc == ours
            failed |= not good
            print(f"{name}: {'equal' if good else 'DIFFERS'} ({time.monotonic() - start:.1f} s)", flush=True)
            if not good:
                a, b = str(libc), str(ours)
                at = max(0, len(os.path.commonprefix([a, b])) - 200)
                print(f"  libc: ...{a[at:at + 500]}\n  ours: ...{b[at:at + 500]}")
    sys.exit(1 if failed else 0)


main()
