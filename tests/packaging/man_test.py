"""The manual pages: mandoc and groff find no fault, the pages refer to each other, and they say what the program and its source say.

    man_test.py SEGMILTER
"""
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
import unittest
from pathlib import Path

PROGRAM = Path(sys.argv.pop(1)).resolve()
ROOT = Path(__file__).resolve().parents[2]
MAN = ROOT / "packaging/man"
FILES = sorted(MAN.glob("*.[1-8]"))
PAGES = [file for file in FILES if not file.is_symlink()]  # a link is another name of one of these
README = (ROOT / "README.md").read_text()


def run(*command, **options):
    return subprocess.run(command, capture_output=True, text=True, timeout=60, **options)


def page_text(name):
    return (MAN / name).read_text().replace("\\-", "-").replace("\\&", "")


def plain(name):
    """The page as a reader sees it, in one line."""
    done = run("mandoc", "-T", "utf8", "-O", "width=1000", MAN / name)
    return " ".join(re.sub(".\b", "", done.stdout).split()).replace("‐", "-")


def references(text):
    """The pages of ours that are named: "segmilter-gait.5"."""
    return {f"{name}.{section}" for name, section in re.findall(r"(?m)^\.BR (segmilter[\w.-]*) \((\d)\)", text)}


def section(text, name):
    found = re.search(rf"(?ms)^\.SH {name}$\n(.*?)(?=^\.SH |\Z)", text)
    return found.group(1) if found else ""


def source(path):
    return (ROOT / path).read_text()


class Form(unittest.TestCase):
    def test_mandoc_has_nothing_to_say(self):
        done = run("mandoc", "-Tlint", *PAGES)
        self.assertEqual((done.returncode, done.stdout + done.stderr), (0, ""))

    def test_man_has_nothing_to_say(self):
        for page in PAGES:
            done = run("man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z", page,
                       env={**os.environ, "LC_ALL": "C.UTF-8", "MANROFFSEQ": ""})
            self.assertEqual((done.returncode, done.stderr), (0, ""), page.name)

    def test_man_k_finds_each_page(self):
        folder = Path(tempfile.mkdtemp(prefix="segmilter-man-"))
        self.addCleanup(shutil.rmtree, folder)
        for file in FILES:
            (folder / f"man{file.suffix[1:]}").mkdir(exist_ok=True)
            shutil.copy(file, folder / f"man{file.suffix[1:]}", follow_symlinks=False)
        self.assertEqual(run("mandb", "-q", "-c", folder).returncode, 0)
        found = run("man", "-M", folder, "-k", "segmilter").stdout
        self.assertEqual({f"{name}.{section}" for name, section in re.findall(r"(?m)^(\S+) \((\d)\) +- \w", found)},
                         {file.name for file in FILES})
        for file in FILES:
            done = run("man", "-M", folder, file.suffix[1:], file.stem, env={**os.environ, "MANWIDTH": "200", "LC_ALL": "C"})
            self.assertRegex(done.stdout, rf"NAME\n +.*\b{file.stem}\b", file.name)

    def test_the_overview_is_short(self):
        self.assertLessEqual(len((MAN / "segmilter.8").read_text().splitlines()), 300)


class References(unittest.TestCase):
    def test_a_page_that_is_named_is_there_and_each_page_is_named(self):
        names = {file.name for file in FILES}
        named = {f"{name}.{section}" for name, section in re.findall(r"\b(segmilter(?:[.-]\w+)*)\((\d)\)", README)}
        for page in PAGES:
            named |= references(page_text(page.name))
        self.assertEqual(named - names, set(), "pages that are named and not there")
        self.assertEqual({page.name for page in PAGES} - named, set(), "pages that no document names")

    def test_see_also_goes_both_ways(self):
        also = {page.name: references(section(page_text(page.name), "SEE ALSO")) for page in PAGES}
        self.assertEqual(also["segmilter.8"], {page.name for page in PAGES} - {"segmilter.8"}, "segmilter(8) names all pages")
        for name, others in also.items():
            self.assertNotIn(name, others)
            for other in others:
                self.assertIn(name, also[(MAN / other).resolve().name], f"{other} does not name {name} in SEE ALSO")

    def test_each_command_has_a_page_with_its_options(self):
        overview = section(page_text("segmilter.8"), "COMMANDS")
        commands = re.findall(r"(?m)^  (\w+)", re.search(r"(?s)^Commands:\n(.*?)\n\n", self.help_of(), re.M).group(1))
        self.assertGreater(len(commands), 10)
        for command in commands:
            self.assertRegex(overview, rf"(?m)^\.TP\n\.BR? .*\b{command}\b", f"{command} is not in COMMANDS of segmilter(8)")
            text = self.help_of(command)
            more = re.search(r"(?s)More: (.*)\.\n", text)
            self.assertTrue(more, f"{command} --help names no manual")
            pages = [f"{name}.{number}" for name, number in re.findall(r"([\w.-]+)\((\d)\)", more.group(1))]
            self.assertEqual([page for page in pages if not (MAN / page).exists()], [], command)
            if command != "version":
                self.assertTrue(any(file.stem == f"segmilter-{command}" for file in FILES), f"man segmilter-{command} finds nothing")
            own = page_text(pages[0])
            self.assertRegex(own, rf"\b{command}\b")
            for option in re.findall(r"(?m)^  (?:-\w, |    )(--[\w-]+)", text):
                self.assertIn(option, own + page_text("segmilter.8"), f"{command} {option} is not in {pages[0]}")

    def help_of(self, *command):
        return run(PROGRAM, *command, "--help").stdout


