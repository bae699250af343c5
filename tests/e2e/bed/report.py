"""Output for people: progress lines and tables, with colours only on a terminal."""
import os
import sys
import time

_start = time.monotonic()


def colours() -> bool:
    return sys.stdout.isatty() and "NO_COLOR" not in os.environ


def paint(text: str, code: str) -> str:
    return f"\033[{code}m{text}\033[0m" if colours() else text


def good(text: str) -> str:
    return paint(text, "32")


def bad(text: str) -> str:
    return paint(text, "31;1")


def faint(text: str) -> str:
    return paint(text, "2")


def step(text: str) -> None:
    """A progress line with the seconds since the start."""
    print(faint(f"[{time.monotonic() - _start:6.1f} s]"), text, flush=True)


def table(head: list[str], rows: list[list[str]]) -> None:
    """Columns as wide as they need; the last one may run on."""
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]

    def line(row: list[str]) -> str:
        return "  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip()

    print(paint(line(head), "1"))
    for row in rows:
        print(line(row))
    sys.stdout.flush()


class Checks:
    """Counts what was asked and what did not hold; finish() is the exit status."""

    def __init__(self):
        self.failed: list[str] = []
        self.passed = 0

    def that(self, holds, what: str) -> bool:
        if holds:
            self.passed += 1
            print(good("  ok   "), what, flush=True)
        else:
            self.failed.append(what)
            print(bad("  FAIL "), what, flush=True)
        return bool(holds)

    def finish(self) -> int:
        print(f"{self.passed} held, {len(self.failed)} failed")
        for what in self.failed:
            print(bad("failed: ") + what)
        return 1 if self.failed else 0
