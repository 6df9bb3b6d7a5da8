"""What the tests on real programs share: a workload is prepared from FAULTLINE_SEED and FAULTLINE_SCALE, run and verified; each program's
verdict is one line and the reasons below it. FAULTLINE_KEEP keeps the folders."""
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "workloads"))
import workloads  # noqa: E402


def prepare(name, directory, scale):
    return workloads.prepare(name, directory, int(os.environ.get("FAULTLINE_SEED", "1")), float(os.environ.get("FAULTLINE_SCALE", scale)))


def run(workload, before, stdout):
    """The workload's command, behind the words `before`."""
    env = {**os.environ, **workload.env}
    helper = threading.Thread(target=workload.drive) if workload.drive else None
    if helper:
        helper.start()
    done = subprocess.run([*before, *workload.command], env=env, stdin=subprocess.DEVNULL, stdout=stdout, stderr=subprocess.PIPE, text=True, timeout=300)
    if helper:
        helper.join()
    return done


def busiest(faultline, recording):
    """The process with most heap events."""
    info = json.loads(subprocess.run([faultline, "info", "--json", recording], capture_output=True, text=True, check=True).stdout)
    return max(info["processes"], key=lambda process: process["heap_events"])["pid"]


def verify(faultline, recording, process=None):
    """The answer of verify as JSON; what there is instead of it."""
    chosen = [] if process is None else ["--process", str(process)]
    done = subprocess.run([faultline, "verify", "--json", *chosen, recording], capture_output=True, text=True, timeout=300)
    try:
        return json.loads(done.stdout), None
    except ValueError:
        return None, f"verify exited with {done.returncode} and no JSON: {done.stderr.strip()[-500:]}"


def main(check, needs):
    """check(faultline, name, directory): what does not hold, and one line of numbers; or None, and why the program cannot be judged.
    needs: every program's name with the command it cannot do without."""
    faultline, names = sys.argv[1], sys.argv[2:] or list(needs)
    passed = failed = skipped = 0
    for name in names:
        if shutil.which(needs[name]) is None:
            print(f"SKIPPED {name}: wanted {needs[name]}, not installed")
            skipped += 1
            continue
        directory = tempfile.mkdtemp(prefix="faultline-programs-")
        try:
            wrong, line = check(faultline, name, directory)
        finally:
            if not os.environ.get("FAULTLINE_KEEP"):
                shutil.rmtree(directory, ignore_errors=True)
        if wrong is None:
            print(f"SKIPPED {name}: {line}")
            skipped += 1
            continue
        print(f"{'FAILED' if wrong else 'ok    '} {name}: {line}", flush=True)
        for reason in wrong:
            print(f"       {reason}", flush=True)
        failed, passed = failed + bool(wrong), passed + (not wrong)
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    sys.exit(1 if failed else 0)
