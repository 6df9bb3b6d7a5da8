"""RecordCase: a test that runs `faultline record` on a command and looks at the recording. The test's first argument is FAULTLINE."""
import json
import os
import subprocess
import sys
import tempfile
import unittest

FAULTLINE = os.path.abspath(sys.argv[1])
NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]


def run(words, **options):
    return subprocess.run(words, capture_output=True, **{"timeout": 120, **options})


class RecordCase(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="faultline-record-")
        os.chmod(self.folder.name, 0o777)  # recorders without privileges write there, too
        self.file = os.path.join(self.folder.name, "r.fl")

    def tearDown(self):
        self.folder.cleanup()

    def record(self, words, *options, prefix=(), **more):
        return run([*prefix, FAULTLINE, "record", "-o", self.file, *options, "--", *words], **more)

    def info(self, path=None):
        done = run([FAULTLINE, "info", "--json", path or self.file])
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)

    def need_ptrace(self, done):
        if b"ptrace is not permitted" in done.stderr:
            self.skipTest(done.stderr.decode().strip())
