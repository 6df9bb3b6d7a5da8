#!/usr/bin/env python3
"""Findings on programs whose one problem is known: the first finding is the true cause, names the place, and doing what it says brings what
the twin predicted. Healthy programs have none.

    findings_test.py FAULTLINE FINDINGS_DEMO STORM [CASE ...]
"""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import limited_group  # noqa: E402

limited_group.end_cleanly()
faultline, demo, storm = (os.path.abspath(path) for path in sys.argv[1:4])
failures = []

# case: (first finding, function it must name, {figure: allowed error}); figures are those of finding.predicted
DEMOS = {
    "leak": ("slow_growth", "keep_record", {"rss_end_bytes": 0.05}),
    "arenas": ("arena_bloat", None, {"rss_peak_bytes": 0.05}),
    "untouched": ("untouched_memory", "make_buffer", {"mapped_bytes": 0.05}),
    "fork": ("fork_copies", "write_all", {"minor_faults": 0.02}),
    "sparse": ("page_tables", "sparse", {"page_tables_bytes": 0.05}),
    "mappings": ("page_tables", None, {}),
    "temporary": ("temporary_blocks", "make_line", {"allocations": 0.001}),
    "trim": ("trim_calls", None, {"minor_faults": 0.02}),
    "slack": ("huge_page_slack", None, {"rss_peak_bytes": 0.05}),
    "fragments": ("shared_pages", "make_kept", {"rss_end_bytes": 0.05}),
}
# storms of the dynamic thresholds: (arguments, settings, first finding)
STORMS = {
    "storm 4 x 1 MB": (["4", "1000000", "300"], "", "trim_churn"),
    "storm 1 x 40 MB": (["1", "40000000", "20"], "", "mmap_churn"),
    "storm 1 x 1 MB, a lone trim_threshold": (["1", "1000000", "400"], "glibc.malloc.trim_threshold=4294967296", "frozen_threshold"),
}
HEALTHY = {"true": ["true"], "ls": ["ls", "/usr/bin"], "a short sqlite3 session": ["sqlite3", ":memory:", "create table t(a,b); insert into t values(1,2),(3,4); select * from t;"]}


def check(what, good, found):
    print(f"{'ok  ' if good else 'FAIL'} {what}: {found}", flush=True)
    if not good:
        failures.append(what)