class Settings(unittest.TestCase):
    """segmilter.toml(5) against the program, and its mark [restart] against the packaged file."""

    @classmethod
    def setUpClass(cls):
        with tempfile.NamedTemporaryFile("w", suffix=".toml") as file:
            file.write('[general]\nuser = "nobody"\n')
            file.flush()
            printed = run(PROGRAM, "check", "--print", "-c", file.name)
        assert printed.returncode == 0, printed
        cls.defaults = tomllib.loads(printed.stdout)
        cls.defaults["general"]["user"] = "segmilter"
        # Settings without a default are not printed; a listener has no section until somebody writes one.
        cls.unset = {("proxy", "upstream"), ("policy_service", "socket")}
        # Tables of which there may be several: segmilter-policy(7) has their keys.
        cls.tables = {("policy_service", "rule")}
        cls.listener = ("port", "mode", "tempfail", "quarantine", "reject")
        cls.page = {}  # (section, setting) → the text below it
        for name, body in re.findall(r"(?ms)^\.SS \[([\w.]+)\]\n(.*?)(?=^\.S[SH] )", page_text("segmilter.toml.5")):
            for tag, text in re.findall(r"(?ms)^\.TP\n\.BR? (.*?)\n(.*?)(?=^\.TP|\Z)", body):
                for setting in re.findall(r"[\w-]+", tag):
                    cls.page[name.split(".")[0], setting] = text

    def test_each_setting_is_there_and_no_other(self):
        settings = {(name, key) for name, keys in self.defaults.items() for key in keys} | self.unset
        settings |= {("listener", key) for key in self.listener} | self.tables
        self.assertGreater(len(settings), 90)
        self.assertEqual(settings - set(self.page), set(), "settings that segmilter.toml(5) does not have")
        self.assertEqual(set(self.page) - settings, set(), "settings that are only in segmilter.toml(5)")

    def test_each_default_is_that_of_the_program(self):
        for (name, key), text in self.page.items():
            if name == "listener" or (name, key) in self.unset | self.tables:
                continue
            shown = re.search(r"(?s)Defaults?: (.*?)\.?(?: \[restart\])?$", text.strip())
            self.assertTrue(shown, f"{name}.{key} has no default in segmilter.toml(5)")
            values = tomllib.loads("all = [" + shown.group(1) + "]")["all"]
            tags = [other for (section, other), same in self.page.items() if section == name and same == text]
            value = values[tags.index(key)] if len(values) == len(tags) else values[0]
            self.assertEqual(measure(value), measure(self.defaults[name][key]), f"{name}.{key}")

    def test_each_range_is_that_of_the_program(self):
        tried = 0
        for (name, key), text in self.page.items():
            default = self.defaults.get(name, {}).get(key)
            if isinstance(default, (bool, list, type(None))) or default == measure(default) and isinstance(default, str):
                continue  # only numbers, durations and sizes have a range
            found = re.search(r'"?(-?[\d.]+(?:ms|[smhKMG])?)"?\s+to\s+"?(-?[\d.]+(?:ms|[smhKMG])?)"?', text)
            if not found:
                continue
            tried += 1
            low, high = (bound.rstrip(".") for bound in found.groups())
            for value, good in ((low, True), (high, True), (beyond(low, -1), False), (beyond(high, 1), False)):
                said = self.check(name, key, value)
                self.assertEqual("is out of range" in said or "is not a" in said, not good, f"{name}.{key} = {value}: {said}")
        self.assertGreater(tried, 40)

    def check(self, name, key, value):
        """What the program says of a file with this setting."""
        quoted = value if re.fullmatch(r"-?[\d.]+", value) else f'"{value}"'
        with tempfile.NamedTemporaryFile("w", suffix=".toml") as file:
            file.write(f"[{name}]\n{key} = {quoted}\n")
            file.flush()
            return run(PROGRAM, "check", "-c", file.name).stderr

    def test_a_restart_is_marked_as_in_the_packaged_file(self):
        packaged, comment, name, before = {}, "", "", ""
        for line in source("packaging/segmilter.toml").splitlines():
            if found := re.match(r"\[([\w.]+)\]$", line):
                name = found.group(1)
            elif found := re.match(r"#?([\w-]+) = ", line):
                packaged[name, found.group(1)] = "[restart]" in comment
            elif line.startswith("#"):  # a comment is about the settings below it, until the next comment
                comment = comment + line if before.startswith("# ") else line
            before = line
        marked = {key: "[restart]" in text for key, text in self.page.items() if key in packaged}
        self.assertGreater(len(marked), 90)
        for key, mark in marked.items():
            self.assertEqual(mark, packaged[key], ".".join(key))


