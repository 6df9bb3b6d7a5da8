"""Real Debian programs doing real work, as commands to record. Each workload prepares its input in a directory first.

    for name in workloads.NAMES: command, env = workloads.prepare(name, directory)
Inputs are generated from a seed: same seed, same bytes.
"""
import os
import pathlib
import random
import shutil
import socket
import subprocess
import sys
import time

PYTHON = "/usr/bin/python3"


def sqlite_script(path, seed, statements):
    rng = random.Random(seed)
    with open(path, "w") as out:
        out.write("create table item(id integer primary key, name text, price real, note text);\n")
        out.write("create index item_name on item(name);\nbegin;\n")
        for i in range(statements):
            kind = rng.random()
            if kind < 0.6:
                note = "x" * rng.choice([5, 20, 80, 300, 2000 if rng.random() < 0.02 else 40])
                out.write(f"insert into item values({i},'n{rng.randrange(10**6)}',{rng.random() * 100:.2f},'{note}');\n")
            elif kind < 0.8:
                out.write(f"update item set price=price+1 where id={rng.randrange(i + 1)};\n")
            elif kind < 0.95:
                out.write(f"select count(*), max(price) from item where name between 'n{rng.randrange(900000)}' and 'n9';\n"
                          if rng.random() < 0.0005 else f"select note from item where id={rng.randrange(i + 1)};\n")
            else:
                out.write(f"delete from item where id={rng.randrange(i + 1)};\n")
        out.write("commit;\nselect count(*), sum(length(note)) from item;\n")


JSON_PROGRAM = """
import json, random, sys
rng = random.Random(int(sys.argv[1]))
def value(depth):
    k = rng.random()
    if depth == 0 or k < 0.4: return rng.choice([rng.random(), rng.randrange(10**9), "s" * rng.randrange(60), None, True])
    if k < 0.7: return [value(depth - 1) for _ in range(rng.randrange(8))]
    return {"key%d" % rng.randrange(50): value(depth - 1) for _ in range(rng.randrange(8))}
documents = [[value(5) for _ in range(rng.choice([20, 200, 1500]))] for _ in range(12)]
total = 0
for _ in range(int(sys.argv[2])):
    for document in documents:
        text = json.dumps(document)
        total += len(text) + len(json.loads(text))
print(total)
"""


def cpp_source(path, seed, functions):
    rng = random.Random(seed)
    with open(path, "w") as out:
        for header in ("algorithm", "functional", "iostream", "map", "memory", "regex", "set", "sstream", "string", "unordered_map", "vector"):
            out.write(f"#include <{header}>\n")
        for i in range(functions):
            a, b = rng.randrange(1, 99), rng.randrange(1, 99)
            out.write(f"struct Node{i} {{ std::string name; std::map<int, std::vector<double>> table; int weight = {a}; }};\n"
                      f"template <int N> int visit{i}(std::vector<Node{i}>& nodes) {{\n"
                      f"  std::sort(nodes.begin(), nodes.end(), [](const auto& x, const auto& y) {{ return x.weight < y.weight; }});\n"
                      f"  std::unordered_map<std::string, int> seen; int sum = N;\n"
                      f"  for (auto& node : nodes) {{ for (auto& [k, v] : node.table) {{ sum += k * {b} + int(v.size()); }} seen[node.name] += sum; }}\n"
                      f"  return sum;\n}}\n"
                      f"int call{i}(std::vector<Node{i}>& n) {{ return visit{i}<{a}>(n) + visit{i}<{b}>(n); }}\n")


def text_file(path, seed, lines):
    rng = random.Random(seed)
    with open(path, "w") as out:
        for _ in range(lines):
            out.write(f"{rng.randrange(10**9)} user{rng.randrange(40000)} {rng.choice(['GET', 'PUT', 'DEL'])} /path/{rng.randrange(10**6)} {rng.random():.6f}\n")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


JAVASCRIPT = """
const found = new Map();
let seed = Number(process.argv[2]);
for (let i = 0; i < Number(process.argv[3]); i++) {
  seed = (seed * 48271) % 2147483647;
  found.set('key' + seed % 50000, { number: i, list: [i, i + 1, String(i).repeat(seed % 20)], text: Buffer.alloc(seed % 3000) });
}
console.log(found.size, JSON.stringify([...found.keys()]).length);
"""

