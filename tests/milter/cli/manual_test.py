"""The manual: mandoc has no complaint about the pages, and the examples of --help and of the pages work.

    manual_test.py SEGMILTER

A shell runs each example unchanged, in a folder with a configuration, a capture and a truth of that name. Only programs that would
change or need the machine itself are replaced (PLAYED).
"""
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

PROGRAM = Path(sys.argv.pop(1)).resolve()
ROOT = Path(__file__).resolve().parents[3]
PAGES = sorted((ROOT / "packaging/man").glob("*.[58]"))
COMMANDS = ("run", "proxy", "wire", "filter", "check", "nft", "doctor", "classify", "evaluate", "gait", "version")
# Replacements for the machine's programs that an example pipes from or into: a tcpdump that gives the example's capture, and a
# shell and a firewall that only read.
PLAYED = {"tcpdump": "cat \"$HERE/mail.pcap\"", "nft": "grep -q 'table inet segmilter'", "sh": "grep -q 'ip -'"}
SERVES = ("run", "proxy", "wire", "filter")  # they run until they get a signal


def help_of(*command):
    done = subprocess.run([PROGRAM, *command, "--help"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done
    return done.stdout


def examples_in(text):
    """The commands below "Example(s):", without their explanations."""
    block = re.search(r"(?ms)^Examples?:\n(.*?)(?:^\S|\Z)", text)
    lines = block.group(1).splitlines() if block else []
    return [re.split(r"  +", line.strip())[0] for line in lines if line.strip()]


class Pages(unittest.TestCase):
    def test_mandoc_has_nothing_to_say(self):
        mandoc = shutil.which("mandoc")
        self.assertTrue(mandoc, "mandoc is not installed (run packaging/install-packages test)")
        done = subprocess.run([mandoc, "-Tlint", *PAGES], capture_output=True, text=True, timeout=60)
        self.assertEqual((done.returncode, done.stdout + done.stderr), (0, ""))

    def test_each_command_and_option_is_in_the_page(self):
        page = (ROOT / "packaging/man/segmilter.8").read_text().replace("\\-", "-")
        for command in COMMANDS:
            self.assertRegex(page, rf"(?m)^\.(TP\n\.)?BR? .*\b{command}\b", command)
            for option in re.findall(r"(?m)^  (?:-\w,)?(--[\w-]+)", help_of(command)):
                self.assertIn(option, page, f"{command} {option}")


class Help(unittest.TestCase):
    def test_each_command_has_examples_of_its_own_only(self):
        for command in COMMANDS[:-1]:
            found = examples_in(help_of(command))
            self.assertTrue(found, command)
            for line in found:
                self.assertIn(f"segmilter {command}", line)

    def test_types_are_words(self):
        for command in COMMANDS:
            text = help_of(command)
            self.assertNotRegex(text, r"TEXT|UINT|INT\b|FLOAT|:\{| in \[|REQUIRED|Needs:|Excludes:", command)
        self.assertRegex(help_of("classify"), r"--format text\|jsonl\|html \(default text\)")
        self.assertRegex(help_of("evaluate"), r"--truth TRUTH\.tsv \(required\)")


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
""")
        wire = cls.folder / "wire.toml"
        wire.write_text(re.sub(r"(?s)\[proxy\].*?(?=\[evidence\])", "[wire]\nports = [25]\n", config.read_text()))
        # The program as the examples call it: without -c it reads this folder's file, and `wire` one of its own kind.
        wrapper = tools / "segmilter"
        wrapper.write_text(f"""#!/bin/bash
command=$1; shift
[ "$command" != wire ] || set -- -c {wire}
case " $* " in *" -c "*|*" --config "*) ;; *) case $command in classify|evaluate|gait) ;; *) set -- -c {config} "$@" ;; esac ;; esac
exec {PROGRAM} "$command" "$@"
""")
        wrapper.chmod(0o755)
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
        # A program that serves gets a signal when it is ready; the others end by themselves.
        serves = any(f"segmilter {command}" in line for command in SERVES)
        command = f"timeout --foreground --preserve-status -s INT 3 {line}" if serves else f"set -o pipefail; {line}"
        return subprocess.run(["/bin/bash", "-c", command], capture_output=True, text=True, timeout=120, cwd=self.folder,
                              env={**os.environ, "PATH": self.path})

    def test_they_work(self):
        lines = sorted({line for command in ((), *((command,) for command in COMMANDS)) for line in examples_in(help_of(*command))})
        page = (ROOT / "packaging/man/segmilter.8").read_text()
        shown = re.search(r"(?ms)^\.SH EXAMPLES$(.*?)^\.SH ", page).group(1)
        lines += [line.replace("\\-", "-") for line in re.findall(r"(?m)^((?:segmilter|tcpdump) .*)$", shown)]
        self.assertGreater(len(lines), 20)
        for line in lines:
            done = self.shell(line)
            # The doctor fails here, because there is no Postfix; it must have printed findings.
            good = (1,) if "segmilter doctor" in line else (0,)
            self.assertIn(done.returncode, good, f"{line}\n{done.stdout}{done.stderr}")
            self.assertNotIn("see segmilter --help", done.stderr, line)
            if "doctor" in line:
                self.assertIn("fail", done.stdout, line)


def traces_in(file):
    return sum(bool(line.strip()) and not line.startswith("#") for line in file.read_text().splitlines())


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


if __name__ == "__main__":
    unittest.main(verbosity=2)
