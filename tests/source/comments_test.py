#!/usr/bin/env python3
"""Checks that drawings and paragraphs in comments are whole. clang-format breaks lines of code but leaves
comments as they are (ReflowComments). A comment that was torn anyway can be recognized by the end of its lines.

    tests/source/comments_test.py
"""
import re
import unittest
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[2]
FOLDERS = ("classifier", "milter", "tests")
WIDTH = 100

COMMENT = re.compile(r"\s*//(?P<text>.*)")
ARROW_AT_THE_END = re.compile(r"(►|◄|──|->|<-)$")
DRAWN = re.compile(r"[─│┌┐└┘├┤┬┴┼►◄▲▼]|\S {3,}\S")
SENTENCE_GOES_ON = re.compile(r"[\w,'’]$")


def text_of(line):
    found = COMMENT.fullmatch(line)
    return found["text"] if found else None


def is_orphan(before, line, after):
    """A few words stand alone between a full line and a line with room for them: a line that was too long was broken,
    and the text after it was not moved."""
    texts = [text_of(each) for each in (before, line, after)]
    if None in texts or any(DRAWN.search(text) for text in texts):
        return False
    words = texts[1].split()
    if not 1 <= len(words) <= 3 or not texts[2].strip() or not SENTENCE_GOES_ON.search(texts[1]):
        return False
    room = WIDTH - len(line) - 1
    return len(before) > WIDTH - 15 and len(texts[2].split()[0]) < room - 30


def torn_at(before, line, after):
    """Why the line looks torn; None if it does not."""
    text = text_of(line)
    if text is None:
        if re.search(r"[^=!<>]=$", line) and re.match(r"\s*\S+;\s+//", after):
            return "an initializer is broken off by the comment after it: put the comment above"
        return None
    if ARROW_AT_THE_END.search(text.rstrip()):
        return "an arrow leads to the end of the line: the drawing is torn, or too wide"
    if re.fullmatch(r"-{40,}", text.strip()):
        return "a line of dashes is all that is left of a heading"
    if is_orphan(before, line, after):
        return "a few words were left on a line of their own"
    return None


def torn(text):
    lines = ["", *text.split("\n"), ""]
    found = []
    for number in range(1, len(lines) - 1):
        why = torn_at(*lines[number - 1:number + 2])
        if why:
            found.append((number, why))
    return found


def files():
    for folder in FOLDERS:
        for path in sorted((SOURCE / folder).glob("**/*")):
            if path.suffix in (".h", ".cc", ".c"):
                yield path


class Project(unittest.TestCase):
    def test_no_comment_is_torn(self):
        found = [f"{path.relative_to(SOURCE)}:{line}: {why}"
                 for path in files() for line, why in torn(path.read_text())]
        self.assertEqual([], found, "\n" + "\n".join(found))

    def test_comments_are_not_reflowed(self):
        self.assertIn("ReflowComments: false", (SOURCE / ".clang-format").read_text().split("\n"))


class Torn(unittest.TestCase):
    def lines(self, *lines):
        return [number for number, _ in torn("\n".join(lines))]

    def test_a_drawing_that_was_broken_behind_an_arrow(self):
        self.assertEqual([1], self.lines("//     file ─► reader ─► classify() ─►", "//     Result"))
        self.assertEqual([], self.lines("//     file ─► reader ─► classify() ─► Result"))
        self.assertEqual([], self.lines("//     Down ──start()──► Starting", "//       ▲          │"))

    def test_a_heading_that_was_broken(self):
        self.assertEqual([2], self.lines("// --- the text", "// " + "-" * 60))
        self.assertEqual([], self.lines("// --- the text " + "-" * 60))

    def test_words_that_were_left_on_a_line_of_their_own(self):
        full = "// " + "a paragraph " * 7 + "and another word"
        self.assertEqual([2], self.lines(full, "// itself", "// (`check`), and what needs a restart."))
        self.assertEqual([], self.lines(full, "// itself.", "// The next sentence begins anew."))
        self.assertEqual([], self.lines(full, "// itself"))
        self.assertEqual([], self.lines("// a list:", "//   one", "//   two"))

    def test_an_initializer_that_was_broken_off(self):
        self.assertEqual([1], self.lines("  std::uint64_t miss =", "      0;  // bytes between them"))
        self.assertEqual([], self.lines("  std::uint64_t miss =", "      bytes_between(first, second);"))
        self.assertEqual([], self.lines("  std::uint64_t miss = 0;  // bytes between them"))


if __name__ == "__main__":
    unittest.main()
