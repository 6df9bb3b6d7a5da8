"""A memory cgroup with a limit, a swap file and a file system of one's own, on cgroup v1 or v2; all are gone afterwards, whatever happens."""
import contextlib
import mmap
import os
import pathlib
import random
import signal
import statistics
import subprocess
import tempfile
import time


def end_cleanly():
    """SIGTERM unwinds, so that swap and group go away."""
    signal.signal(signal.SIGTERM, lambda *_: exit(143))


class NotPermitted(Exception):
    """The machine does not let us; the text says what is missing."""


def version():
    """Of the memory controller: 1, 2, or NotPermitted."""
    if os.geteuid() != 0:
        raise NotPermitted("needs root: a memory cgroup and swapon(2)")
    if pathlib.Path("/sys/fs/cgroup/memory/memory.limit_in_bytes").exists():
        return 1
    controllers = pathlib.Path("/sys/fs/cgroup/cgroup.controllers")
    if controllers.exists() and "memory" in controllers.read_text().split():
        return 2
    raise NotPermitted("no memory controller below /sys/fs/cgroup")


@contextlib.contextmanager
def swap_file(mib, directory):
    """A swap file; yields whether its device is rotating, which chooses the kernel's kind of read-ahead."""
    if pathlib.Path("/proc/swaps").read_text().count("\n") > 1:
        raise NotPermitted("the machine has swap already: its use would not be ours alone")
    handle, path = tempfile.mkstemp(prefix="faultline-swap-", dir=directory)
    try:
        os.close(handle)
        os.chmod(path, 0o600)
        for command in (["fallocate", "-l", f"{mib}M", path], ["mkswap", path], ["swapon", path]):
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode != 0:
                raise NotPermitted(f"{command[0]} on {directory}: {done.stderr.strip()}")
        try:
            yield rotating(path)
        finally:
            subprocess.run(["swapoff", path], check=True)
    finally:
        os.unlink(path)


@contextlib.contextmanager
def file_system(mib, directory, read_ahead_kib=128):
    """An ext4 of its own on a loop device with a read-ahead window as other machines have it; yields where it is mounted. What is read
    from it does not go through the page cache of the file below."""
    with tempfile.TemporaryDirectory(prefix="faultline-mount-", dir=directory) as place, contextlib.ExitStack() as stack:
        image, mounted = pathlib.Path(place) / "image", pathlib.Path(place) / "mounted"
        mounted.mkdir()

        def run(*command):
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode != 0:
                raise NotPermitted(f"{command[0]}: {done.stderr.strip()}")
            return done.stdout.strip()

        try:
            run("fallocate", "-l", f"{mib}M", image)
            run("mkfs.ext4", "-q", "-F", image)
            loop = run("losetup", "--show", "--direct-io=on", "-f", image)
            stack.callback(subprocess.run, ["losetup", "-d", loop], check=True)
            pathlib.Path(f"/sys/block/{pathlib.Path(loop).name}/queue/read_ahead_kb").write_text(str(read_ahead_kib))
            run("mount", loop, mounted)
            stack.callback(subprocess.run, ["umount", mounted], check=True)
        except OSError as error:
            raise NotPermitted(f"a file system on a loop device: {error}") from error
        yield mounted


def queue_setting(path, name, default):
    """Of the device a file lies on: /sys/dev/block/.../queue/NAME."""
    device = os.stat(path).st_dev
    sysfs = pathlib.Path(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}").resolve()
    for place in (sysfs, sysfs.parent):
        if name == "read_ahead_kb" and (place / "bdi" / name).exists():
            return (place / "bdi" / name).read_text().strip()
        if (place / "queue" / name).exists():
            return (place / "queue" / name).read_text().strip()
    return default


def rotating(path):
    return queue_setting(path, "rotational", "0") == "1"


