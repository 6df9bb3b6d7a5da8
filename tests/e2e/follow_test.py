#!/usr/bin/env python3
"""The kernel side on real programs: every memory call and fault of all their processes, led through the twin by `faultline verify`.

follow_test.py FAULTLINE [NAME ...]      FAULTLINE_SEED and FAULTLINE_SCALE change the inputs.

Calls, maps and anonymous memory must be equal in every recording. What a fault in a file maps hangs on the page cache at that moment,
which the recorder sees once, when the recording ends, and on which folios other tasks of the machine have locked. So each program is run
once unrecorded, and up to three recordings are made to find one that is equal to the last page and fault. On a machine so busy that none is,
one file fault in 1,000 and one mapping in 200 may differ, and the line says that they did.
"""
import os
import shutil
import subprocess

import on_programs

NEEDS = {"true": "true", "sqlite3": "sqlite3", "python-json": "/usr/bin/python3", "redis": "redis-server", "g++": "g++", "node": "node", "java-version": "java",
         "java": "javac", "pipeline": "bash"}
ATTEMPTS = 3


def fresh(name, directory):
    shutil.rmtree(directory, ignore_errors=True)
    return on_programs.prepare(name, directory, scale="0.1")


def off(pair):
    return abs(pair["predicted"] - pair["observed"]) / max(1, pair["observed"])


def judge(follow):
    """What is wrong whatever the page cache was; what is not equal in files."""
    wrong, files = [], []
    calls, maps, faults, resident = follow["calls"], follow["maps"], follow["faults"], follow["resident_bytes_of_mappings"]
    if calls["matched"] != calls["total"] or calls["total"] == 0:
        wrong.append(f"calls {calls['matched']} of {calls['total']}: {follow['call_differences'][:3]}")
    if maps["equal"] != maps["compared"] or maps["compared"] == 0:
        wrong.append(f"maps {maps['equal']} of {maps['compared']}: {follow['map_differences'][:3]}")
    if (faults["judged"] and follow["anonymous_faults_differ"]) or (resident["judged"] and follow["anonymous_mappings_differ"]):
        wrong.append(f"anonymous memory differs: {follow['fault_differences'][:3]} {follow['map_differences'][:3]}")
    if faults["judged"] and off(follow["minor_faults"]) > 0.005:
        wrong.append(f"minor faults {follow['minor_faults']}")
    if faults["judged"] and faults["matched"] != faults["total"]:
        files.append(f"faults {faults['matched']} of {faults['total']}: {follow['fault_differences'][:2]}")
    if resident["judged"] and resident["equal"] != resident["compared"]:
        files.append(f"resident bytes {resident['equal']} of {resident['compared']}: {follow['map_differences'][:2]}")
    return wrong, files


def nearly(follow):
    faults, resident = follow["faults"], follow["resident_bytes_of_mappings"]
    return faults["total"] - faults["matched"] <= faults["total"] / 1000 and resident["compared"] - resident["equal"] <= resident["compared"] / 200


def line_of(follow):
    text = f"{follow['processes']} processes"
    for key in ("calls", "faults"):
        text += f", {key} {follow[key]['matched']}/{follow[key]['total']}"
        if follow[key]["concurrent"]:
            text += f" ({follow[key]['concurrent']} at once)"
    minor, maps, resident = follow["minor_faults"], follow["maps"], follow["resident_bytes_of_mappings"]
    text += f", minor {minor['predicted']}/{minor['observed']}, maps {maps['equal']}/{maps['compared']}, resident {resident['equal']}/{resident['compared']}"
    if follow["calls_not_modelled"]:
        text += f", not modelled {follow['calls_not_modelled']}"
    return text


def check(faultline, name, top):
    directory, recording = os.path.join(top, "work"), os.path.join(top, "recording.fl")
    plain = on_programs.run(fresh(name, directory), [], subprocess.PIPE)
    line, files, near = "", [], None
    for attempt in range(ATTEMPTS):
        workload = fresh(name, directory)
        done = on_programs.run(workload, [faultline, "record", "-q", "-o", recording, *workload.record_options, "--"], subprocess.PIPE)
        if (done.returncode, done.stdout) != (plain.returncode, plain.stdout) and not workload.drive:
            return [f"recorded it ends with {done.returncode}, alone with {plain.returncode}: {done.stderr.strip()[-500:]}"], line
        answer, problem = on_programs.verify(faultline, recording)
        if problem:
            return [problem], line
        follow = answer["follow"]
        if not follow["possible"]:  # perf or its tracepoints are not permitted here
            return None, follow["reason"]
        line = line_of(follow) + (f" (recording {attempt + 1})" if attempt else "")
        wrong, files = judge(follow)
        if wrong or not files:
            return wrong, line
        if nearly(follow):
            near = line + ", none of the recordings equal: " + "; ".join(files)
    return ([], near) if near else (files, line)


on_programs.main(check, NEEDS)
