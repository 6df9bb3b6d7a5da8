"""Real single-threaded Debian programs for the what-if bench, each run the same from a seed.

TUNING: the touch model was made looking at these. CHECKING: nobody looked at these while it was made; what the bench says
of them is what it says of a program that is new to it. Nothing is in both. (git and tclsh were checking programs until the
comparison of contents was made by looking at them, cmake until a rule of it was; bc, git-log, ctags, objdump and patch until what the rest
of a process holds, its files, was looked at with them. Others came in their place.)
"""
import pathlib
import random
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/e2e/workloads"))
import workloads  # noqa: E402

TEXT = r"""
import random, re, sys
rng = random.Random(int(sys.argv[1]))
words = ["".join(rng.choice("abcdefghij") for _ in range(rng.randrange(2, 9))) for _ in range(4000)]
class Node:
    def __init__(self, key): self.key, self.left, self.right, self.seen = key, None, None, []
root = Node("m")
for i in range(int(sys.argv[2])):
    word = rng.choice(words); node = root
    while node.key != word:
        side = "left" if word < node.key else "right"
        if getattr(node, side) is None: setattr(node, side, Node(word))
        node = getattr(node, side)
    node.seen.append(i)
text = " ".join(rng.choice(words) for _ in range(int(sys.argv[2])))
pairs = {}
for a, b in zip(text.split(), re.findall(r"\w+", text[7:])): pairs.setdefault((a, b[:2]), bytearray()).extend(b.encode())
print(len(pairs), sum(len(p) for p in pairs.values()), len(text.upper().encode("utf-16")))
"""

TCL = r"""
lassign $argv seed n
proc next {} { global seed; set seed [expr {($seed * 48271) % 2147483647}] }
set rows {}
for {set i 0} {$i < $n} {incr i} {
  set k key[expr {[next] % 7000}]
  dict lappend table $k [string repeat y [expr {[next] % 70}]]
  if {$i % 4 == 0} { lappend rows "$k,$i,[next]" }
}
set text [join [lsort $rows] "\n"]
puts "[dict size $table] [string length $text] [regexp -all {key(\d)\1} $text]"
"""


def xml_file(path, seed, items):
    rng = random.Random(seed)
    with open(path, "w") as out:
        out.write("<shop>\n")
        for i in range(items):
            out.write(f'  <item id="{i}" kind="k{rng.randrange(40)}"><name>n{rng.randrange(10**6)}</name>'
                      f"<text>{'word ' * rng.randrange(30)}</text><price unit='e'>{rng.random():.3f}</price></item>\n")
        out.write("</shop>\n")


def json_file(path, seed, items):
    rng = random.Random(seed)
    with open(path, "w") as out:
        for i in range(items):
            tags = ",".join(f'"t{rng.randrange(500)}"' for _ in range(rng.randrange(9)))
            out.write(f'{{"id":{i},"user":"u{rng.randrange(3000)}","amount":{rng.random() * 1000:.2f},"tags":[{tags}],"note":"{"n" * rng.randrange(120)}"}}\n')


def assembler_file(path, seed, functions, part=0):
    rng = random.Random(seed + part)
    code, data = f"code{part}_", f"data{part}_"
    with open(path, "w") as out:
        out.write(".text\n")
        for i in range(functions):
            out.write(f".globl {code}{i}\n.type {code}{i}, @function\n{code}{i}:\n")
            for k in range(rng.randrange(5, 40)):
                out.write(f"  movl ${rng.randrange(10**6)}, %eax\n  movq {data}{rng.randrange(functions)}@GOTPCREL(%rip), %rdx\n")
                if k % 7 == 0:
                    out.write(f"  jne .L{i}_{k}\n.L{i}_{k}:\n")
            out.write(f"  ret\n.size {code}{i}, .-{code}{i}\n.data\n.globl {data}{i}\n{data}{i}: .quad {code}{i}\n.text\n")


