"""Bash completion: the function alone, and a real bash in a terminal to which keys are sent.

    completion_test.py SEGMILTER
"""
import os
import pty
import re
import select
import shutil
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

PROGRAM = Path(sys.argv.pop(1)).resolve()
FILE = Path(__file__).resolve().parents[2] / "packaging/completion/segmilter"
# Names that a careless completion would quote, split or run.
HOSTILE = ["a b.pcap", "quote'and\"both.pcap", "$(touch ran).pcap", "`touch ran`.pcap", "back\\slash.pcap", "semi;colon&.pcap",
           "*.pcap", "[x]?.pcap", "-dash.pcap", "new\nline.pcap", "colon:equals=.pcap", "#hash!.pcap", "~tilde.pcap", "umlaut-ä.pcap"]


def help_of(*command):
    return subprocess.run([PROGRAM, *command, "--help"], capture_output=True, text=True, check=True, timeout=60).stdout


def section(text, name):
    found = re.search(rf"(?ms)^{name}:\n(.*?)\n\n", text + "\n\n")
    return found.group(1) if found else ""


def commands():
    return re.findall(r"(?m)^  (\w+)", section(help_of(), "Commands"))


def options(text):
    """(names, type) of each option; type "" is a flag."""
    rows = re.findall(r"(?m)^  (?:(-\w), |    )(--[\w-]+)(?: (\S+))?(?=  |$)", section(text, "Options"))
    return [([name for name in row[:2] if name], row[2]) for row in rows]


def offered(*words, cwd="/", before=""):
    """What the function offers for the last of the words."""
    script = f'{before}\nsource "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _segmilter; printf "%s\\0" "${{COMPREPLY[@]}}"'
    done = subprocess.run(["/bin/bash", "--norc", "-c", script, "bash", FILE, str(PROGRAM), *words], capture_output=True, cwd=cwd,
                          timeout=60)
    assert done.returncode == 0 and not done.stderr, done
    return sorted(word for word in done.stdout.decode().split("\0") if word)


class Words(unittest.TestCase):
    def test_each_command_is_offered(self):
        self.assertGreater(len(commands()), 10)
        self.assertEqual(offered(""), sorted(commands()))
        self.assertEqual(offered("ch"), ["check"])

    def test_each_option_of_each_command_is_offered(self):
        for command in [None, *commands()]:
            before = [command] if command else []
            names = [name for row, _ in options(help_of(*before)) for name in row]
            self.assertIn("--help", names)
            self.assertEqual(offered(*before, "-"), sorted(names), command)

    def test_each_value_of_each_option_is_offered(self):
        seen = 0
        for command in commands():
            for names, kind in options(help_of(command)):
                if not re.fullmatch(r"[a-z0-9-]+(\|[a-z0-9-]+)+", kind):
                    continue
                values = sorted(kind.split("|"))
                seen += 1
                for name in names:
                    self.assertEqual(offered(command, name, ""), values)
                    self.assertEqual(offered(command, name, "=", ""), values)
                    self.assertEqual(offered(command, name, "="), values)
                    self.assertEqual(offered(command, name, values[0][:2]),
                                     [value for value in values if value.startswith(values[0][:2])])
        self.assertGreater(seen, 3)

    def test_nothing_is_offered_where_only_the_user_knows(self):
        self.assertEqual(offered("gait", "--learn", ""), [])
        self.assertEqual(offered("classify", "--jobs", ""), [])
        self.assertEqual(offered("forget", ""), [])

    def test_words_that_are_no_commands_are_not_run(self):
        with tempfile.TemporaryDirectory() as folder:
            self.assertEqual(offered("$(touch ran)", "; touch ran;", "ch", cwd=folder), ["check"])
            self.assertEqual(os.listdir(folder), [])


class Files(unittest.TestCase):
    def setUp(self):
        self.folder = Path(tempfile.mkdtemp(prefix="segmilter-completion-"))
        self.addCleanup(shutil.rmtree, self.folder)
        for name in ("mail.pcap", "mail.pcapng.gz", "list.trace", "notes.txt", "own.toml", "TRUTH.tsv"):
            (self.folder / name).touch()
        (self.folder / "captures").mkdir()

    def offered(self, *words, **options):
        return offered(*words, cwd=self.folder, **options)

    def test_the_kind_that_is_wanted_is_offered_and_folders(self):
        captures = ["captures", "list.trace", "mail.pcap", "mail.pcapng.gz"]
        self.assertEqual(self.offered("classify", ""), captures)
        self.assertEqual(self.offered("classify", "mail.pcap", ""), captures)
        self.assertEqual(self.offered("gait", "--learn", "acme", ""), captures)
        self.assertEqual(self.offered("run", "-c", ""), ["captures", "own.toml"])
        self.assertEqual(self.offered("classify", "--config", "=", "o"), ["own.toml"])
        self.assertEqual(self.offered("evaluate", "--truth", ""), ["TRUTH.tsv", "captures"])

    def test_names_are_offered_as_they_are(self):
        for name in HOSTILE:
            (self.folder / name).touch()
        self.assertEqual(set(HOSTILE) - set(self.offered("classify", "")), set())
        self.assertEqual(self.offered("classify", "a\\ b"), ["a b.pcap"])
        self.assertEqual(self.offered("classify", "'a b"), ["a b.pcap"])
        self.assertEqual(self.offered("classify", "\"quote'and\\\"b"), ["quote'and\"both.pcap"])
        self.assertEqual(self.offered("classify", "\\*"), ["*.pcap"])
        self.assertFalse((self.folder / "ran").exists())

    def test_the_settings_of_the_users_shell_do_not_matter(self):
        for setting in ("shopt -s failglob", "shopt -s nullglob", "set -u", "IFS=:"):
            self.assertEqual(self.offered("classify", "none", before=setting), [], setting)
            self.assertEqual(self.offered("classify", "mail.pcap", before=setting), ["mail.pcap", "mail.pcapng.gz"], setting)
            self.assertEqual(self.offered("doctor", "--format", "", before=setting), ["json", "text"], setting)