def report(folder, command, tunables=""):
    """The report of a recording of the command."""
    path = os.path.join(folder, "r.fl")
    if os.path.exists(path):
        os.remove(path)
    env = {key: value for key, value in os.environ.items() if key != "GLIBC_TUNABLES"}
    if tunables:
        env["GLIBC_TUNABLES"] = tunables
    subprocess.run([faultline, "record", "-q", "-o", path, "--", *command], check=True, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    return json.loads(subprocess.run([faultline, "report", "--json", path], check=True, capture_output=True).stdout)


def figures(answer):
    """What a run really had, by the names of the predicted figures."""
    totals, (peak, end) = answer["totals"], answer["ledger"]["moments"]
    resident = [moment["rss_bytes"] - moment["parts"]["recorder_bytes"] for moment in (peak, end)]  # VmHWM is exact to 512 KiB only
    return {"minor_faults": totals["minor_faults"], "rss_peak_bytes": resident[0], "rss_end_bytes": resident[1],
            "mapped_bytes": peak["mapped_bytes"], "page_tables_bytes": peak["page_tables_bytes"], "allocations": totals["allocations"]}


def first_of(answer):
    findings = answer["findings"]
    return findings[0] if findings else {"id": None, "title": "", "lines": [], "predicted": None}


def compare(what, finding, before, after, allowed):
    for figure, error in allowed.items():
        predicted, real = finding["predicted"][figure], before[figure] - after[figure]
        check(f"{what}: {figure} gained", real > 0 and abs(predicted - real) <= error * real, f"{real}, predicted {predicted} ({(predicted - real) / max(real, 1):+.2%})")


def try_demo(case, folder):
    expected, place, allowed = DEMOS[case]
    plain = ["setarch", "-R", demo, case] if case == "slack" else [demo, case]  # how much a huge page adds hangs on where the heap begins
    answer = report(folder, plain)
    if answer["ledger"]["why_not"]:
        print(f"SKIPPED {case}: {answer['ledger']['why_not']}")
        return
    finding = first_of(answer)
    check(f"{case}: the first finding", finding["id"] == expected, f"{finding['id']}: {finding['title']}")
    if finding["id"] != expected:
        return
    if place:
        check(f"{case}: where", place in " ".join(finding["lines"]) and "findings_demo.c:" in " ".join(finding["lines"]), place)
    env = (finding["predicted"] or {}).get("env")
    fixed = report(folder, plain if env else [*plain, "fixed"], env.removeprefix("GLIBC_TUNABLES=") if env else "")
    if not env:  # a setting may leave some of it: of two arenas one is a thread's
        check(f"{case}: done as it says, it is gone", expected not in [f["id"] for f in fixed["findings"]], [f["id"] for f in fixed["findings"]])
    compare(case, finding, figures(answer), figures(fixed), allowed)


def try_storm(name, folder):
    arguments, tunables, expected = STORMS[name]
    answer = report(folder, [storm, *arguments], tunables)
    finding = first_of(answer)
    check(f"{name}: the first finding", finding["id"] == expected, f"{finding['id']}: {finding['title']}")
    if finding["predicted"] and finding["predicted"]["env"]:
        after = report(folder, [storm, *arguments], finding["predicted"]["env"].removeprefix("GLIBC_TUNABLES="))
        compare(name, finding, figures(answer), figures(after), {"minor_faults": 0.02})
    else:
        check(f"{name}: a setting to try", False, finding["predicted"])


def try_limit(folder):
    """Recorded under a limit a little above what it needs; without the recorder it lives with what the finding says it needs, and with less it is killed."""
    try:
        if pathlib.Path("/proc/swaps").read_text().count("\n") > 1:
            raise limited_group.NotPermitted("the machine has swap: nothing is killed at a limit")
        with limited_group.Group("faultline-findings") as group:
            path = os.path.join(folder, "limited.fl")
            group.run(300 << 20, [faultline, "record", "-q", "-o", path, "--", demo, "hold"], check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
            answer = json.loads(subprocess.run([faultline, "report", "--json", path], check=True, capture_output=True).stdout)
            finding = first_of(answer)
            check("limit: the first finding", finding["id"] == "limit_close", f"{finding['id']}: {finding['title']}")
            if finding["id"] != "limit_close":
                return
            check("limit: where", "hold_part" in " ".join(finding["lines"]), finding["lines"][2])
            needed = finding["held_bytes"]
            for share, lives in ((1.01, True), (0.98, False)):
                limit = int(needed * share) + (1 << 20 if lives else 0)  # slabs and the kernel's stack
                done = group.run(limit, [demo, "hold"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                check(f"limit: {'lives' if lives else 'is killed'} with {share:.0%} of what it is said to need", (done.returncode == 0) == lives, f"{limit >> 10} KiB: status {done.returncode}")
    except limited_group.NotPermitted as missing:
        print(f"SKIPPED limit: {missing}")


chosen = sys.argv[4:]
with tempfile.TemporaryDirectory(prefix="faultline-findings-") as directory:
    for case in DEMOS:
        if not chosen or case in chosen:
            try_demo(case, directory)
    for case in STORMS:
        if not chosen or case in chosen:
            try_storm(case, directory)
    if not chosen or "limit" in chosen:
        try_limit(directory)
    for case, words in HEALTHY.items():
        if (not chosen or case in chosen) and shutil.which(words[0]):
            ids = [finding["id"] for finding in report(directory, words)["findings"]]
            check(f"{case}: healthy", ids == ["nothing_to_gain"], ids)

print("failed: " + ", ".join(failures) if failures else "all good")
sys.exit(1 if failures else 0)
