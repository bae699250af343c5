#!/usr/bin/env python3
"""What is written in two places is the same: the packages that the build needs, in packaging/install-packages and in the
Debian package's control file; the version, in CMakeLists.txt and CHANGELOG.md; the licence, in LICENSE and the Debian
package's copyright file.

    tests/source/packages_test.py
"""
import re
import unittest
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[2]
DEBIAN = SOURCE / "packaging/debian"
ESSENTIAL = {"g++"}  # Debian's build-essential, which a package does not name
HELPERS = {"debhelper-compat", "dh-sequence-installsysusers"}


def installed_for_build(script):
    """The names in the array `build` of install-packages."""
    return set(re.search(r"(?ms)^build=\((.*?)\)", script).group(1).split())


def build_depends(control):
    """The names in Build-Depends, without versions."""
    text = re.search(r"(?ms)^Build-Depends:(.*?)^\S", control + "\nEnd").group(1)
    return {re.match(r"\s*(\S+)", item).group(1) for item in text.split(",") if item.strip()}


class Packages(unittest.TestCase):
    def test_both_lists_have_the_same_packages(self):
        wanted = installed_for_build((SOURCE / "packaging/install-packages").read_text())
        self.assertIn("libmilter-dev", wanted)
        self.assertEqual(wanted - ESSENTIAL, build_depends((DEBIAN / "control").read_text()) - HELPERS)

    def test_the_reading_of_both_lists(self):
        self.assertEqual({"a", "b-dev"}, installed_for_build("x=(y)\nbuild=(a\n  b-dev)\ntest=(c)\n"))
        self.assertEqual({"debhelper-compat", "a", "b-dev"}, build_depends(
            "Source: s\nBuild-Depends: debhelper-compat (= 13),\n a,\n b-dev\n\nPackage: s\n"))


class Version(unittest.TestCase):
    def test_the_newest_entry_of_the_changes_has_the_version_of_the_build(self):
        built = re.search(r"project\(segmilter VERSION (\S+)", (SOURCE / "CMakeLists.txt").read_text()).group(1)
        newest = re.search(r"(?m)^## (\S+), (unreleased|\d{4}-\d\d-\d\d)$", (SOURCE / "CHANGELOG.md").read_text())
        self.assertEqual(built, newest and newest.group(1))


class Licence(unittest.TestCase):
    def test_the_package_has_the_whole_licence(self):
        licence = (SOURCE / "LICENSE").read_text().split("\n\n", 2)[2]
        packaged = (DEBIAN / "copyright").read_text().rpartition("License: BSD-2-Clause\n")[2]
        self.assertEqual(licence.split(), re.sub(r"(?m)^ \.$", "", packaged).split())


if __name__ == "__main__":
    unittest.main(verbosity=2)
