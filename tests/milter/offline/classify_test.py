"""`segmilter classify` from outside: formats, standard input, exit codes.

    classify_test.py SEGMILTER

Reads the captures of the fuzz corpus (tests/fuzz/corpus/pcap): small, made by us.
"""
import json
import subprocess
import sys
import tempfile
import unittest
from html.parser import HTMLParser
from pathlib import Path

PROGRAM = Path(sys.argv.pop(1)).resolve()
CORPUS = Path(__file__).resolve().parents[2] / "fuzz/corpus/pcap"
KEYS = {"file", "client", "server", "message", "pattern", "writer", "path", "confidence", "score", "action", "gait",
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
            for key in KEYS - {"file", "client", "server"}:
                self.assertEqual(one[key], two[key], key)

    def test_text_has_no_colours_in_a_pipe(self):
        code, out, _ = classify(CORPUS / "plain.pcap")
        self.assertEqual(code, 0)
        self.assertIn("200x3,26", out)
        self.assertNotIn("\x1b", out)

    def test_html_is_well_formed_and_loads_nothing(self):
        code, out, _ = classify("--format", "html", *sorted(CORPUS.iterdir()))
        self.assertEqual(code, 1)  # cut.pcap is among them
        opened, loads = [], []

        class Reader(HTMLParser):
            def handle_starttag(self, tag, attributes):
                if tag not in ("meta", "br"):
                    opened.append(tag)
                loads.extend(name for name, _ in attributes if name in ("src", "href"))

            def handle_startendtag(self, tag, attributes):
                pass

            def handle_endtag(self, tag):
                assert opened.pop() == tag, tag

        Reader().feed(out)
        self.assertEqual((opened, loads), ([], []))


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
