#!/usr/bin/env python3
"""`cmake --install` and packaging/uninstall: an administrator's files survive both, and what is left is said.

    tests/packaging/install_test.py BUILD_FOLDER       of a build that has the program
"""
import os
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[2]
UNINSTALL = SOURCE / "packaging/uninstall"


class Installed(unittest.TestCase):
    build = Path()

    def setUp(self):
        self.root = Path(tempfile.mkdtemp(prefix="segmilter-install-"))
        self.addCleanup(shutil.rmtree, self.root)
        self.environment = {**os.environ, "DESTDIR": str(self.root)}
        self.config = self.root / "etc/segmilter/segmilter.toml"

    def run_in_root(self, *argv, code=0):
        done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=self.environment)
        self.assertEqual(code, done.returncode, done.stdout)
        return done.stdout

    def install(self):
        return self.run_in_root("cmake", "--install", self.build)

    def files(self):
        return sorted(str(path.relative_to(self.root)) for path in self.root.rglob("*") if path.is_file())

    def test_everything_is_installed_where_a_system_looks_for_it(self):
        self.install()
        manuals = [f"usr/local/share/man/man{page.suffix[1:]}/{page.name}" for page in (SOURCE / "packaging/man").iterdir()]
        wanted = ["etc/segmilter/segmilter.toml", "usr/local/sbin/segmilter", "usr/local/share/doc/segmilter/segmilter.toml",
                  "usr/local/lib/systemd/system/segmilter.service", "usr/local/lib/sysusers.d/segmilter.conf",
                  "usr/local/lib/tmpfiles.d/segmilter.conf", *manuals]
        self.assertEqual([], [name for name in wanted if name not in self.files()])
        unit = (self.root / "usr/local/lib/systemd/system/segmilter.service").read_text()
        self.assertIn("ExecStart=/usr/local/sbin/segmilter run\n", unit)

    def test_a_second_installation_keeps_the_configuration(self):
        self.install()
        self.config.write_text("# mine\n")
        self.assertIn("Kept: ", self.install())
        self.assertEqual("# mine\n", self.config.read_text())

    def test_uninstalling_leaves_the_configuration_and_the_store_and_says_so(self):
        self.install()
        store = self.root / "var/lib/segmilter"
        store.mkdir(parents=True)
        (store / "2026-11-27.sqlite").write_text("")
        strange = self.root / "usr/local/share/doc/segmilter/notes"
        strange.write_text("")
        before = len(self.files())
        said = self.run_in_root(UNINSTALL, self.build)
        self.assertEqual(["etc/segmilter/segmilter.toml", "usr/local/share/doc/segmilter/notes", "var/lib/segmilter/2026-11-27.sqlite"], self.files())
        self.assertIn(f"removed {before - 3} files", said)
        self.assertIn(f"rm -rf {self.config} {store}\n", said)
        self.assertNotIn("userdel", said)  # the account of this machine is no part of DESTDIR

    def test_nothing_is_left_of_the_folders_that_are_segmilters_alone(self):
        self.install()
        self.run_in_root("cmake", "--build", self.build, "--target", "uninstall")
        self.assertFalse((self.root / "usr/local/share/doc/segmilter").exists())

    def test_uninstalling_twice_is_no_error(self):
        self.install()
        self.run_in_root(UNINSTALL, self.build)
        self.assertIn("removed 0 files", self.run_in_root(UNINSTALL, self.build))

    def test_uninstalling_is_refused_while_the_service_runs_from_there(self):
        unit, other = self.root / "lib/segmilter.service", self.root / "lib/other.service"
        unit.parent.mkdir()
        unit.write_text("")
        other.write_text("")
        (self.root / "install_manifest.txt").write_text(str(unit))
        # The answers of a systemd that runs `fragment`.
        systemctl = self.root / "bin/systemctl"
        systemctl.parent.mkdir()
        systemctl.write_text('#!/bin/sh\nif [ "$1" = show ]; then echo "$FRAGMENT"; fi\n')
        systemctl.chmod(0o755)
        self.environment = {**os.environ, "DESTDIR": "", "PATH": f"{systemctl.parent}:{os.environ['PATH']}", "FRAGMENT": str(unit)}
        self.assertIn("systemctl disable --now segmilter", self.run_in_root(UNINSTALL, self.root, code=69))
        self.assertTrue(unit.exists())
        self.environment["FRAGMENT"] = str(other)
        self.assertIn("removed 1 files", self.run_in_root(UNINSTALL, self.root))
        self.assertFalse(unit.exists())

    def test_wrong_usage_is_told(self):
        self.assertIn("one build folder is needed", self.run_in_root(UNINSTALL, code=64))
        self.assertIn("nothing was installed from this folder", self.run_in_root(UNINSTALL, self.root, code=66))


if __name__ == "__main__":
    Installed.build = Path(sys.argv.pop(1)).resolve()
    unittest.main(verbosity=2)