def repository(directory, seed, files):
    """A bare-bones git repository with one commit of many files, the same objects each time."""
    rng = random.Random(seed)
    source = directory / "source"
    source.mkdir()
    for i in range(files):
        place = source / f"d{i % 20}"
        place.mkdir(exist_ok=True)
        (place / f"f{i}.txt").write_text("".join(f"line {rng.randrange(2000)} of {i % 50}\n" for _ in range(rng.randrange(20, 200))))
    env = {"GIT_AUTHOR_DATE": "2020-01-01T00:00:00Z", "GIT_COMMITTER_DATE": "2020-01-01T00:00:00Z", "HOME": str(directory), "PATH": "/usr/bin:/bin",
           "GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b", "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@b"}
    for arguments in (["init", "-q", "."], ["add", "."], ["commit", "-q", "-m", "all"]):
        subprocess.run(["git", "-c", "gc.auto=0", *arguments], cwd=source, env=env, check=True, stdout=subprocess.DEVNULL)
    objects = subprocess.run(["git", "rev-list", "--objects", "--all"], cwd=source, env=env, check=True, capture_output=True).stdout
    (directory / "objects").write_bytes(objects)
    return source


class Program:
    """A command and what its environment needs beyond the bench's own. Standard input is a file or nothing."""

    def __init__(self, needs, command, env=None, stdin=None):
        self.needs, self.command, self.env, self.stdin = needs, [str(word) for word in command], env or {}, stdin


def from_workload(name, directory, seed, scale):
    made = workloads.prepare(name, directory, seed, scale)
    return Program(made.command[0], made.command, made.env)


def sqlite3(directory, seed, scale):
    script = directory / "script.sql"
    workloads.sqlite_script(script, seed, int(30_000 * scale))
    return Program("/usr/bin/sqlite3", ["/usr/bin/sqlite3", ":memory:", f".read {script}"])


def python_json(directory, seed, scale):
    made = from_workload("python-json", directory, seed, 0.25 * scale)
    made.env["PYTHONHASHSEED"] = "0"
    program = directory / "documents.py"
    program.write_text(program.read_text().replace("range(12)", "range(3)"))
    return made


def cc1plus(directory, seed, scale):
    return from_workload("cc1plus", directory, seed, 0.1 * scale)


def gawk(directory, seed, scale):
    return from_workload("gawk", directory, seed, 0.2 * scale)


def sort(directory, seed, scale):
    return from_workload("sort", directory, seed, 0.3 * scale)


def perl(directory, seed, scale):
    return from_workload("perl", directory, seed, scale)


def xz(directory, seed, scale):
    text = directory / "lines.txt"
    workloads.text_file(text, seed, int(12_000 * scale))
    return Program("/usr/bin/xz", ["/usr/bin/xz", "-T1", "-6", "-k", "-f", "-c", text])


def xmllint(directory, seed, scale):
    document = directory / "shop.xml"
    xml_file(document, seed, int(8_000 * scale))
    return Program("/usr/bin/xmllint", ["/usr/bin/xmllint", "--format", "--xpath", "count(//item[@kind='k7'])", document])


def jq(directory, seed, scale):
    document = directory / "items.json"
    json_file(document, seed, int(6_000 * scale))
    return Program("/usr/bin/jq", ["/usr/bin/jq", "-s", "group_by(.user) | map({u: .[0].user, n: length, s: (map(.amount) | add), t: (map(.tags) | add)})", document])


def git(directory, seed, scale):
    source = repository(directory, seed, int(900 * scale))
    return Program("/usr/bin/git", ["/usr/bin/git", "-C", source, "pack-objects", "--threads=1", "--stdout", "-q", "--no-reuse-object"], {"HOME": str(directory)},
                   stdin=directory / "objects")


def zstd(directory, seed, scale):
    text = directory / "lines.txt"
    workloads.text_file(text, seed, int(60_000 * scale))
    return Program("/usr/bin/zstd", ["/usr/bin/zstd", "--single-thread", "-9", "-q", "-c", text])


def tclsh(directory, seed, scale):
    (directory / "work.tcl").write_text(TCL)
    return Program("/usr/bin/tclsh", ["/usr/bin/tclsh", directory / "work.tcl", seed, int(60_000 * scale)])


def assembler(directory, seed, scale):
    source = directory / "many.s"
    assembler_file(source, seed, int(2_500 * scale))
    return Program("/usr/bin/as", ["/usr/bin/as", source, "-o", directory / "many.o"])


def linker(directory, seed, scale):
    for part in range(4):
        assembler_file(directory / "part.s", seed, int(1_500 * scale), part)
        subprocess.run(["as", str(directory / "part.s"), "-o", str(directory / f"part{part}.o")], check=True)
    return Program("/usr/bin/ld", ["/usr/bin/ld", "-shared", *[directory / f"part{p}.o" for p in range(4)], "-o", directory / "all.so"])


