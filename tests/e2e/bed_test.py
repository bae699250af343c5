#!/usr/bin/python3
"""Tests how the bed waits: until the condition holds, not after a needed process has died, and not forever."""
import subprocess
import time
import unittest

from bed import process
from bed.process import Died, need_alive, not_needed, wait_until


class Waiting(unittest.TestCase):
    def test_a_wait_ends_with_the_value_that_was_waited_for(self):
        values = iter(["", 0, "there"])
        self.assertEqual(wait_until(lambda: next(values), 60, "a value", every=0), "there")

    def test_a_wait_ends_at_once_when_what_it_needs_has_died(self):
        child = subprocess.Popen(["sleep", "1000"])
        need_alive("the child", lambda: "" if child.poll() is None else "was killed")
        child.kill()
        began = time.monotonic()
        with self.assertRaisesRegex(Died, "the child was killed while the test waited for a miracle"):
            wait_until(lambda: False, 1000, "a miracle")
        self.assertLess(time.monotonic() - began, 100)

    def test_what_is_told_once_or_no_longer_needed_ends_no_other_wait(self):
        need_alive("a", lambda: "has ended")
        need_alive("b", lambda: "has ended")
        not_needed("b")
        with self.assertRaises(Died):
            wait_until(lambda: False, 60, "anything")
        steps = iter([False, True])
        self.assertTrue(wait_until(lambda: next(steps), 60, "something", every=0))

    def test_a_wait_for_what_never_comes_ends_at_its_limit(self):
        with self.assertRaisesRegex(TimeoutError, f"waited {0.01 * process.PATIENCE:g} s for nothing"):
            wait_until(lambda: False, 0.01, "nothing", every=0)


if __name__ == "__main__":
    unittest.main()
