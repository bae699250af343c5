"""`segmilter classify` from outside: formats, standard input, exit codes.

    classify_test.py SEGMILTER

Reads the captures of the fuzz corpus (tests/fuzz/corpus/pcap), which are small and made by hand.
"""
import json
import select
import signal
import struct
import subprocess
import sys
import tempfile
import unittest
from html.parser import HTMLParser
from pathlib import Path

PROGRAM = Path(sys.argv.pop(1)).resolve()
CORPUS = Path(__file__).resolve().parents[2] / "fuzz/corpus/pcap"
KEYS = {"file", "number", "client", "server", "helo", "message", "time", "pattern", "writer", "path", "confidence", "score", "action", "gait",
        "block", "mss", "tls", "chunking", "size", "header_size", "segments", "writes", "reasons", "trace"}


def classify(*arguments, stdin=b""):
    done = subprocess.run([PROGRAM, "classify", *map(str, arguments)], input=stdin, capture_output=True, timeout=300)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


class Formats(unittest.TestCase):
    def test_jsonl_is_an_object_a_message(self):
        code, out, err = classify("--format", "jsonl", CORPUS / "plain.pcap", CORPUS / "raw-bdat.pcap")
        self.assertEqual((code, err), (0, ""))
        plain, bdat = map(json.loads, out.splitlines())
        self.assertLessEqual(KEYS, plain.keys())
        self.assertEqual(plain["segments"], [200, 200, 200, 26])
        self.assertEqual(plain["size"], 626)
        self.assertEqual(plain["message"], 1)
        self.assertEqual(plain["client"], "192.0.2.1:40000")
        self.assertEqual((plain["chunking"], bdat["chunking"]), (False, True))

    def test_a_printed_trace_gives_the_same_verdict_again(self):
        _, out, _ = classify("--format", "jsonl", *sorted(CORPUS.iterdir()))
        before = [json.loads(line) for line in out.splitlines()]
        traces = "".join(message["trace"] + "\n" for message in before)
        code, out, _ = classify("--format", "jsonl", "-", stdin=traces.encode())
        self.assertEqual(code, 0)
        after = [json.loads(line) for line in out.splitlines()]
        for one, two in zip(before, after, strict=True):
            for key in KEYS - {"file", "client", "server", "helo", "time"}:
                self.assertEqual(one[key], two[key], key)

    def test_text_has_no_colours_in_a_pipe(self):
        code, out, _ = classify(CORPUS / "plain.pcap")
        self.assertEqual(code, 0)
        self.assertIn("200x3,26", out)
        self.assertNotIn("\x1b", out)

    def test_html_is_well_formed_and_loads_nothing(self):
        code, out, _ = classify("--format", "html", *sorted(CORPUS.iterdir()))
        self.assertEqual(code, 1)  # cut.pcap is among them
        opened, loads, names, wanted = [], [], set(), set()

        class Reader(HTMLParser):
            def handle_starttag(self, tag, attributes):
                if tag not in ("meta", "br", "wbr"):
                    opened.append(tag)
                for name, value in attributes:
                    if name == "id":
                        names.add(value)
                    elif name == "href" and value.startswith("#"):
                        wanted.add(value[1:])
                    elif name in ("src", "href", "style"):
                        loads.append(value)

            def handle_startendtag(self, tag, attributes):
                pass

            def handle_endtag(self, tag):
                assert opened.pop() == tag, tag

        Reader().feed(out)
        self.assertEqual((opened, loads), ([], []))
        self.assertGreater(len(wanted), 10)
        self.assertLessEqual(wanted, names)  # every link has its target