def python_text(directory, seed, scale):
    (directory / "text.py").write_text(TEXT)
    return Program("/usr/bin/python3", ["/usr/bin/python3", directory / "text.py", seed, int(25_000 * scale)], {"PYTHONMALLOC": "malloc", "PYTHONHASHSEED": "0"})


def bc(directory, seed, scale):
    (directory / "work.bc").write_text(f"scale=600\ns={seed}\nfor (i = 1; i < {int(700 * scale)}; i++) {{ a[i % 97] = sqrt(i * s) ^ 7 / 3; s = s + a[i % 97] }}\ns\nquit\n")
    return Program("/usr/bin/bc", ["/usr/bin/bc", "-q", directory / "work.bc"])


def git_log(directory, seed, scale):
    source = repository(directory, seed, int(300 * scale))
    return Program("/usr/bin/git", ["/usr/bin/git", "--no-pager", "-C", source, "log", "--stat", "-p"], {"HOME": str(directory)})


def c_sources(directory, seed, functions):
    rng = random.Random(seed)
    place = directory / "code"
    place.mkdir()
    for i in range(40):
        with open(place / f"f{i}.c", "w") as out:
            for k in range(functions):
                names = [f"v{rng.randrange(9999)}" for _ in range(rng.randrange(1, 6))]
                out.write(f"struct s{i}_{k} {{ int {', '.join(dict.fromkeys(names))}; }};\nstatic int fn{i}_{k}(struct s{i}_{k} *p, int n) {{\n"
                          + "".join(f"  n += p->{name};\n" for name in names) + "  return n;\n}\n")
    return place


def ctags(directory, seed, scale):
    return Program("/usr/bin/ctags-universal", ["/usr/bin/ctags-universal", "--options=NONE", "-R", "--sort=no", "-f", "-", c_sources(directory, seed, int(150 * scale))])


def objdump(directory, seed, scale):
    assembler_file(directory / "part.s", seed, int(800 * scale))
    subprocess.run(["as", str(directory / "part.s"), "-o", str(directory / "part.o")], check=True)
    return Program("/usr/bin/objdump", ["/usr/bin/objdump", "-d", "-r", "-t", directory / "part.o"])


def msgfmt(directory, seed, scale):
    rng = random.Random(seed)
    with open(directory / "messages.po", "w") as out:
        out.write('msgid ""\nmsgstr "Content-Type: text/plain; charset=UTF-8\\n"\n\n')
        for i in range(int(12_000 * scale)):
            words = " ".join(f"w{rng.randrange(3000)}" for _ in range(rng.randrange(1, 25)))
            out.write(f'#: file{rng.randrange(300)}.c:{i}\nmsgid "{i} {words}"\nmsgstr "{words} {i}"\n\n')
    return Program("/usr/bin/msgfmt", ["/usr/bin/msgfmt", "-c", directory / "messages.po", "-o", directory / "messages.mo"])


def cmake(directory, seed, scale):
    (directory / "work.cmake").write_text(f"""
set(s {seed})
foreach(i RANGE {int(12_000 * scale)})
  math(EXPR s "(${{s}} * 48271) % 2147483647")
  math(EXPR k "${{s}} % 700")
  list(APPEND rows "key${{k}},${{i}},${{s}}")
  string(APPEND text_${{k}} "line ${{i}} of ${{s}} ")
  if(i MATCHES "500$")
    list(SORT rows)
    list(JOIN rows "|" joined)
    string(REGEX REPLACE "key([0-9])[0-9]*," "\\1:" joined "${{joined}}")
    set(rows)
  endif()
endforeach()
string(LENGTH "${{joined}}" n)
message("${{n}}")
""")
    return Program("/usr/bin/cmake", ["/usr/bin/cmake", "-P", directory / "work.cmake"])


MAWK = r"""
BEGIN {
  for (i = 0; i < n; i++) {
    s = (s * 16807) % 2147483647
    k = "key" (s % 5000)
    count[k]++
    text[k] = text[k] " " i
    if (i % 5 == 0) rows[i % 900] = rows[i % 900] "," s
    if (i % 2000 == 0) { m = split(text[k], parts, " "); delete text[k]; total += m }
  }
  for (k in text) total += length(text[k])
  print total
}
"""


def mawk(directory, seed, scale):
    (directory / "work.awk").write_text(MAWK)
    return Program("/usr/bin/mawk", ["/usr/bin/mawk", "-v", f"s={seed}", "-v", f"n={int(150_000 * scale)}", "-f", directory / "work.awk"])