def device_costs(directory):
    """What reads and writes of the device below a directory take, as limits_predict is told: one page, and what each further one adds
    (medians of requests of 1 and of 32 pages past the page cache)."""
    pages, size = 32, 64 << 20
    handle, path = tempfile.mkstemp(prefix="faultline-device-", dir=directory)
    os.close(handle)
    try:
        file = os.open(path, os.O_RDWR | os.O_DIRECT)
        try:
            buffer = mmap.mmap(-1, 1 << 20)
            buffer.write(os.urandom(1 << 20))
            for offset in range(0, size, 1 << 20):
                os.pwrite(file, buffer, offset)

            def median_ns(call, count):
                part = memoryview(buffer)[:count * 4096]
                taken = []
                for _ in range(300):
                    offset = random.randrange(size // (pages * 4096)) * pages * 4096
                    begin = time.perf_counter_ns()
                    call(file, [part], offset)
                    taken.append(time.perf_counter_ns() - begin)
                return statistics.median(taken)

            read, reads = median_ns(os.preadv, 1), median_ns(os.preadv, pages)
            write, writes = median_ns(os.pwritev, 1), median_ns(os.pwritev, pages)
        finally:
            os.close(file)
    finally:
        os.unlink(path)
    page = max((reads - read + writes - write) / 2 / (pages - 1), 100)
    return {"FAULTLINE_READ_LATENCY_NS": f"{read:.0f}", "FAULTLINE_WRITE_LATENCY_NS": f"{write:.0f}", "FAULTLINE_PAGE_NS": f"{page:.0f}"}


def describe_machine(group, swap_rotates, directory):
    """The environment that tells limits_predict what this machine is."""
    return environment(group.version, swap_rotates, queue_setting(directory, "read_ahead_kb", "128"))


def environment(cgroup_version, swap_rotates, read_ahead_kib):
    return dict(os.environ, FAULTLINE_SWAP_ROTATING=str(int(swap_rotates)), FAULTLINE_CGROUP_V1=str(int(cgroup_version == 1)),
                FAULTLINE_READ_AHEAD_KIB=read_ahead_kib)


class Group:
    """One run of a command under a limit."""

    def __init__(self, name="faultline-limits"):
        self.version = version()
        parent = pathlib.Path("/sys/fs/cgroup/memory" if self.version == 1 else "/sys/fs/cgroup")
        if self.version == 2:
            (parent / "cgroup.subtree_control").write_text("+memory")
        self.path = parent / f"{name}-{os.getpid()}"
        self.runs = 0

    def __enter__(self):
        try:
            self.path.mkdir()
        except OSError as error:
            raise NotPermitted(f"{self.path}: {error.strerror}") from error
        return self

    def __exit__(self, *_):
        self._remove(self.path)

    @staticmethod
    def _remove(path):
        for _ in range(50):
            try:
                path.rmdir()
                return
            except OSError:
                time.sleep(0.1)

    def run(self, limit_bytes, command, enters=True, **more):
        """In a group of its own: statistics of an earlier run, which the kernel decides by, would be this one's for two seconds.
        Without `enters` the command is told the group's cgroup.procs, as {procs}, and moves what it wants there."""
        self.runs += 1
        own = self.path / f"run-{self.runs}"
        if self.version == 2:
            (self.path / "cgroup.subtree_control").write_text("+memory")
        own.mkdir()
        try:
            (own / ("memory.limit_in_bytes" if self.version == 1 else "memory.max")).write_text(str(limit_bytes) if limit_bytes else ("-1" if self.version == 1 else "max"))
            enter = lambda: (own / "cgroup.procs").write_text(str(os.getpid()))  # noqa: E731
            command = [str(own / "cgroup.procs") if word == "{procs}" else word for word in command]
            return subprocess.run(command, preexec_fn=enter if enters else None, **more)
        finally:
            empty = own / ("memory.force_empty" if self.version == 1 else "memory.reclaim")
            with contextlib.suppress(OSError):
                empty.write_text("0" if self.version == 1 else "1G")
            self._remove(own)
