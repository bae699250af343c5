"""`history` and `report` from outside, on a store that the writer of the program has made.

    history_test.py SEGMILTER FILL_STORE

What FILL_STORE writes is said in fill_store.cc.
"""
import contextlib
import csv
import io
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

PROGRAM, FILL_STORE = (Path(sys.argv.pop(1)).resolve() for _ in range(2))


class Store(unittest.TestCase):
    def setUp(self):
        self.folder = Path(tempfile.mkdtemp(prefix="segmilter-history-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.folder.chmod(0o755)
        self.store = self.folder / "memory"
        self.store.mkdir()
        subprocess.run([FILL_STORE, self.store], check=True)
        self.config = self.folder / "segmilter.toml"
        self.config.write_text(f'[general]\nhostname = "mx1.example.org"\n[memory]\nfolder = "{self.store}"\n'
                               '[proxy]\nlisten = ["127.0.0.1:2525"]\nupstream = "127.0.0.1:10025"\n')

    def run_it(self, command, *arguments, **more):
        done = subprocess.run([PROGRAM, command, "-c", self.config, *map(str, arguments)], capture_output=True, text=True, timeout=60, **more)
        return done.returncode, done.stdout, done.stderr

    def lines(self, command, *arguments):
        code, out, err = self.run_it(command, *arguments)
        self.assertEqual((code, err), (0, ""))
        return out.splitlines()

    def days(self):
        return sorted(self.store.glob("messages-????????.db"))


class History(Store):
    def test_the_last_messages_come_first(self):
        head, *rows, older = self.lines("history", "--limit", 5)
        self.assertRegex(head, r"^time +queue id +client +pattern +score +conf +action +program$")
        self.assertEqual([row.split()[1] for row in rows], ["Q0", "X", "Q1", "Q2", "Q3"])
        self.assertRegex(rows[0], r"^2\S+Z  Q0 +192\.0\.2\.0 +bot-template +\+6\.9 0\.98  none \(would tempfail\)")
        place = re.fullmatch(r"older messages: the same with --before (\S+)", older)[1]
        self.assertEqual([row.split()[1] for row in self.lines("history", "--limit", 2, "--before", place)[1:-1]], ["Q4", "Q5"])

    def test_all_are_given_on_request_in_each_form(self):
        rows = [json.loads(line) for line in self.lines("history", "--limit", 0, "--format", "json")]
        self.assertEqual(len(rows), 101)
        self.assertEqual(rows, sorted(rows, key=lambda row: row["time"], reverse=True))
        table = list(csv.DictReader(io.StringIO("\n".join(self.lines("history", "--limit", 0, "--format", "csv")))))
        self.assertEqual(len(table), 101)
        self.assertEqual(list(table[0]), list(rows[0]))
        self.assertEqual([row["queue_id"] for row in table], [row["queue_id"] for row in rows])
        self.assertEqual(table[0]["terms"], rows[0]["terms"])

    def test_messages_are_selected(self):
        def ids(*arguments):
            return [json.loads(line)["queue_id"] for line in self.lines("history", "--format", "json", *arguments)]
        self.assertEqual(ids("--pattern", "unobserved"), ["X"])
        self.assertEqual(ids("--client", "192.0.2.7"), ["Q7"])
        self.assertEqual(ids("--client", "!192.0.2.0/24"), ["X"])
        self.assertEqual(ids("--reason", "timeout", "--would", "none"), ["X"])
        self.assertEqual(ids("--min-score", "4", "--since", "90m"), ["Q0", "Q1"])
        self.assertEqual(ids("--queue-id", "Q5,Q7,nothing"), ["Q5", "Q7"])
        self.assertEqual(self.lines("history", "--pattern", "relay"), ["no messages"])

    def test_a_message_is_explained(self):
        text = "\n".join(self.lines("history", "Q3"))
        self.assertRegex(text, r"(?m)^ +1  bot-template +template +full +1440 0\.98 +\+6\.9 ")
        self.assertRegex(text, r"(?m)^ +-+\|[-|+]+\|$")
        self.assertIn("192.0.2.3 port 1027; network 192.0.2.0/24; EHLO name: one word without a dot; TLS: no; listener mx", text)
        parts = [float(part) for part in re.findall(r"(?m)^  .+ ([+-]\d\.\d{3})$", text)]
        self.assertAlmostEqual(sum(parts[:-1]), parts[-1], 6)
        self.assertIn('accepted in mode "monitor"; the score asked that it be deferred (tempfail)', text)
        self.assertIn("X-Protocol-Pattern: mx1.example.org; pattern=bot-template; score=6.9;", text)
        trace = re.search(r"(?m)^segmilter/1 .*$", text)[0]
        again = subprocess.run([PROGRAM, "classify", "-"], input=trace + "\n", capture_output=True, text=True, timeout=60)
        self.assertIn(re.search(r"(?m)^ +(-+\|[-|+]+)$", text)[1], again.stdout)

    def test_the_commands_of_an_explanation_find_the_message(self):
        commands = re.findall(r"(?m)^  segmilter (history .*)$", "\n".join(self.lines("history", "Q3")))
        self.assertEqual(len(commands), 2)
        for command in commands:
            done = subprocess.run([PROGRAM, *command.split(), "--limit", "0"], capture_output=True, text=True, timeout=60)
            self.assertIn(" Q3 ", done.stdout, command)

    def test_a_message_is_explained_as_json(self):
        row = json.loads(self.lines("history", "--format", "json", "Q3")[0])
        self.assertAlmostEqual(sum(reason["part"] or 0 for reason in row["reasons"]) + row["rest"], row["score"], 3)
        self.assertTrue(row["trace"].startswith("segmilter/1 "))
        self.assertTrue(row["header"].startswith("X-Protocol-Pattern: mx1.example.org;"))

    def test_what_was_not_observed_is_explained_too(self):
        text = "\n".join(self.lines("history", "X"))
        self.assertRegex(text, r"(?m)^  timeout$")
        self.assertIn("the message was accepted; nothing asked for another action", text)

    def test_a_queue_id_that_is_not_there_is_1(self):
        code, out, err = self.run_it("history", "4nothing")
        self.assertEqual((code, out), (1, ""))
        self.assertRegex(err, r"^segmilter: 4nothing: no message with this queue id is remembered; queue ids are kept for 3 days.*\n$")

    def test_wrong_usage_is_64_and_one_line(self):
        for arguments, says in ((["--pattern", "bot"], '--pattern: "bot" is not a pattern; write one of: '),
                                (["--since", "soon"], '--since: "soon" is not a duration'),
                                (["--before", "x"], '--before: "x" is not a place'),
                                (["--format", "xml"], "--format"),
                                (["Q3", "--gait", "exim"], "a QUEUEID is explained alone"),
                                (["4\x1b[2J"], '"4\\x1b[2J" is not a queue id')):
            code, out, err = self.run_it("history", *arguments)
            self.assertEqual((code, out, err.count("\n")), (64, "", 1), (arguments, err))
            self.assertIn(says, err)

    def test_a_damaged_file_is_said_and_passed_over(self):
        self.days()[-1].write_bytes(b"x" * 10000)
        for log in self.store.glob("*-wal"):
            log.unlink()
        for command in ("history", "report"):
            code, out, err = self.run_it(command)
            self.assertEqual(code, 1)
            self.assertIn(f"segmilter: warning: {self.days()[-1]}: file is not a database", err)
            self.assertIn("bot-template", out)

    def change(self, statements):
        for day in self.days():
            with contextlib.closing(sqlite3.connect(day)) as database, database:
                for statement in statements:
                    database.execute(statement)

    def test_no_word_of_a_file_is_obeyed_by_a_terminal(self):
        self.change(["UPDATE words SET word = word || char(27, 155, 10) || id",
                     "UPDATE messages SET network = network || char(27, 155)"])
        for arguments in (["history"], ["history", "Q3"], ["history", "Q3", "--format", "json"], ["report"],
                          ["history", "--format", "json"], ["report", "--format", "json"], ["report", "--format", "csv"]):
            code, out, err = self.run_it(*arguments)
            self.assertEqual((code, err), (0, ""), arguments)
            self.assertIn("bot-template", out)
            self.assertFalse(set("\x1b\x9b") & set(out), arguments)

    def test_no_word_of_a_damaged_file_is_obeyed_by_a_terminal(self):
        self.change(["PRAGMA writable_schema = ON", "UPDATE sqlite_master SET name = 'x' || char(27), sql = 'x' WHERE name = 'words'"])
        code, _, err = self.run_it("history")
        self.assertEqual(code, 1)
        self.assertIn("malformed database schema (x\\x1b)", err)

    def test_without_a_store_it_is_66(self):
        shutil.rmtree(self.store)
        for command in ("history", "report"):
            code, out, err = self.run_it(command)
            self.assertEqual((code, out), (66, ""))
            self.assertRegex(err, rf"^segmilter: {self.store}: there is no such folder, .*memory\.enabled.*\n$")

    @unittest.skipIf(os.geteuid() != 0, "only root becomes another user")
    def test_a_user_without_rights_is_77(self):
        program = shutil.copy(PROGRAM, self.folder)
        self.store.chmod(0o750)
        def as_nobody():
            done = subprocess.run([program, "history", "-c", self.config], user=65534, group=65534, extra_groups=[],
                                  capture_output=True, text=True, timeout=60)
            return done.returncode, done.stderr
        code, err = as_nobody()
        self.assertEqual(code, 77)
        self.assertRegex(err, rf"^segmilter: {self.store}: this user may not read the store: run it as root, .*\n$")
        self.store.chmod(0o755)
        for file in self.store.iterdir():
            file.chmod(0o640)
        code, err = as_nobody()
        self.assertEqual(code, 77)
        self.assertRegex(err, r"^segmilter: \S+\.db: this user may not read the file: .*\n$")

    @unittest.skipIf(os.geteuid() != 0, "only root becomes another user")
    def test_a_member_of_the_group_may_read(self):
        program = shutil.copy(PROGRAM, self.folder)
        os.chown(self.store, 0, 65534)
        self.store.chmod(0o750)
        for file in self.store.iterdir():
            os.chown(file, 0, 65534)
            file.chmod(0o640)
        def as_nobody():
            return subprocess.run([program, "history", "-c", self.config, "--limit", "0"], user=65534, group=65534, extra_groups=[],
                                  capture_output=True, text=True, timeout=60)
        done = as_nobody()
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertEqual(done.stdout.count("\n"), 102)
        # While somebody writes, with a row that is in the write-ahead log only.
        with contextlib.closing(sqlite3.connect(self.days()[-1])) as writer:
            writer.execute("UPDATE messages SET queue_id = 'fresh' WHERE queue_id = 'Q0'")
            writer.commit()
            for file in self.store.iterdir():
                os.chown(file, 0, 65534)
                file.chmod(0o640)
            done = as_nobody()
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            self.assertIn(" fresh ", done.stdout)
            self.assertEqual(done.stdout.count("\n"), 102)

    def test_output_that_cannot_be_written_is_74(self):
        for command in ("history", "report"):
            with open("/dev/full", "w", encoding="ascii") as full:
                done = subprocess.run([PROGRAM, command, "-c", self.config], stdout=full, stderr=subprocess.PIPE, text=True, timeout=60)
            self.assertEqual(done.returncode, 74)
            self.assertIn("standard output cannot be written: No space left on device", done.stderr)


class Report(Store):
    def test_it_counts_the_last_48_hours(self):
        text = "\n".join(self.lines("report"))
        self.assertIn("49 messages, counted by 49 rows", text)
        self.assertRegex(text, r"(?m)^  bot-template +48 +98\.0 % +1 +0 +48 +0$")
        self.assertRegex(text, r"(?m)^  timeout +1  100\.0 %$")
        self.assertRegex(text, r"(?m)^  192\.0\.2\.0/24 +48  bot-template +100\.0 % +48 ")
        self.assertEqual(len(re.findall(r"(?m)^  \S+:00:00\.000Z +\d", text)), 48)

    def test_a_longer_report_has_a_line_for_each_day(self):
        report = json.loads("\n".join(self.lines("report", "--since", "14d", "--format", "json")))
        self.assertEqual(report["messages"], 101)
        self.assertEqual(sum(row["messages"] for row in report["times"]), 101)
        self.assertLessEqual(len(report["times"]), 6)

    def test_a_selection_is_counted_and_said(self):
        text = "\n".join(self.lines("report", "--pattern", "!bot-template"))
        self.assertIn("Only messages with pattern=!bot-template.", text)
        self.assertIn("1 messages, counted by 1 rows", text)

    def test_csv_adds_up(self):
        rows = list(csv.DictReader(io.StringIO("\n".join(self.lines("report", "--since", "90m", "--format", "csv")))))
        self.assertEqual(sum(int(row["messages"]) for row in rows), 3)
        self.assertEqual({row["would"] for row in rows}, {"none", "tempfail"})

    def test_the_page_stands_alone(self):
        page = "\n".join(self.lines("report", "--format", "html"))
        self.assertEqual(page.count('<svg class="bars"'), 2)
        self.assertNotRegex(page, r"<script|https?://(?!www\.w3\.org)|src=| style=")


if __name__ == "__main__":
    unittest.main(verbosity=2)
