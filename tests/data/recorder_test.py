#!/usr/bin/python3
"""Tests what the recorder makes of its input: the row of the truth, the writes that strace shows, and the table that is kept.

    recorder_test.py SEGMILTER
"""
import csv
import json
import re
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
from recorder import messages  # imported first, because it sets the path to the bed
from recorder.programs import PROGRAMS, Program
from recorder.recording import LINKS, truth, writes

KEPT = HERE / "programs"
TO_SERVER = "<TCP:[192.0.2.7:40000->198.51.100.25:25]>"


def row(**more) -> dict:
    return {"segments": 14, "bytes": 18_000, "bdat": "n", "tls": "n", **more}


def wrote(**known) -> Program:
    return Program("one", "library", "true", **known)


class Truth(unittest.TestCase):
    def test_a_block_writer_writes_blocks_above_its_block_and_one_write_below(self):
        four = wrote(writer="blocks", block=4096)
        self.assertEqual([truth(four, row())[key] for key in ("writer", "path", "pattern", "block")],
                         ["blocks", "full", "kilobyte-blocks", 4096])
        self.assertEqual(truth(four, row(bytes=4096, segments=3))["writer"], "stream")
        self.assertEqual(truth(wrote(writer="blocks", block=8189), row())["pattern"], "official-mta")

    def test_the_end_of_a_block_that_is_longer_than_the_first_flight_may_be_hidden(self):
        made = truth(wrote(writer="blocks", block=65536), row(bytes=100_000, segments=70))
        self.assertEqual((made["writer"], made["pattern"], made["block"]), ("stream|blocks", "official-mta|kilobyte-blocks", ""))

    def test_one_segment_tells_nothing_but_under_tls(self):
        self.assertEqual(truth(wrote(writer="lines"), row(segments=1, bytes=800))["pattern"], "indistinct")
        self.assertEqual(truth(wrote(writer="lines"), row(segments=1, bytes=800, tls="y"))["writer"], "lines")

    def test_chunks_hide_blocks(self):
        self.assertEqual(truth(wrote(writer="blocks", block=4096), row(bdat="y"))["writer"], "*")


class Writes(unittest.TestCase):
    def test_those_behind_data_count_and_those_to_others_do_not(self):
        self.assertEqual(writes("\n".join([
            f'12 write(5{TO_SERVER}, "RCPT TO:<a@b.example>\\r\\n", 23) = 23',
            f'12 sendto(5{TO_SERVER}, "DATA\\r\\n", 6, 0, NULL, 0) = 6',
            '12 write(1</tmp/log>, "354", 3) = 3',
            f'12 write(5{TO_SERVER}, "Subject: x\\r\\n"..., 4096) = 4096',
            f'13 sendmsg(5{TO_SERVER}, {{msg_name=NULL}}, 0) = 3',
            '12 write(5<TCP:[192.0.2.7:40000->198.51.100.25:2525]>, "x", 1) = 1'])), [4096, 3])

    def test_a_socket_of_ipv6_may_lead_to_it(self):
        mapped = "<TCPv6:[[::ffff:192.0.2.7]:40000->[::ffff:198.51.100.25]:25]>"
        self.assertEqual(writes(f'1 sendto(7{mapped}, "DATA\\r\\n", 6, 0, NULL, 0) = 6\n1 sendto(7{mapped}, "x", 8192, 0, NULL, 0) = 8192'), [8192])

    def test_pipelined_commands_and_chunks_end_the_dialogue_too(self):
        for last in ("RCPT TO:<a@b.example>\\r\\nDATA\\r\\n", "BDAT 900 LAST\\r\\nFrom: x"):
            self.assertEqual(writes(f'1 write(3{TO_SERVER}, "{last}", 40) = 40\n1 write(3{TO_SERVER}, "x", 900) = 900'), [900])

    def test_without_data_there_is_no_message(self):
        for text in ("", f'1 write(3{TO_SERVER}, "NOOP data\\r\\n", 10) = 10\n1 write(3{TO_SERVER}, "x", 9) = -1 EPIPE',
                     f'1 write(3{TO_SERVER}, "x", 900) = 900', "1 +++ exited with 0 +++"):
            self.assertEqual(writes(text), [])


class Messages(unittest.TestCase):
    def test_they_are_the_same_whenever_they_are_made_and_no_larger_than_said(self):
        with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
            for folder in (one, other):
                messages.write(Path(folder))
            for file in Path(one).iterdir():
                self.assertEqual(file.read_bytes(), (Path(other) / file.name).read_bytes())
            for kind, size in messages.SIZES.items():
                made = (Path(one) / f"{kind}.crlf").read_bytes()
                self.assertTrue(0.8 * size < len(made) < 1.2 * size, (kind, len(made)))
                self.assertNotIn(b"\n", made.replace(b"\r\n", b""))


class Kept(unittest.TestCase):
    """tests/data/programs as it is."""

    def setUp(self):
        with open(KEPT / "TRUTH.tsv", encoding="utf-8", newline="") as text:
            self.rows = list(csv.DictReader(text, delimiter="\t"))

    def test_its_truth_is_that_of_the_table_of_programs(self):
        for one in self.rows:
            made = truth(PROGRAMS[one["sender"]], one)
            self.assertEqual({key: str(made[key]) for key in one}, one)
            self.assertIn(one["link"], LINKS)

    def test_a_trace_is_there_for_each_row_and_the_program_finds_it(self):
        lines = sum(len(file.read_text(encoding="ascii").splitlines()) for file in KEPT.glob("*.trace"))
        self.assertEqual(lines, len(self.rows))
        done = subprocess.run([SEGMILTER, "evaluate", "--format", "json", "--truth", KEPT / "TRUTH.tsv", KEPT], stdout=subprocess.PIPE, text=True)
        report = json.loads(done.stdout)
        self.assertEqual((report["messages"], report["missing"], report["extra"]), (len(self.rows), [], []))

    def test_traces_hold_no_words_of_a_message(self):
        known = {word for word in messages.WORDS if len(word) > 5} - {"window"} | {"alice", "sender", "example"}  # window= is a field
        for file in KEPT.glob("*.trace"):
            found = set(re.findall(r"[a-z]{5,}", file.read_text(encoding="ascii").lower()))
            self.assertEqual(found & known, set(), file.name)


if __name__ == "__main__":
    SEGMILTER = sys.argv.pop(1)
    unittest.main()