class Words(unittest.TestCase):
    """Each word that the program writes is explained."""

    def listed(self, file, begin, end="});"):
        text = source(file)
        at = text.index(begin)
        return text[at:text.index(end, at)]

    def test_each_word_of_why(self):
        words = re.findall(r'\{Because::\w+,\s+"([a-z-]+)', source("classifier/reasons.cc"))
        self.assertGreater(len(words), 20)
        page = section(page_text("segmilter-header.5"), "WHY")
        self.assertEqual([word for word in words if not re.search(rf"(?<![\w-]){word}(?![\w-])", page)], [])

    def test_each_key_of_the_line_of_a_message(self):
        keys = re.findall(r'facts\.(?:text|number)\("([a-z_]+)"', source("milter/filter/message_log.cc"))
        self.assertGreater(len(keys), 20)
        pages = page_text("segmilter-log.5") + section(page_text("segmilter-header.5"), "KEYS")
        tags = set(re.findall(r"[\w-]+", " ".join(re.findall(r"(?m)^\.TP\n\.BR? (.*)$", pages))))
        self.assertEqual([key for key in keys if key not in tags | {"trace", "reasons"}], [])

    def test_each_reason_and_pattern(self):
        reasons = re.findall(r'"([a-z-]+)"', self.listed("classifier/trace_text.cc", "kReason ="))[1:]
        self.assertGreater(len(reasons), 10)
        for page, name in (("segmilter-header.5", "REASONS"), ("segmilter-trace.5", "HOW IT WAS OBSERVED")):
            text = section(page_text(page), name)
            self.assertEqual([word for word in reasons if not re.search(rf"(?<![\w-]){word}(?![\w-])", text)], [], page)
        patterns = re.findall(r'"([a-z-]+)"', self.listed("classifier/pattern.h", "kPatternNames", "};"))
        self.assertEqual(len(patterns), 11)
        text = section(page_text("segmilter-header.5"), "PATTERNS")
        self.assertEqual([word for word in patterns if f".B {word}\n" not in text], [])

    def test_each_key_of_a_trace_and_each_word_of_a_dialogue(self):
        page = page_text("segmilter-trace.5")
        tags = set(re.findall(r"[\w-]+", " ".join(re.findall(r"(?m)^\.TP\n\.BR? (.*)$", page))))
        keys = re.findall(r'>\("([\w-]+)"\)', source("classifier/trace_text.cc"))
        self.assertGreater(len(keys), 25)
        self.assertEqual([key for key in keys if key not in tags | {"talk"}], [])
        grammar = re.search(r"(?s)^key +=(.*?)^run ", section(page, "GRAMMAR"), re.M).group(1)
        self.assertEqual(re.findall(r'"([\w-]+)"', grammar), keys, "the order in which the program writes them")
        words = re.findall(r'\{"([\w-]+)", (&Dialogue::|nullptr)', source("classifier/dialogue_words.h"))
        own = [word for word, member in words if member != "nullptr"]
        self.assertEqual([word for word in own if word not in tags], [])
        gait = page_text("segmilter-gait.5")
        self.assertEqual([word for word, member in words if member == "nullptr" and word not in gait], [])

    def test_each_word_of_a_gait(self):
        page = page_text("segmilter-gait.5")
        code = source("classifier/gait_text.cc")
        grammar = section(page, "GRAMMAR")
        for table in ("kClasses", "kBases", "kBodies", "kDots", "kNagle", "kFirsts"):
            words = re.findall(r'"([\w-]+)"', self.listed("classifier/gait_text.cc", f"{table} ="))
            self.assertGreater(len(words), 2)
            self.assertEqual([word for word in words if f'"{word}"' not in grammar], [], table)
        keys = re.findall(r'key == "(\w+)"', code)
        self.assertGreater(len(keys), 9)
        keys_section = section(page, "KEYS")
        self.assertEqual([key for key in keys if key != "gait" and not re.search(rf'(?m)^\.B "?{key}\b', keys_section)], [])

    def test_each_warning_and_each_error_of_the_log(self):
        page = plain("segmilter-log.5").lower()
        found = 0
        for file in sorted((ROOT / "milter").rglob("*.cc")):
            for words in log_messages(file.read_text()):
                found += 1
                self.assertTrue(words.lower() in page, f"{file.relative_to(ROOT)} logs '{words}', and DIAGNOSTICS of segmilter-log(5) "
                                                       "does not say what to do about it")
        self.assertGreater(found, 40)

    def test_the_search_for_messages_itself(self):
        self.assertEqual(list(log_messages('  logging::warning(fmt::format("a {} is longer"\n " than {:.1f}", f("x")));')),
                         ["is longer than"])
        self.assertEqual(list(log_messages('logging::error(error.what()); logging::info("x");')), [])


