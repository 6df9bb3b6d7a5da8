"""A program is recorded and stopped (SIGSTOP) at random instants; /proc/PID/smaps, read while it stands, is put beside the ledgers of those
instants that `faultline report --at` makes of the recording alone. Used by ledger_test.py and bench/ledger/run.

While all threads stand nothing happens in the process, so that an instant within the stop is exact whatever the clocks do.
"""
import json
import os
import random
import re
import shutil
import signal
import subprocess
import threading
import time

import on_programs

HEADER = re.compile(r"^([0-9a-f]+)-([0-9a-f]+) (\S+) \S+ \S+ (\d+)\s*(.*)$")


def read(path):
    try:
        with open(path) as file:
            return file.read()
    except OSError:
        return ""


def descendants(pid):
    found = []
    for task in os.listdir(f"/proc/{pid}/task") if os.path.isdir(f"/proc/{pid}/task") else []:
        for child in read(f"/proc/{pid}/task/{task}/children").split():
            found += [int(child), *descendants(int(child))]
    return found


def all_stopped(pid):
    try:
        return all(read(f"/proc/{pid}/task/{tid}/stat").rpartition(")")[2].split()[0] in "tT" for tid in os.listdir(f"/proc/{pid}/task"))
    except (OSError, IndexError):
        return False


def stopped_look(pid):
    """smaps and VmPTE of the process while it stands, and the instant; None if it ends meanwhile."""
    try:
        os.kill(pid, signal.SIGSTOP)
    except OSError:
        return None
    try:
        for _ in range(2000):
            if all_stopped(pid):
                break
            if read(f"/proc/{pid}/stat").rpartition(")")[2].split()[:1] in ([], ["Z"], ["X"]):
                return None
            time.sleep(0.0002)
        else:
            return None
        before = time.clock_gettime_ns(time.CLOCK_MONOTONIC_RAW)
        smaps, status = read(f"/proc/{pid}/smaps"), read(f"/proc/{pid}/status")
        after = time.clock_gettime_ns(time.CLOCK_MONOTONIC_RAW)
        if not smaps or not all_stopped(pid):
            return None
        return {"pid": pid, "raw_ns": (before + after) // 2, "exe": os.path.realpath(f"/proc/{pid}/exe"), "smaps": smaps,
                "page_tables": int(re.search(r"VmPTE:\s*(\d+)", status)[1]) * 1024}
    finally:
        try:
            os.kill(pid, signal.SIGCONT)
        except OSError:
            pass


def sampled_run(command, env, mean_gap, rng, drive=None):
    """Runs the command and looks at all its descendants at random instants, mean_gap seconds apart."""
    helper = threading.Thread(target=drive) if drive else None
    if helper:
        helper.start()
    looks = []
    with subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as run:
        while run.poll() is None:
            time.sleep(rng.expovariate(1 / mean_gap))
            for pid in descendants(run.pid):
                look = stopped_look(pid)
                if look:
                    looks.append(look)
        error = run.stderr.read().decode()
    if helper:
        helper.join()
    return run.returncode, error, looks


def measured(smaps, recorder):
    """What smaps tells of the ledger's categories, in bytes. recorder: [start, end) of its mappings."""
    sums = {"rss": 0, "heap": 0, "stack": 0, "file": 0, "file_private": 0, "rest": 0, "huge": 0, "file_dirty": 0, "shared_memory": 0, "recorder": 0, "kernel": 0}
    kind = None
    for line in smaps.splitlines():
        header = HEADER.match(line)
        if header:
            name = header[5]
            at = int(header[1], 16)
            ours = any(start <= at < end for start, end in recorder)
            kind = ("recorder" if ours else "heap" if name == "[heap]" else "stack" if name == "[stack]" else "kernel" if name in ("[vdso]", "[vvar]", "[vvar_vclock]") else
                    "shared_memory" if name.startswith(("/dev/zero", "/SYSV", "/dev/shm/", "/memfd:")) else "rest" if not name or name.startswith("[anon") else "file")
            if name == "[vsyscall]":
                kind = None
            continue
        key, _, value = line.partition(":")
        if kind is None or key not in ("Rss", "Anonymous", "AnonHugePages", "Shared_Dirty", "Private_Dirty"):
            continue
        number = int(value.split()[0]) * 1024
        if key == "AnonHugePages":
            sums["huge"] += number
        elif key.endswith("_Dirty"):
            sums["file_dirty"] += number if kind == "file" else 0
        elif key == "Rss":
            sums["rss"] += number
            sums[kind] += number
        elif kind == "file":
            sums["file"] -= number
            sums["file_dirty"] -= number
            sums["file_private"] += number
    return sums


HEAP = ["heap_live", "heap_rounding", "heap_tcache", "heap_fastbins", "heap_free", "heap_pinned", "heap_top", "heap_own", "heap_other", "heap_undivided"]


