#!/usr/bin/env python3
"""What packaging/build-deb refuses, and with which words. Nothing is built here.

    tests/packaging/build_deb_test.py
"""
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[2]


class Refused(unittest.TestCase):
    def setUp(self):
        self.root = Path(tempfile.mkdtemp(prefix="segmilter-build-deb-"))
        self.addCleanup(shutil.rmtree, self.root)
        (self.root / "packaging").mkdir()
        shutil.copy2(SOURCE / "packaging/build-deb", self.root / "packaging")

    def git(self, *argv):
        subprocess.run(["git", "-C", self.root, "-c", "user.name=a", "-c", "user.email=a@example.org", *argv], check=True,
                       stdout=subprocess.DEVNULL)

    def commit(self, version, heading, rest=""):
        (self.root / "CMakeLists.txt").write_text(f"project(segmilter VERSION {version} LANGUAGES CXX)\n")
        (self.root / "CHANGELOG.md").write_text(f"# Changes\n\n## {heading}\n{rest}")
        self.git("init", "--quiet")
        self.git("add", ".")
        self.git("commit", "--quiet", "-m", "x")

    def said(self, code, *argv):
        done = subprocess.run([self.root / "packaging/build-deb", *argv], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.assertEqual(code, done.returncode, done.stdout)
        return done.stdout

    def test_wrong_usage(self):
        self.assertIn("no such option: --fast", self.said(64, "--fast"))
        self.assertIn("--output needs a folder", self.said(64, "--output"))
        self.assertIn("only one commit", self.said(64, "HEAD", "HEAD~"))

    def test_a_folder_that_is_no_checkout(self):
        self.assertIn("the package is built from a git checkout", self.said(69))

    def test_a_commit_that_is_not_there(self):
        self.commit("0.2.0", "0.2.0, unreleased")
        self.assertIn("has no commit v9", self.said(69, "v9"))

    def test_two_versions(self):
        self.commit("0.2.0", "0.1.0, unreleased")
        self.assertIn("write the same version into both", self.said(65))
        self.assertFalse((self.root / "debian").exists())

    def test_a_commit_without_a_packaging(self):
        self.commit("0.2.0", "0.2.0, 2026-12-01")
        self.assertIn("has no packaging/debian", self.said(69))

    def test_more_changes_than_a_pipe_holds(self):
        self.commit("0.2.0", "0.2.0, 2026-12-01", rest="- changed: something\n" * 50_000)
        self.assertIn("has no packaging/debian", self.said(69))


if __name__ == "__main__":
    unittest.main(verbosity=2)