JAVA = """
import java.util.*;
public class Work {
  public static void main(String[] words) throws Exception {
    Random random = new Random(Long.parseLong(words[0]));
    Map<String, List<byte[]>> map = new TreeMap<>();
    Thread[] threads = new Thread[3];
    for (int t = 0; t < threads.length; t++) {
      final long seed = random.nextLong();
      threads[t] = new Thread(() -> {
        Random own = new Random(seed);
        for (int i = 0; i < 20000; i++) {
          synchronized (map) { map.computeIfAbsent("k" + own.nextInt(3000), k -> new ArrayList<>()).add(new byte[own.nextInt(200)]); }
        }
      });
      threads[t].start();
    }
    for (Thread thread : threads) thread.join();
    long bytes = 0;
    for (List<byte[]> list : map.values()) for (byte[] block : list) bytes += block.length;
    System.out.println(map.size() + " " + bytes);
  }
}
"""

# A shell with pipes, subshells, substitutions and background jobs: every stage a fork, most with an execve.
PERL = r"""
my ($seed, $n) = @ARGV; my (%count, %lists, @rows);
my $next = sub { $seed = ($seed * 48271) % 2147483647 };
for my $i (1 .. $n) {
  my $k = "key" . ($next->() % 9000);
  $count{$k}++; push @{$lists{$k}}, "x" x ($next->() % 60);
  push @rows, join(",", $k, $i, $next->()) if $i % 3 == 0;
}
my $text = join("\n", sort @rows); my $found = () = $text =~ /key(\d)\1,/g;
delete $lists{$_} for grep { /7$/ } keys %lists;
print scalar(keys %count), " ", length($text), " $found\n";
"""

PIPELINE = r"""
set -e
cd "$1"
for i in 1 2 3; do
  (seq $((i * 4000)) | awk '{ print $1 % 977, $1 }' | sort -k1,1n | uniq -c -w 4 | tail -n 5) > part.$i &
done
wait
total=$(cat part.* | wc -l)
echo "lines: $total $(grep -c . part.1) $(head -n 1 part.2 | sed 's/ */_/g' | tr a-z A-Z)"
"""


NAMES = ["sqlite3", "python-json", "cc1plus", "redis", "sort", "gawk", "perl", "stress-ng"]
THREADED = ["redis-io", "xz"]  # recorded with --turns: threads allocate at once
FOLLOWED = ["true", "g++", "node", "java-version", "java", "pipeline"]  # of these the kernel side is checked, not malloc


class Workload:
    """command is what to record; env is added to the environment; drive(), if any, runs beside it and ends it."""

    def __init__(self, command, env=None, stdin=None, drive=None, record_options=()):
        self.command, self.env, self.stdin, self.drive, self.record_options = command, env or {}, stdin, drive, list(record_options)


