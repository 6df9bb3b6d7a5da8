#!/usr/bin/env python3
"""Records real programs and holds `faultline verify` to what it claims: every address, every memory call, faults and
peak RSS within 3 %.   real_programs.py FAULTLINE [NAME ...]      FAULTLINE_SEED and FAULTLINE_SCALE change the inputs.
"""
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "workloads"))
import workloads  # noqa: E402

NEEDS = {"sqlite3": "/usr/bin/sqlite3", "python-json": "/usr/bin/python3", "cc1plus": "/usr/bin/g++", "redis": "/usr/bin/redis-server",
         "sort": "/usr/bin/sort", "gawk": "/usr/bin/gawk"}

LEAST_ADDRESSES = {"sort": 10}  # sort lives in a few very large blocks


def record(faultline, workload, recording):
    env = {**os.environ, **workload.env}
    command = [faultline, "record", "-o", recording, *workload.record_options, "--", *workload.command]
    helper = threading.Thread(target=workload.drive) if workload.drive else None
    if helper:
        helper.start()
    done = subprocess.run(command, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, timeout=300)
    if helper:
        helper.join()
    return done


def off_by(predicted, observed):
    return abs(predicted - observed) / observed if observed else float(predicted != 0)


def check(faultline, name, directory):
    """A list of what does not hold, and one line of numbers."""
    workload = workloads.prepare(name, directory, int(os.environ.get("FAULTLINE_SEED", "1")), float(os.environ.get("FAULTLINE_SCALE", "1")))
    recording = os.path.join(directory, "recording.fl")
    done = record(faultline, workload, recording)
    if done.returncode != 0:
        return [f"record exited with {done.returncode}: {done.stderr.strip()[-500:]}"], ""
    verify = subprocess.run([faultline, "verify", "--json", recording], capture_output=True, text=True, timeout=300)
    try:
        answer = json.loads(verify.stdout)
    except ValueError:
        return [f"verify exited with {verify.returncode} and no JSON: {verify.stderr.strip()[-500:]}"], ""
    wrong = []
    malloc, calls, faults, rss = answer["malloc"], answer["syscalls"], answer["minor_faults"], answer["rss_peak_bytes"]
    if malloc["addresses_total"] < LEAST_ADDRESSES.get(name, 1000):
        wrong.append(f"only {malloc['addresses_total']} addresses: not a real run")
    if malloc["addresses_matched"] != malloc["addresses_total"]:
        wrong.append(f"addresses {malloc['addresses_matched']} of {malloc['addresses_total']}")
    exact = calls["total"] is not None
    if exact and calls["matched"] != calls["total"]:
        wrong.append(f"calls {calls['matched']} of {calls['total']}")
    predicted = faults["heap"]["predicted"] + faults["mmapped_chunks"]["predicted"]
    observed = faults["heap"]["observed"] + faults["mmapped_chunks"]["observed"]
    if observed is not None and off_by(predicted, observed) > 0.03:
        wrong.append(f"minor faults of heap and mmapped chunks: predicted {predicted}, observed {observed}")
    # What the kernel itself cannot tell of its peak (verify names it) is no miss: 512 KiB on two CPUs, 8 % of a small sqlite3.
    unknown = rss["observed_resolution_bytes"] if rss["predicted"] > rss["observed"] else 0
    if abs(rss["predicted"] - rss["observed"]) > 0.03 * rss["observed"] + unknown:
        wrong.append(f"peak RSS: predicted {rss['predicted']}, observed {rss['observed']}")
    line = (f"{malloc['events']} events, addresses {malloc['addresses_matched']}/{malloc['addresses_total']}, calls "
            f"{calls['matched']}/{calls['total']}, heap+mmapped faults {predicted}/{observed}, peak RSS {rss['predicted']}/{rss['observed']}")
    return wrong, line


def main():
    faultline, names = sys.argv[1], sys.argv[2:] or workloads.NAMES
    passed = failed = skipped = 0
    for name in names:
        if not os.path.exists(NEEDS[name]):
            print(f"SKIPPED {name}: wanted {NEEDS[name]}, not installed")
            skipped += 1
            continue
        directory = tempfile.mkdtemp(prefix="faultline-e2e-")
        try:
            wrong, line = check(faultline, name, directory)
        finally:
            if not os.environ.get("FAULTLINE_KEEP"):
                shutil.rmtree(directory, ignore_errors=True)
        print(f"{'FAILED' if wrong else 'ok    '} {name}: {line}", flush=True)
        for reason in wrong:
            print(f"       {reason}", flush=True)
        failed, passed = failed + bool(wrong), passed + (not wrong)
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    sys.exit(1 if failed else 0)


main()