class Package(unittest.TestCase):
    def test_the_package_bash_completion_finds_and_loads_it(self):
        with tempfile.TemporaryDirectory() as folder:
            os.mkdir(f"{folder}/completions")
            shutil.copy(FILE, f"{folder}/completions/segmilter")
            done = subprocess.run(["/bin/bash", "--norc", "-c", "source /usr/share/bash-completion/bash_completion && "
                                   "_completion_loader segmilter; echo $?; complete -p segmilter"], capture_output=True, text=True,
                                  env={**os.environ, "BASH_COMPLETION_USER_DIR": folder, "XDG_DATA_DIRS": folder}, timeout=60)
        # 124 tells readline to try again with what was loaded.
        self.assertEqual((done.stdout, done.stderr), ("124\ncomplete -o default -F _segmilter segmilter\n", ""))


class Terminal(unittest.TestCase):
    """What arrives at the program when a user presses the Tab key."""

    def setUp(self):
        self.folder = Path(tempfile.mkdtemp(prefix="segmilter-completion-"))
        self.addCleanup(shutil.rmtree, self.folder)
        # It answers --help as the program does, and records all other calls.
        tool = self.folder / "bin/segmilter"
        tool.parent.mkdir()
        tool.write_text(f'#!/bin/bash\n[[ ${{!#}} != --help ]] || exec {PROGRAM} "$@"\n'
                        f'printf "%s\\0" "$@" >{self.folder}/called.new; mv {self.folder}/called.new {self.folder}/called\n')
        tool.chmod(0o755)

    def typed(self, keys, *names):
        """The arguments of the program after the keys and a line end."""
        place = Path(tempfile.mkdtemp(dir=self.folder))
        for name in names:
            (place / name).mkdir() if name.endswith("/") else (place / name).touch()
        pid, terminal = pty.fork()
        if pid == 0:
            os.chdir(place)
            os.environ.update(PATH=f"{self.folder}/bin:{os.environ['PATH']}", PS1="READY> ", TERM="dumb", LC_ALL="C.UTF-8")
            os.execv("/bin/bash", ["bash", "--norc", "--noprofile", "-i"])
        try:
            self.wait_for(terminal, lambda seen: b"READY> " in seen)
            os.write(terminal, f"source {FILE}; set +H; bind 'set bell-style none'; echo so''urced\n".encode())
            self.wait_for(terminal, lambda seen: b"sourced" in seen)
            called = self.folder / "called"
            called.unlink(missing_ok=True)
            os.write(terminal, keys.encode() + b"\n")
            self.wait_for(terminal, lambda seen: called.exists())
            return called.read_bytes().decode().split("\0")[:-1]
        finally:
            os.close(terminal)
            os.waitpid(pid, 0)

    def wait_for(self, terminal, condition):
        seen, end = b"", time.monotonic() + 60
        while not condition(seen):
            self.assertLess(time.monotonic(), end, seen)
            if select.select([terminal], [], [], 0.05)[0]:
                seen += os.read(terminal, 4096)

    def test_a_command_and_an_option_are_completed(self):
        self.assertEqual(self.typed("segmilter che\t--pri\t"), ["check", "--print"])
        self.assertEqual(self.typed("segmilter doctor --format=j\t"), ["doctor", "--format=json"])
        self.assertEqual(self.typed("segmilter doctor --format j\t"), ["doctor", "--format", "json"])

    def test_hostile_names_reach_the_program_as_they_are(self):
        for name in HOSTILE:
            begin = {"-": "./", "~": "./"}.get(name[0], "")
            self.assertEqual(self.typed(f"segmilter classify {begin}\t", name), ["classify", begin + name])

    def test_a_folder_is_entered_and_a_capture_with_another_name_is_found(self):
        self.assertEqual(self.typed("segmilter classify d\to", "dumps/", "notes.txt"), ["classify", "dumps/o"])
        self.assertEqual(self.typed("segmilter classify o\t", "odd-name"), ["classify", "odd-name"])
        self.assertEqual(self.typed("segmilter evaluate --truth T\tc\t", "TRUTH.tsv", "captures/", "c.txt"),
                         ["evaluate", "--truth", "TRUTH.tsv", "captures/"])


if __name__ == "__main__":
    unittest.main(verbosity=2)
