#!/usr/bin/env python3
"""One recording of each storm under the defaults; the faults of every other setting predicted from it and measured by
running the program under that setting without the recorder: within 2 %.   predict_storms.py FAULTLINE STORM

Runs of the same program differ by up to 4 faults: execve, ld.so and libc touch other pages under another address
randomisation. Where a storm is healed and the whole program takes a hundred faults, that is more than 2 %: there,
5 faults are allowed."""
import json
import os
import subprocess
import sys
import tempfile

STORMS = [("1", "160000", "400"), ("4", "160000", "300"), ("4", "1000000", "60"), ("1", "40000000", "6")]
NEVER = str(4 << 30)
SETTINGS = [
    [],
    ["mmap_threshold=" + NEVER],
    ["trim_threshold=" + NEVER],
    ["mmap_max=0"],
    ["mmap_threshold=" + NEVER, "trim_threshold=" + NEVER],
    ["top_pad=67108864"],
]
TOLERANCE = 0.02
STARTUP = 6  # faults by which two starts of the same program differ (ASLR decides how page tables and libraries share pages)
RANDOMISATION_FAULTS = 5


def measured(command, settings):
    """Median minor faults of three runs. posix_spawn shares this script's memory until exec, so next to none are from before it."""
    env = {k: v for k, v in os.environ.items() if k != "GLIBC_TUNABLES"}
    if settings:
        env["GLIBC_TUNABLES"] = ":".join("glibc.malloc." + s for s in settings)
    return sorted(faults_of_run(command, env) for _ in range(3))[1]


def faults_of_run(command, env):
    pid = os.posix_spawn(command[0], command, env, file_actions=[(os.POSIX_SPAWN_OPEN, 2, "/dev/null", os.O_WRONLY, 0)])
    _, status, usage = os.wait4(pid, 0)
    assert status == 0, f"{command} ended with {status}"
    return usage.ru_minflt


def main():
    faultline, storm = sys.argv[1:3]
    wrong = 0
    with tempfile.TemporaryDirectory(prefix="faultline-storms-") as directory:
        for arguments in STORMS:
            command = [os.path.abspath(storm), *arguments]
            recording = os.path.join(directory, "storm.fl")
            subprocess.run([faultline, "record", "-o", recording, "--", *command], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            for settings in SETTINGS:
                sets = [w for s in settings or ["tcache_max=1032"] for w in ("--set", s)]  # tcache_max=1032: what is set anyway
                answer = json.loads(subprocess.run([faultline, "whatif", recording, "--json", *sets], check=True, capture_output=True).stdout)
                predicted, real = answer["predicted"]["minor_faults"], measured(command, settings)
                error = abs(predicted - real) / real
                ok = error <= TOLERANCE or abs(predicted - real) <= RANDOMISATION_FAULTS
                wrong += not ok
                print(f"{'ok    ' if ok else 'FAILED'} {' '.join(arguments):<16} {' '.join(settings) or 'default':<55} "
                      f"predicted {predicted:>8}  measured {real:>8}  {100 * error:5.2f} %", flush=True)
    print(f"{len(STORMS) * len(SETTINGS)} settings, {wrong} beyond {100 * TOLERANCE:.0f} %")
    sys.exit(1 if wrong else 0)


main()
