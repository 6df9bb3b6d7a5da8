"""The joint settings every program is asked about: good ones, bad ones, and the tiny numbers nobody should set."""

M = 1 << 20

SETTINGS = {
    "default": {},
    "both thresholds 1 GiB": {"mmap_threshold": 1 << 30, "trim_threshold": 1 << 30},
    "lone mmap_threshold 64 KiB": {"mmap_threshold": 65536},
    "lone trim_threshold 1 MiB": {"trim_threshold": M},
    "tiny thresholds": {"mmap_threshold": 4096, "trim_threshold": 4096, "top_pad": 4096},
    "no trimming slack": {"trim_threshold": 0, "top_pad": 0},
    "mmap_max 0 alone": {"mmap_max": 0},
    "mmap_max 0, no trim": {"mmap_max": 0, "trim_threshold": 1 << 30, "top_pad": M},
    "top_pad 16 MiB": {"top_pad": 16 * M},
    "no tcache": {"tcache_count": 0},
    "small tcache, no fastbins": {"tcache_count": 2, "tcache_max": 64, "mxfast": 0},
    "large tcache, large fastbins": {"tcache_count": 100, "mxfast": 160, "mmap_threshold": 256 * 1024, "trim_threshold": 512 * 1024},
    "server-like": {"mmap_threshold": 4 * M, "trim_threshold": 8 * M, "top_pad": M, "arena_max": 1, "tcache_count": 32},
    "few mmaps": {"mmap_max": 4, "mmap_threshold": 32768, "trim_threshold": 65536},
    "hugetlb 1": {"hugetlb": 1},
    "hugetlb 1, thresholds, pad": {"hugetlb": 1, "mmap_threshold": 1 << 30, "trim_threshold": 64 * M, "top_pad": 4 * M},
}


LENGTH = 240


def tunables(setting):
    """GLIBC_TUNABLES, of one length for all settings and the recording: many programs copy their environment into their heap, and
    would otherwise be another program under each setting. glibc ignores what it does not know."""
    value = ":".join([f"glibc.malloc.{name}={value}" for name, value in setting.items()] + ["glibc.pad.x="])
    assert len(value) < LENGTH
    return value.ljust(LENGTH, "0")


def text(setting):
    return " ".join(f"{name}={value}" for name, value in setting.items()) or "(none)"