class Live:
    """classify with pipes at both ends; the input is written like a capture in progress."""

    def __init__(self, *arguments):
        # A shell starts background jobs with SIGINT ignored, and then classify leaves it ignored.
        self.process = subprocess.Popen([PROGRAM, "classify", *arguments, "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))

    def write(self, data):
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def line(self, seconds=10):
        """The next line; None: none came in time. (The limit is far above the usual time, because the machine may be busy.)"""
        readable, _, _ = select.select([self.process.stdout], [], [], seconds)
        return self.process.stdout.readline().decode() if readable else None

    def end(self):
        out, err = self.process.communicate(timeout=60)
        return self.process.returncode, out.decode(), err.decode()


def start_of(frames_left_out):
    """A capture without its last frames, and the last frames."""
    data = (CORPUS / "plain.pcap").read_bytes()
    begins, at = [], 24
    while at < len(data):
        begins.append(at)
        at += 16 + struct.unpack_from("<I", data, at + 8)[0]
    return data[:begins[-frames_left_out]], data[begins[-frames_left_out]:]


class Pipes(unittest.TestCase):
    def test_a_row_comes_when_its_message_ends_and_not_when_the_input_does(self):
        first, rest = start_of(2)
        for form in "jsonl", "text":
            with self.subTest(form):
                live = Live("--format", form)
                live.write(first)
                row = live.line()
                self.assertIsNotNone(row, "nothing came while the input was open")
                live.write(rest)
                code, out, err = live.end()
                self.assertEqual((code, err), (0, ""))
                if form == "jsonl":
                    self.assertEqual(json.loads(row)["size"], 626)
                    self.assertEqual(out, "")

    def test_a_trace_gives_its_row_at_once(self):
        live = Live("--format", "jsonl")
        for number in 1, 2:
            live.write(b"segmilter/1 seg=9n\n")
            self.assertEqual(json.loads(live.line())["number"], number)
        self.assertEqual(live.end()[0], 0)

    def test_a_signal_ends_it_with_what_is_there(self):
        first, _ = start_of(5)  # the message is not answered yet
        for number in signal.SIGINT, signal.SIGTERM:
            with self.subTest(number):
                live = Live("--format", "jsonl")
                live.write(b"")
                live.write(first)
                self.assertIsNone(live.line(1))
                live.process.send_signal(number)
                row = live.line()
                self.assertIsNotNone(row)
                self.assertEqual(json.loads(row)["size"], 626)
                self.assertEqual(live.process.wait(60), 0)
                self.assertEqual(live.process.stderr.read(), b"")
                live.process.stdin.close()

    def test_a_reader_that_goes_away_ends_it_in_silence(self):
        for what, data in (("while it waits", b"segmilter/1 seg=9n\n"), ("while it writes", b"segmilter/1 seg=9n\n" * 20000)):
            with self.subTest(what):
                live = Live("--format", "jsonl")
                live.write(data[:190])
                self.assertIsNotNone(live.line())
                live.process.stdout.close()
                try:
                    live.write(data[190:])
                except BrokenPipeError:
                    pass  # it has gone already
                self.assertEqual(live.process.wait(60), 0)
                self.assertEqual(live.process.stderr.read(), b"")
                try:
                    live.process.stdin.close()
                except BrokenPipeError:
                    pass

    def test_a_full_disk_is_told(self):
        with open("/dev/full", "w") as full:
            done = subprocess.run([PROGRAM, "classify", CORPUS / "plain.pcap"], stdout=full, stderr=subprocess.PIPE, timeout=60)
        self.assertEqual(done.returncode, 74)
        self.assertEqual(done.stderr, b"segmilter: cannot write the report: No space left on device\n")


class Jobs(unittest.TestCase):
    def test_many_files_come_in_order_with_their_warnings(self):
        files = sorted(CORPUS.iterdir()) * 4 + [CORPUS / "absent.pcap"]
        for form in "jsonl", "text", "html":
            with self.subTest(form):
                expected = classify("--format", form, "--jobs", 1, *files)
                self.assertEqual(expected[0], 1)
                for jobs in 2, 7:
                    self.assertEqual(classify("--format", form, "--jobs", jobs, *files), expected)

    def test_rows_have_numbers_of_their_own(self):
        _, out, _ = classify("--format", "jsonl", "--jobs", 2, *sorted(CORPUS.iterdir()) * 2)
        numbers = [json.loads(line)["number"] for line in out.splitlines()]
        self.assertEqual(numbers, list(range(1, len(numbers) + 1)))

    def test_a_number_of_jobs_that_makes_no_sense_is_refused(self):
        for jobs in "0", "-1", "x", "257":
            self.assertEqual(classify("--jobs", jobs, CORPUS / "plain.pcap")[0], 64)


class Input(unittest.TestCase):
    def test_every_format_and_link_type_gives_the_same_message(self):
        names = ["plain.pcap", "big-endian.pcap", "nanoseconds.pcap", "modified.pcap", "vlan-ipv6.pcap", "cooked.pcap",
                 "cooked2.pcap", "loopback.pcap"]
        code, out, _ = classify("--format", "jsonl", *(CORPUS / name for name in names))
        self.assertEqual(code, 0)
        messages = [json.loads(line) for line in out.splitlines()]
        self.assertEqual([message["segments"] for message in messages], [[200, 200, 200, 26]] * len(names))

    def test_standard_input(self):
        code, out, _ = classify("--format", "jsonl", "-", stdin=(CORPUS / "plain.pcapng").read_bytes())
        self.assertEqual(code, 0)
        self.assertEqual(json.loads(out)["file"], "-")

    def test_a_damaged_capture_gives_what_could_be_read_and_exit_1(self):
        code, out, err = classify("--format", "jsonl", CORPUS / "cut.pcap")
        self.assertEqual(code, 1)
        self.assertEqual(json.loads(out)["state"], "partial")
        self.assertRegex(err, r"^segmilter: warning: .*cut\.pcap: offset \d+: truncated")

    def test_tls_is_unobserved(self):
        _, out, _ = classify("--format", "jsonl", CORPUS / "tls.pcap")
        message = json.loads(out)
        self.assertEqual((message["pattern"], message["tls"], message["message"]), ("unobserved", True, 1))
        self.assertIn("encrypted", message["reasons"])

    def test_exit_codes(self):
        plain = CORPUS / "plain.pcap"
        with tempfile.TemporaryDirectory() as folder:
            text = Path(folder, "text")
            text.write_text("neither\n")
            bad = Path(folder, "bad.toml")
            bad.write_text("[policy]\nreject = 'x'\n")
            for what, arguments, expected in (
                ("nothing to read", [Path(folder, "absent")], 66),
                ("not a capture", [text], 66),
                ("one of two", [text, plain], 1),
                ("no file", [], 64),
                ("an unknown format", ["--format", "xml", plain], 64),
                ("an unknown order", ["--format", "html", "--sort", "size", plain], 64),
                ("an order without a page", ["--sort", "time", plain], 64),
                ("a configuration with an error", ["--config", bad, plain], 78),
            ):
                with self.subTest(what):
                    code, _, err = classify(*arguments)
                    self.assertEqual(code, expected)
                    self.assertTrue(err.startswith("segmilter: "), err)

    def test_the_configuration_counts(self):
        with tempfile.TemporaryDirectory() as folder:
            config = Path(folder, "segmilter.toml")
            config.write_text("[policy]\nmin_confidence = 0.0\ntempfail = -50.0\n")
            trace = b"segmilter/1 mss=1448 dot=3 seg=1448x9,331+6pn\n"
            _, out, _ = classify("--format", "jsonl", "--config", config, "-", stdin=trace)
            self.assertEqual(json.loads(out)["would"], "tempfail")


if __name__ == "__main__":
    unittest.main()