def told(ledger, one_arena):
    """The same of a ledger. With thread arenas what is in [heap] and what in other anonymous mappings is not told apart."""
    part = {key.removesuffix("_bytes"): value for key, value in ledger["parts"].items()}
    heap = sum(part[key] for key in HEAP)
    anonymous = sum(part[key] for key in ("arena_slack", "mmapped_live", "mmapped_rounding", "thp_slack", "anonymous", "stack_threads", "bss"))
    sums = {"rss": ledger["rss_bytes"], "stack": part["stack_main"], "file": part["file_clean"] + part["file_dirty"], "shared_memory": part["shared_memory"], "file_dirty": part["file_dirty"],
            "file_private": part["file_private"], "huge": ledger["huge_bytes"], "recorder": part["recorder"],
            "kernel": part["kernel"]}
    if one_arena and part["thp_slack"] == 0:
        sums["heap"], sums["rest"] = heap, anonymous
    else:
        sums["heap and rest"] = heap + anonymous
    return sums


def answer(faultline, *words):
    done = subprocess.run([faultline, *words], capture_output=True, text=True, timeout=600)
    if done.returncode not in (0, 1):
        raise RuntimeError(f"{words}: {done.stderr.strip()[-500:]}")
    return json.loads(done.stdout)


def compare(faultline, recording, looks, pid):
    """[(seconds, ledger's sums, measured sums)] of the looks at one process; a reason instead if there is no ledger."""
    info = answer(faultline, "info", "--json", recording)
    zero = info["clock_zero_ns"]
    recorder = [[int(at, 16) for at in pair] for process in info["processes"] if process["pid"] == pid for pair in process["recorder_ranges"]]
    report = answer(faultline, "report", "--json", "--no-heap", "--process", str(pid), recording)
    start, end = report["process"]["start_ns"], report["ledger"]["end_time_ns"]
    instants = sorted({(look["raw_ns"] - zero - start, i) for i, look in enumerate(looks) if look["pid"] == pid and look["raw_ns"] - zero >= start})
    instants = [(ns, i) for ns, i in instants if ns <= end]
    if not instants:
        return [], "no instant within the process's life"
    words = [word for ns, _ in instants for word in ("--at", f"{ns / 1e9:.9f}")]
    report = answer(faultline, "report", "--json", "--heap", "--process", str(pid), *words, recording)
    if report["ledger"]["why_not"]:
        return [], report["ledger"]["why_not"]
    one_arena = all(len(moment["arenas"]) == 1 for moment in report["heap"]["moments"])
    rows = []
    for ledger, (ns, i) in zip(report["ledger"]["moments"][2:], instants):
        seen, told_sums = measured(looks[i]["smaps"], recorder), told(ledger, one_arena)
        seen["heap and rest"] = seen["heap"] + seen["rest"]
        seen["page_tables"], told_sums["page_tables"] = looks[i]["page_tables"], ledger["page_tables_bytes"]
        rows.append((ns / 1e9, told_sums, seen))
    return rows, report["ledger"]["heap_why_not"]


def zoo(directory, seed):
    """memory_zoo, named by FAULTLINE_ZOO: each kind of memory there is."""
    os.makedirs(directory)
    data = os.path.join(directory, "data")
    with open(data, "wb") as file:
        file.write(bytes(2048 * 4096))
    return on_programs.workloads.Workload([os.environ["FAULTLINE_ZOO"], data, "0.5", str(seed)], record_options=["--turns"])


def look_at_program(faultline, name, directory, wanted, seed, scale):
    """Rows of at least `wanted` instants (over several recordings if one is too short), and what was left undivided."""
    rng = random.Random(seed)
    rows, note, recording = [], None, os.path.join(directory, "recording.fl")
    work = os.path.join(directory, "work")

    def fresh():
        shutil.rmtree(work, ignore_errors=True)
        return zoo(work, seed) if name == "zoo" else on_programs.prepare(name, work, scale=scale)

    began = time.monotonic()
    on_programs.run(fresh(), [], subprocess.DEVNULL)  # its files are in the page cache from here on, and its length is known
    gap = max(0.004, (time.monotonic() - began) / wanted / 1.5)
    for _ in range(8):
        workload = fresh()
        options = [*workload.record_options]
        if os.path.exists(recording):
            os.remove(recording)
        code, error, looks = sampled_run([faultline, "record", "-q", "-o", recording, *options, "--", *workload.command], {**os.environ, **workload.env}, gap, rng, workload.drive)
        if not os.path.exists(recording):
            raise RuntimeError(f"record exited with {code}: {error[-500:]}")
        found, note = compare(faultline, recording, looks, on_programs.busiest(faultline, recording))
        rows += found
        if len(rows) >= wanted:
            break
    return rows, note
