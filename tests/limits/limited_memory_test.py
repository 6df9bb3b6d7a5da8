#!/usr/bin/env python3
"""The two oracle vectors of limited memory, measured on this kernel and predicted by the twin: 256 MiB cycled under 128 MiB, and
150 MiB of random writes under 100 MiB. Without the right to limit and swap, the twin is compared with what Linux 6.18 was seen to do.

    limited_memory_test.py DIRECTORY_OF_THE_PROGRAMS
"""
import json
import pathlib
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import limited_group  # noqa: E402

PROGRAMS = pathlib.Path(sys.argv[1])
# pattern, seed, limit in MiB, major and minor faults seen on Linux 6.18 (3 passes of 8,203 after the first)
VECTORS = [("cycle-write", 1, 128, 24_600, 237_550), ("uniform", 1, 100, 33_880, 39_000)]
MAJOR, MINOR = 0.05, 0.05


def predict(pattern, seed, limit, environment):
    done = subprocess.run([PROGRAMS / "limits_predict", pattern, str(seed), str(limit << 20)], check=True, capture_output=True, text=True, env=environment)
    return json.loads(done.stdout)


def compare(what, predicted, major, minor):
    print(f"{what}: major {predicted['major_faults']:,} predicted, {major:,} measured; minor {predicted['minor_faults']:,}, {minor:,}")
    return abs(predicted["major_faults"] - major) <= MAJOR * major and abs(predicted["minor_faults"] - minor) <= MINOR * minor


def main():
    limited_group.end_cleanly()
    good = all([compare(f"{pattern} under {limit} MiB, as Linux 6.18 was seen", predict(pattern, seed, limit, limited_group.environment(1, True, "128")), major, minor)
                for pattern, seed, limit, major, minor in VECTORS])
    try:
        with tempfile.TemporaryDirectory(prefix="faultline-limits-", dir="/var/tmp") as directory, limited_group.swap_file(1024, directory) as rotating, \
                limited_group.Group("faultline-test") as group:
            for pattern, seed, limit, _, _ in VECTORS:
                done = group.run(limit << 20, [PROGRAMS / "limits_program", pattern, str(seed), "/dev/null"], capture_output=True, text=True, check=True)
                measured = json.loads(done.stdout)
                predicted = predict(pattern, seed, limit, limited_group.describe_machine(group, rotating, directory))
                good = compare(f"{pattern} under {limit} MiB, here", predicted, measured["major_faults"], measured["minor_faults"]) and good
    except limited_group.NotPermitted as missing:
        print(f"SKIPPED against this kernel: {missing}")
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