def prepare(name, directory, seed=1, scale=1.0):
    directory = pathlib.Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    if name == "sqlite3":
        script = directory / "script.sql"
        sqlite_script(script, seed, int(200_000 * scale))
        return Workload(["/usr/bin/sqlite3", str(directory / "items.db"), f".read {script}"])
    if name == "python-json":
        program = directory / "documents.py"
        program.write_text(JSON_PROGRAM)
        return Workload([PYTHON, str(program), str(seed), str(max(1, int(4 * scale)))], env={"PYTHONMALLOC": "malloc"})
    if name == "cc1plus":
        source = directory / "large.cc"
        cpp_source(source, seed, max(1, int(14 * scale)))
        compiler = subprocess.run(["g++", "-print-prog-name=cc1plus"], capture_output=True, text=True, check=True).stdout.strip()
        return Workload([compiler, "-quiet", "-imultiarch", "x86_64-linux-gnu", "-O1", "-D_GNU_SOURCE", str(source), "-o", str(directory / "large.s")])
    if name in ("redis", "redis-io"):
        port = free_port()
        command = ["/usr/bin/redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", str(directory)]
        requests = int(60_000 * scale)
        if name == "redis-io":  # one thread beside the main one: they spin, and more than there are processors stand still
            command += ["--io-threads", "2", "--io-threads-do-reads", "yes"]
            requests //= 6

        def drive():
            for _ in range(200):
                try:
                    socket.create_connection(("127.0.0.1", port), timeout=1).close()
                    break
                except OSError:
                    time.sleep(0.05)
            try:
                subprocess.run(["redis-benchmark", "-h", "127.0.0.1", "-p", str(port), "-n", str(requests), "-r", "20000", "-d", "200", "-c", "20",
                                "-t", "set,get,lpush,sadd,hset", "-q"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=120)
            finally:
                subprocess.run(["redis-cli", "-h", "127.0.0.1", "-p", str(port), "shutdown", "nosave"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=30)

        # Debian's redis links jemalloc; the malloc model is glibc's, so the shim forwards to glibc's malloc instead.
        return Workload(command, drive=drive, record_options=["--allocator", "glibc", *(["--turns"] if name == "redis-io" else [])])
    if name == "xz":
        text = directory / "lines.txt"
        text_file(text, seed, int(600_000 * scale))
        return Workload(["/usr/bin/xz", "-T2", "-1", "--block-size=1MiB", "-k", "-f", str(text)], record_options=["--turns"])
    if name == "sort":
        text = directory / "lines.txt"
        text_file(text, seed, int(400_000 * scale))
        return Workload(["/usr/bin/sort", "-k2,2", "-k1,1n", "--parallel=1", str(text), "-o", str(directory / "sorted.txt")], env={"LC_ALL": "C"})
    if name == "gawk":
        text = directory / "lines.txt"
        text_file(text, seed, int(400_000 * scale))
        return Workload(["/usr/bin/gawk", "{ count[$2]++; sum[$2] += $5; last[$2] = $0 } END { for (u in count) print u, count[u], sum[u], last[u] }", str(text)],
                        env={"LC_ALL": "C"})
    if name == "perl":
        program = directory / "work.pl"
        program.write_text(PERL)
        return Workload(["/usr/bin/perl", str(program), str(seed), str(int(60_000 * scale))], env={"PERL_HASH_SEED": "0"})
    if name == "stress-ng":
        return Workload(["/usr/bin/stress-ng", "-q", "--malloc", "1", "--malloc-ops", str(int(3_000 * scale)), "--malloc-bytes", "64M", "--seed", str(seed), "--temp-path", str(directory)])
    if name == "true":
        return Workload(["/bin/true"])
    if name == "g++":  # the driver, cc1plus, as, collect2 and ld
        source = directory / "small.cc"
        cpp_source(source, seed, max(1, int(3 * scale)))
        with open(source, "a") as out:
            out.write("int main() { return 0; }\n")
        return Workload(["/usr/bin/g++", "-O1", str(source), "-o", str(directory / "small")])
    if name == "node":
        program = directory / "work.js"
        program.write_text(JAVASCRIPT)
        return Workload([shutil.which("node"), str(program), str(seed), str(int(20_000 * scale))])
    if name == "java-version":
        return Workload([shutil.which("java"), "-version"])
    if name == "java":
        (directory / "Work.java").write_text(JAVA)
        subprocess.run(["javac", "-d", str(directory), str(directory / "Work.java")], check=True)
        return Workload([shutil.which("java"), "-cp", str(directory), "Work", str(seed)])
    if name == "pipeline":
        return Workload(["/bin/bash", "-c", PIPELINE, "bash", str(directory)])
    raise ValueError(f"wanted one of {NAMES + THREADED + FOLLOWED}, found {name!r}")


if __name__ == "__main__":  # python3 workloads.py NAME DIRECTORY [SEED [SCALE]]: prepares it and prints the command
    made = prepare(sys.argv[1], sys.argv[2], int(sys.argv[3]) if len(sys.argv) > 3 else 1, float(sys.argv[4]) if len(sys.argv) > 4 else 1.0)
    import shlex
    print(" ".join([f"{k}={shlex.quote(v)}" for k, v in made.env.items()] + [shlex.join(made.command)]))
