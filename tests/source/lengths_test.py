#!/usr/bin/env python3
"""A source file is short enough to be read at once: at most 450 lines, or its head says why it has more than 450 lines.

    tests/source/lengths_test.py

Tests are left out: each mirrors one source file and has a row or a case for each thing that this file does.
"""
import unittest
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[2]
FOLDERS = ("text", "classifier", "milter", "tests/support")
MOST = 450
HEAD = 45  # lines in which the reason stands


def without_a_reason(lines):
    return len(lines) > MOST and not any(f"{MOST} lines" in line for line in lines[:HEAD])


class Lengths(unittest.TestCase):
    def test_a_long_file_says_why(self):
        files = [file for folder in FOLDERS for file in sorted((SOURCE / folder).rglob("*"))
                 if file.suffix in (".h", ".cc", ".c")]
        self.assertGreater(len(files), 300)
        long = [str(file.relative_to(SOURCE)) for file in files if without_a_reason(file.read_text().splitlines())]
        self.assertEqual(long, [])

    def test_the_check_itself(self):
        self.assertFalse(without_a_reason(["x"] * MOST))
        self.assertTrue(without_a_reason(["x"] * (MOST + 1)))
        self.assertFalse(without_a_reason(["// More than 450 lines, because of this."] + ["x"] * MOST))
        self.assertTrue(without_a_reason(["x"] * MOST + ["// More than 450 lines, because of this."]))


if __name__ == "__main__":
    unittest.main(verbosity=2)
