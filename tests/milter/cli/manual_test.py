"""What --help, the manual pages and the README show: each example works, and pictures and fields are those of the program.

    manual_test.py SEGMILTER FILL_STORE

A shell runs each example unchanged, in a folder with a configuration, a capture and a truth of that name. Only programs that would
change or need the machine itself are replaced (PLAYED).
"""
import csv
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

PROGRAM = Path(sys.argv.pop(1)).resolve()
FILL_STORE = Path(sys.argv.pop(1)).resolve()  # tests/milter/cli/fill_store.cc
ROOT = Path(__file__).resolve().parents[3]
PAGES = sorted((ROOT / "packaging/man").glob("*.[1578]"))
README = (ROOT / "README.md").read_text()
# Replacements for the machine's programs that an example pipes from or into: a tcpdump that gives the example's capture, and a
# shell and a firewall that only read.
PLAYED = {"tcpdump": "cat \"$HERE/mail.pcap\"", "nft": "grep -q 'table inet segmilter'", "sh": "grep -q 'ip -'"}
SERVES = ("run", "proxy", "wire", "filter", "memory", "desk")  # they run until they get a signal


def help_of(*command):
    done = subprocess.run([PROGRAM, *command, "--help"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done
    return done.stdout


def commands():
    return re.findall(r"(?m)^  (\w+)", re.search(r"(?s)\nCommands:\n(.*?)\n\n", help_of()).group(1))


def examples_in(text):
    """The commands below "Example(s):", without their explanations."""
    block = re.search(r"(?ms)^Examples?:\n(.*?)(?:^\S|\Z)", text)
    lines = block.group(1).splitlines() if block else []
    return [re.split(r"  +", line.strip())[0] for line in lines if line.strip()]


class Readme(unittest.TestCase):
    """Its pictures are what the program draws."""

    def classify(self, trace, *options):
        done = subprocess.run([PROGRAM, "classify", *options, "-"], input=trace + "\n", capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def test_the_strips_are_those_of_classify(self):
        rows = re.findall(r"(?m)^    (bot-template|official-mta) +(\S+) +(\S+)$", README)
        self.assertEqual([row[0] for row in rows], ["bot-template", "official-mta"])
        for (pattern, strip, sizes), trace in zip(rows, (talk_bot(), postfix())):
            drawn = self.classify(trace)
            self.assertRegex(drawn, rf"(?m)^ +1  {pattern} ")
            self.assertIn(f" {strip}\n", drawn)
            self.assertIn(f" {sizes}\n", drawn)

    def test_the_header_field_at_its_beginning_is_that_of_the_bot(self):
        shown = re.search(r"(?ms)^    X-Protocol-Pattern: (.*?v=1)$", README).group(1)
        values = dict(item.strip().split("=", 1) for item in shown.split(";")[1:])
        row = json.loads(self.classify(talk_bot(), "--format", "jsonl"))
        self.assertEqual(f"{row['score']:.1f}", values["score"])
        self.assertEqual(f"{row['confidence']:.2f}", values["confidence"])
        for key in ("pattern", "writer", "path", "gait", "action"):
            self.assertEqual(row[key], values[key], key)
        self.assertEqual(str(row["mss"]), values["mss"])
        # Each term of the score is in both, once as a word and once as a sentence.
        self.assertEqual([word.rsplit(":", 1)[1] for word in values["why"].split(",") if re.search(r":[+-]", word)],
                         [reason.rsplit(" ", 1)[1] for reason in row["reasons"] if re.search(r" [+-][\d.]+$", reason)])
        self.assertEqual(len(values["why"].split(",")), len(row["reasons"]))

    def test_it_is_no_longer_than_a_reader_bears(self):
        self.assertLessEqual(len(README.splitlines()), 200)


class Help(unittest.TestCase):
    def test_each_command_has_examples_of_its_own_only(self):
        self.assertGreater(len(commands()), 10)
        for command in commands():
            found = examples_in(help_of(command))
            self.assertTrue(found, command)
            for line in found:
                self.assertIn(f"segmilter {command}", line)

    def test_each_says_its_exit_codes_and_where_the_manual_is(self):
        for command in ((), *((command,) for command in commands())):
            text = " ".join(help_of(*command).split())
            self.assertRegex(text, r"Exit codes\b.*(?:\b0\b|those of segmilter run).* More: segmilter[\w.-]*\(\d\).*\.$", command)

    def test_it_fits_on_a_screen(self):
        for command in ((), *((command,) for command in commands())):
            lines = help_of(*command).splitlines()
            self.assertLessEqual(max(map(len, lines)), 79, command)
            rows = sum(bool(re.match(r"  \w+  |  -\w, |      --", line)) for line in lines)  # commands or options
            self.assertLessEqual(len(lines), 40 if rows <= 10 else 60, command)
            self.assertEqual([line for line in lines if line != line.rstrip()], [], command)

    def test_types_are_words(self):
        for command in commands():
            text = help_of(command)
            self.assertNotRegex(text, r"TEXT|UINT|INT\b|FLOAT|:\{| in \[|REQUIRED|Needs:|Excludes:", command)
        self.assertRegex(help_of("classify"), r"--format text\|jsonl\|html\n +form of the output \(default text\)")
        self.assertRegex(help_of("evaluate"), r"Usage: segmilter evaluate --truth TRUTH\.tsv \[OPTION\]\.\.\. DIR\n")
        self.assertRegex(help_of("gait"), r" \[CAPTURE\|TRACES\.\.\.\]\n")


class Examples(unittest.TestCase):
    """Each line in --help and below EXAMPLES in the page."""

    @classmethod
    def setUpClass(cls):
        cls.folder = Path(tempfile.mkdtemp(prefix="segmilter-manual-"))
        cls.folder.chmod(0o755)
        tools = cls.folder / "bin"
        tools.mkdir()
        for name, body in PLAYED.items():
            tool = tools / name
            tool.write_text(f"#!/bin/bash\nHERE={cls.folder}\n{body}\n")
            tool.chmod(0o755)
        config = cls.folder / "segmilter.toml"
        config.write_text(f"""
[general]
user = "nobody"
[proxy]
listen = ["127.0.0.1:{free_port()}"]
upstream = "127.0.0.1:9"
tproxy_ports = [25]
[evidence]
socket = "{cls.folder}/run/evidence.sock"
[filter]
socket = "unix:{cls.folder}/milter/milter.sock"
socket_group = ""
[memory]
folder = "{cls.folder}/memory"
min_free = 0
[desk]
listen = ["127.0.0.1:{free_port()}"]
""")
        wire = cls.folder / "wire.toml"
        wire.write_text(re.sub(r"(?s)\[proxy\].*?(?=\[evidence\])", "[wire]\nports = [25]\n", config.read_text()))
        # The program as the examples call it: without -c it reads this folder's file, and `wire` one of its own kind.
        wrapper = tools / "segmilter"
        wrapper.write_text(f"""#!/bin/bash
command=$1; shift
[ "$command" != wire ] || set -- -c {wire}
case " $* " in *" -c "*|*" --config "*) ;; *) case $command in classify|evaluate|gait|version) ;; *) set -- -c {config} "$@" ;; esac ;; esac
exec {PROGRAM} "$command" "$@"
""")
        wrapper.chmod(0o755)
        (cls.folder / "memory").mkdir()
        subprocess.run([FILL_STORE, cls.folder / "memory"], check=True)
        data = ROOT / "tests/data"
        shutil.copy(ROOT / "tests/fuzz/corpus/pcap/plain.pcap", cls.folder / "mail.pcap")
        (cls.folder / "captures").mkdir()
        head, *rows = (data / "corpus/TRUTH.tsv").read_text().splitlines()
        at = head.split("\t").index("file")
        by_file = {}
        for row in rows:
            by_file.setdefault(row.split("\t")[at], []).append(row)
        # A table in which all messages have a row: with a message without one the exit code is not 0.
        name = next(name for name, of_it in by_file.items() if traces_in(data / "corpus" / name) == len(of_it))
        shutil.copy(data / "corpus" / name, cls.folder / "captures")
        (cls.folder / "TRUTH.tsv").write_text("\n".join([head, *by_file[name]]) + "\n")
        cls.path = f"{tools}:{os.environ['PATH']}"

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.folder, ignore_errors=True)

    def shell(self, line):
        serves = any(f"segmilter {command}" in line for command in SERVES)
        command = f"exec {line}" if serves else f"set -o pipefail; {line}"
        with subprocess.Popen(["/bin/bash", "-c", command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=self.folder,
                              env={**os.environ, "PATH": self.path}) as running:
            # A program that serves gets a signal when it waits for work; the others end by themselves.
            waits = 0
            while serves and running.poll() is None and waits < 10:
                waits = waits + 1 if waits_for_work(running.pid) else 0
                time.sleep(0.1)
            if serves:
                running.send_signal(signal.SIGINT)
            output, errors = running.communicate(timeout=120)
            return subprocess.CompletedProcess(line, running.returncode, output, errors)

    def test_they_work(self):
        lines = sorted({line for command in ((), *((command,) for command in commands())) for line in examples_in(help_of(*command))})
        for page in PAGES:
            shown = re.search(r"(?ms)^\.SH EXAMPLES$(.*?)^\.SH ", page_text(page))
            lines += re.findall(r"(?m)^((?:segmilter|tcpdump|echo) .*)$", shown.group(1)) if shown else []
        self.assertGreater(len(lines), 20)
        for line in lines:
            done = self.shell(line)
            # The doctor fails here, because there is no Postfix; it must have printed findings.
            good = (1,) if "segmilter doctor" in line else (0,)
            self.assertIn(done.returncode, good, f"{line}\n{done.stdout}{done.stderr}")
            self.assertNotIn("see segmilter --help", done.stderr, line)
            if "doctor" in line:
                self.assertIn("fail", done.stdout, line)


def waits_for_work(pid):
    """Whether the process is the program and all its threads sleep. One that waits for a processor does not sleep."""
    try:
        threads = [Path(f"/proc/{pid}/task/{thread}/stat").read_text() for thread in os.listdir(f"/proc/{pid}/task")]
        return Path(os.readlink(f"/proc/{pid}/exe")) == PROGRAM and all(stat.rsplit(") ", 1)[1][0] == "S" for stat in threads)
    except OSError:
        return False


def page_text(page):
    return page.read_text().replace("\\-", "-").replace("\\(aq", "'")


def talk_bot():
    """The second spam bot of the talk, with the landmarks that classifier/README.md gives it."""
    return re.search(r"(?m)^    (segmilter/1 .* seg=399p,29p,.*)$", (ROOT / "classifier/README.md").read_text()).group(1)


def postfix():
    """A message of 5 KB from Postfix, of the corpus the project is measured on."""
    traces = [line for line in (ROOT / "tests/data/corpus/base.trace").read_text().splitlines()
              if line.strip() and not line.startswith("#")]
    for row in csv.DictReader((ROOT / "tests/data/corpus/TRUTH.tsv").read_text().splitlines(), delimiter="\t"):
        if (row["file"], row["sender"], row["kind"]) == ("base.trace", "postfix", "k5"):
            return traces[int(row["message"]) - 1]
    raise AssertionError("the corpus has no Postfix")


def traces_in(file):
    return sum(bool(line.strip()) and not line.startswith("#") for line in file.read_text().splitlines())


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


if __name__ == "__main__":
    unittest.main(verbosity=2)
