#!/usr/bin/env python3
"""cmake --install into an empty folder: what is there runs, every command has its manual page, completion knows commands and options.

    install_test.py BUILD_DIRECTORY
"""
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

BUILD = os.path.abspath(sys.argv[1])


def run(*words, **options):
    return subprocess.run([*map(str, words)], capture_output=True, text=True, timeout=120, **options)


class Install(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="faultline-install-")
        cls.root = pathlib.Path(cls.folder.name)
        done = run("cmake", "--install", BUILD, "--prefix", cls.root)
        assert done.returncode == 0, done.stderr
        cls.faultline = cls.root / "bin/faultline"
        help_text = run(cls.faultline, "--help").stdout
        cls.commands = [line.split()[0] for line in help_text[help_text.index("Subcommands:"):].splitlines()[1:] if line.strip()]

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def test_records_with_its_own_library(self):
        out = self.root / "true.fl"
        environment = {key: value for key, value in os.environ.items() if key != "FAULTLINE_SHIM"}
        done = run(self.faultline, "record", "-o", out, "--", "ls", "/", env=environment)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(run(self.faultline, "info", out).returncode, 0)
        self.assertTrue((self.root / "lib/faultline/libfaultline-shim.so").exists())

    def test_manual_pages(self):
        pages = {path.name for path in (self.root / "share/man/man1").iterdir()}
        self.assertEqual(pages, {"faultline.1"} | {f"faultline-{command}.1" for command in self.commands})
        self.assertIn("record", self.commands)
        text = (self.root / "share/man/man1/faultline-check.1").read_text()
        self.assertIn("\\-\\-max\\-peak\\-rss", text)
        if shutil.which("groff"):
            for page in pages:
                done = run("groff", "-man", "-Tutf8", "-ww", self.root / "share/man/man1" / page)
                self.assertEqual((done.returncode, done.stderr), (0, ""), page)

    def complete(self, *words):
        script = self.root / "share/bash-completion/completions/faultline"
        done = run("bash", "--norc", "-c", f'source "{script}"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _faultline; printf "%s\\n" "${{COMPREPLY[@]}}"', "bash", *words)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return done.stdout.split()

    def test_completion(self):
        self.assertEqual(set(self.complete("faultline", "")) - {"--help", "-h", "--version"}, set(self.commands))
        self.assertEqual(set(self.complete("faultline", "re")), {"record", "report"})
        self.assertEqual(self.complete("faultline", "check", "x.fl", "--max-peak-r"), ["--max-peak-rss"])
        self.assertEqual(self.complete("faultline", "report", str(self.root / "bi")), [str(self.root / "bin")])
        self.assertIn("setsid", self.complete("faultline", "record", "-o", "x.fl", "--", "setsi"))


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
