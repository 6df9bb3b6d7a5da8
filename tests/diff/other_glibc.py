#!/usr/bin/env python3
"""heap_diff_test against the malloc of another Debian release.

    other_glibc.py HEAP_DIFF_TEST HEAP_DRIVER_OBJECT WORK_DIRECTORY VERSION SUITE

Debian's libc6 of SUITE is fetched by apt (signatures checked) from where this machine gets its own packages, and only unpacked.
heap_driver is linked with it; the model runs with the flags of VERSION. Exit status 77: that glibc cannot be had here.
"""
import os
import pathlib
import subprocess
import sys

test, driver_object, work, version, suite = sys.argv[1:6]
work = pathlib.Path(work).resolve() / version
root = work / "root"


def skip(reason):
    print(f"SKIPPED: glibc {version} of Debian {suite}: {reason}")
    sys.exit(77)


def mirror():
    release = dict(line.strip().split("=", 1) for line in open("/etc/os-release") if "=" in line)
    lines = subprocess.run(["apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE) $(COMPONENT)"], capture_output=True, text=True).stdout
    for line in lines.splitlines():
        uri, name, component = line.split()
        if component == "main" and name == release.get("VERSION_CODENAME"):
            return uri
    skip("apt names no source of Debian packages")


def fetch():
    keyring = "/usr/share/keyrings/debian-archive-keyring.gpg"
    if not os.path.exists(keyring):
        skip(f"wanted {keyring}")
    lists, cache = work / "lists", work / "cache"
    for directory in (lists / "partial", cache / "archives" / "partial"):
        directory.mkdir(parents=True, exist_ok=True)
    sources, status = work / "sources.list", work / "status"
    sources.write_text(f"deb [signed-by={keyring}] {mirror()} {suite} main\n")
    status.write_text("")
    options = ["-o", f"Dir::Etc::SourceList={sources}", "-o", "Dir::Etc::SourceParts=/dev/null", "-o", f"Dir::State::Lists={lists}",
               "-o", f"Dir::State::Status={status}", "-o", f"Dir::Cache={cache}", "-o", "Acquire::Languages=none", "-o", "APT::Sandbox::User=",
               "-o", "Acquire::Retries=3"]
    for command in (["update"], ["download", "libc6", "libc6-dev"]):
        done = subprocess.run(["apt-get", *options, *command], cwd=work, capture_output=True, text=True)
        if done.returncode != 0:
            skip(f"apt-get {command[0]}: {(done.stderr or done.stdout).strip().splitlines()[-1:]}")
    unpacked = work / "unpacked"
    for package in work.glob("libc6*.deb"):
        subprocess.run(["dpkg-deb", "-x", str(package), str(unpacked)], check=True)
    unpacked.rename(root)


def find(*names):
    for name in names:
        for found in sorted(root.rglob(name)):
            if found.exists():
                return str(found)
    skip(f"its package has none of {', '.join(names)}")


def link():
    threads = [str(p) for p in root.rglob("libpthread-2.*.so")]  # a library of its own until 2.33
    loader, libc = find("ld-2.*.so", "ld-linux-x86-64.so.2"), find("libc-2.*.so", "libc.so.6")
    driver = str(work / "heap_driver")
    subprocess.run(["cc", "-nostdlib", "-o", driver, find("crt1.o"), find("crti.o"), driver_object, *threads, libc, find("libc_nonshared.a"), find("crtn.o"),
                    f"-Wl,--dynamic-linker={loader}", f"-Wl,-rpath,{os.path.dirname(libc)}"], check=True)
    return driver


work.mkdir(parents=True, exist_ok=True)
if not root.exists():
    fetch()
environment = {**os.environ, "FAULTLINE_HEAP_DRIVER": link(), "FAULTLINE_HEAP_VERSION": version}
environment.setdefault("FAULTLINE_HEAP_OPS", "400000")
sys.exit(subprocess.run([test, "--gtest_filter=HeapDiff.*"], env=environment).returncode)