class Examples(unittest.TestCase):
    def test_the_header_field_is_that_of_the_readme(self):
        # manual_test.py compares the one in README with the program.
        shown = section(page_text("segmilter-header.5"), "SYNOPSIS").replace(".nf\n", "").replace(".fi\n", "")
        self.assertEqual(shown.split(), re.search(r"(?s)\n(    X-Protocol-Pattern: .*?; v=1)\n", README).group(1).split())

    def test_the_traces_have_the_labels_that_stand_above_them(self):
        shown = re.findall(r"(?m)^# ([a-z-]+): .*\n(segmilter/1 .*)$", page_text("segmilter-trace.5"))
        self.assertGreater(len(shown), 5)
        # With their comments, as a user would put them into a file.
        text = "".join(f"# {label}\n\n{trace}\n" for label, trace in shown)
        done = run(PROGRAM, "classify", "--format", "jsonl", "-", input=text)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual([json.loads(line)["pattern"] for line in done.stdout.splitlines()], [label for label, _ in shown])

    def test_the_synopsis_of_the_trace_is_the_template_bot(self):
        trace = " ".join(section(page_text("segmilter-trace.5"), "SYNOPSIS").split("\n.")[0].split("\n", 1)[1].split())
        done = run(PROGRAM, "classify", "--format", "jsonl", "-", input=trace + "\n")
        self.assertEqual(json.loads(done.stdout)["pattern"], "bot-template", done.stderr)

    def test_the_entry_in_the_synopsis_of_the_gait_is_one(self):
        entry = section(page_text("segmilter-gait.5"), "SYNOPSIS").replace(".nf\n", "").replace(".fi\n", "")
        with tempfile.TemporaryDirectory() as folder:
            gaits, config = Path(folder, "acme.gait"), Path(folder, "own.toml")
            gaits.write_text(entry)
            config.write_text(f'[gaits]\nfiles = ["{gaits}"]\n')
            done = run(PROGRAM, "gait", "-c", config)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stdout, r"(?m)^acme +library +acme$")


def beyond(bound, direction):
    """The next value outside of a range; the unit stays."""
    number, unit = re.fullmatch(r"(-?[\d.]+)(\w*)", bound).groups()
    return f"{float(number) + direction:g}" if "." in number else f"{int(number) + direction}{unit}"


def measure(value):
    """A duration in milliseconds, a size in bytes, any other value as it is."""
    units = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
    found = re.fullmatch(r"(\d+)(ms|s|m|h|K|M|G)", str(value))
    return int(found.group(1)) * units[found.group(2)] if found else value


def log_messages(text):
    """The longest run of fixed words in each call that logs a warning or an error."""
    for call in re.finditer(r"logging::(?:warning|error)\(|\bwarn\(context\b", text):
        depth, at, message = 1, call.end(), ""
        while depth and at < len(text):
            if literal := re.compile(r'"((?:[^"\\]|\\.)*)"').match(text, at):
                message += literal.group(1).replace('\\"', '"')
                at = literal.end()
                continue
            if not text[at].isspace():  # only literals with nothing but blanks between them are one
                message += "{}"
            depth += {"(": 1, ")": -1}.get(text[at], 0)
            at += 1
        parts = re.split(r"\{[^}]*\}", message)
        words = max((part.strip(" :;,.") for part in parts), key=len, default="")
        if len(words) > 8:
            yield words


if __name__ == "__main__":
    unittest.main(verbosity=2)
