#!/usr/bin/env python3
"""The source's own rules, as a test: include arrows, file sizes, a README per folder, registrations, no stray paths."""
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src"
MAX_LINES = 450  # a file that needs more holds a second noun


def table():
    arrows = {}
    for line in (ROOT / "tests/tidy/arrows.txt").read_text().splitlines():
        line = line.split("#")[0].strip()
        if line:
            folder, allowed = line.split(":")
            arrows[folder.strip()] = allowed.split()
    return arrows


def rule_for(folder, arrows):
    """The most specific line that covers src/FOLDER."""
    while folder and folder not in arrows:
        folder = folder.rpartition("/")[0]
    return folder


def allowed(include, folder, arrows):
    rule = rule_for(folder, arrows)
    target = include.rpartition("/")[0]
    if rule_for(target, arrows) == rule:  # a layer sees itself
        return True
    return include in arrows[rule] or rule_for(target, arrows) in arrows[rule]


def sources():
    return sorted(p for p in SOURCE.rglob("*") if p.suffix in (".h", ".cc"))


def check_arrows():
    arrows = table()
    for path in sources():
        folder = str(path.parent.relative_to(SOURCE))
        if not rule_for(folder, arrows):
            yield f"{path.relative_to(ROOT)}: no line in arrows.txt covers src/{folder}"
            continue
        for number, line in enumerate(path.read_text().splitlines(), 1):
            found = re.match(r'\s*#\s*include\s+"([^"]+)"', line)
            if not found:
                continue
            include = found.group(1)
            if not (SOURCE / include).exists():
                yield f"{path.relative_to(ROOT)}:{number}: includes \"{include}\", which is not a path below src/"
            elif not allowed(include, folder, arrows):
                yield f"{path.relative_to(ROOT)}:{number}: src/{folder} may not include {include}"


def check_no_linux_in_twin():
    linux = re.compile(r"#\s*include\s+<(sys/|linux/|unistd\.h|asm/)")
    for path in sources():
        folder = str(path.parent.relative_to(SOURCE))
        if folder.split("/")[0] == "mm" or folder == "heap":
            if linux.search(path.read_text()):
                yield f"{path.relative_to(ROOT)}: the twin includes no Linux header"


def check_sizes():
    for path in sources():
        lines = len(path.read_text().splitlines())
        if lines > MAX_LINES:
            yield f"{path.relative_to(ROOT)}: {lines} lines, at most {MAX_LINES}: split it by noun"


def check_readmes():
    for folder in sorted({p.parent for p in sources()}):
        depth = len(folder.relative_to(SOURCE).parts)
        if depth == 1 and not (folder / "README.md").exists():
            yield f"{folder.relative_to(ROOT)}: no README.md"


def check_registrations():
    """Every plug-in file registers exactly once: a file without a registration is dead, two nouns in one are a mistake."""
    for folder, macro in (("cli/commands", "FL_REGISTER_COMMAND"), ("analyze/findings", "FL_REGISTER_FINDING"), ("trace/importers", "FL_REGISTER_IMPORTER"), ("report/exporters", "FL_REGISTER_EXPORTER")):
        for path in sorted((SOURCE / folder).glob("*.cc")):
            count = len(re.findall(rf"^{macro}\(", path.read_text(), re.M))
            if count != 1:
                yield f"{path.relative_to(ROOT)}: {count} {macro}, wanted 1"


def check_paths():
    banned = re.compile(r"/work/|/root/|/tmp/fl\b|TODO|FIXME|XXX")
    listed = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True)
    for name in listed.stdout.split():
        path = ROOT / name
        if path == pathlib.Path(__file__).resolve() or not path.is_file() or path.suffix in (".png", ".fl", ".bin", ".json"):
            continue
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
            if banned.search(line):
                yield f"{name}:{number}: {line.strip()[:80]}"


def main():
    problems = []
    checks = [check_arrows, check_no_linux_in_twin, check_sizes, check_readmes, check_registrations, check_paths]
    for check in checks:
        problems += list(check())
    for problem in problems:
        print(problem)
    print(f"{len(sources())} source files, {len(checks)} rules, {len(problems)} problems")
    sys.exit(1 if problems else 0)


main()