def patch(directory, seed, scale):
    rng = random.Random(seed)
    lines = [f"line {rng.randrange(5000)} of {rng.randrange(90)}\n" for _ in range(int(60_000 * scale))]
    (directory / "old").write_text("".join(lines))
    for i in range(0, len(lines), 37):
        lines[i] = f"another {i}\n"
    (directory / "new").write_text("".join(lines))
    with open(directory / "changes", "w") as out:
        subprocess.run(["diff", "-u", str(directory / "old"), str(directory / "new")], stdout=out)
    return Program("/usr/bin/patch", ["/usr/bin/patch", "-s", "-o", directory / "out", directory / "old", directory / "changes"])


BASH = r"""
declare -A count text
s=$1
for ((i = 0; i < $2; i++)); do
  s=$(((s * 16807) % 2147483647)); k=key$((s % 900))
  count[$k]=$((${count[$k]:-0} + 1)); text[$k]+="$i,"
  line+="$k "
  if ((i % 2500 == 0)); then rows+=("${line^^}"); words=($line); line=; total=$((total + ${#words[@]})); fi
done
for k in "${!text[@]}"; do parts=(${text[$k]//,/ }); total=$((total + ${#parts[@]})); done
echo "${#rows[@]} $total"
"""


def bash(directory, seed, scale):
    (directory / "work.sh").write_text(BASH)
    return Program("/usr/bin/bash", ["/usr/bin/bash", "--norc", directory / "work.sh", seed, int(40_000 * scale)])


def make(directory, seed, scale):
    rng = random.Random(seed)
    n = int(6_000 * scale)
    with open(directory / "Makefile", "w") as out:
        out.write(f"numbers = {' '.join(map(str, range(300)))}\n" + "objects := $(foreach i,$(numbers),part$(i).o)\nflags = -O$(level) $(addprefix -I,$(sort $(objects:.o=)))\nall: t0\n%.o: ; @echo $@\n")
        for i in range(n):
            needs = " ".join(f"t{rng.randrange(i + 1, n)}" for _ in range(rng.randrange(4)) if i + 1 < n)
            out.write(f"v{i} := $(subst a,b,$(v{rng.randrange(i + 1)})) {'word ' * rng.randrange(6)}\nt{i}: {needs}\n\t@echo {i} $(words $(v{i})) {'$(flags)' if i % 97 == 0 else ''}\n")
    return Program("/usr/bin/make", ["/usr/bin/make", "-n", "-r", "-f", directory / "Makefile"])


def sed(directory, seed, scale):
    text = directory / "lines.txt"
    workloads.text_file(text, seed, int(9_000 * scale))
    return Program("/usr/bin/sed", ["/usr/bin/sed", "-n", "-E", "s/([a-z]+) ([a-z]+)/<\\2>\\1/g;H;${x;s/\\n/|/g;p}", text])


def readelf(directory, seed, scale):
    assembler_file(directory / "part.s", seed, int(4_000 * scale))
    subprocess.run(["as", "-g", str(directory / "part.s"), "-o", str(directory / "part.o")], check=True)
    return Program("/usr/bin/readelf", ["/usr/bin/readelf", "-W", "-a", "--debug-dump=decodedline", directory / "part.o"])


def gold(directory, seed, scale):
    linked = linker(directory, seed, scale)
    return Program("/usr/bin/ld.gold", ["/usr/bin/ld.gold", *linked.command[1:]])


def ptx(directory, seed, scale):
    text = directory / "lines.txt"
    workloads.text_file(text, seed, int(2_000 * scale))
    return Program("/usr/bin/ptx", ["/usr/bin/ptx", text])


TUNING = {"sqlite3": sqlite3, "python-json": python_json, "cc1plus": cc1plus, "gawk": gawk, "sort": sort, "perl": perl, "xz": xz, "xmllint": xmllint, "git": git, "tclsh": tclsh, "cmake": cmake,
          "bc": bc, "git-log": git_log, "ctags": ctags, "objdump": objdump, "patch": patch}
CHECKING = {"jq": jq, "zstd": zstd, "as": assembler, "ld": linker, "python-text": python_text, "msgfmt": msgfmt, "mawk": mawk, "bash": bash, "make": make, "sed": sed, "readelf": readelf,
            "gold": gold, "ptx": ptx}
