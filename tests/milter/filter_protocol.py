#!/usr/bin/env python3
"""Plays Postfix's side of the milter protocol against a real filter process.

    filter_protocol.py PATH/filter_protocol_server [unittest arguments]

The evidence socket is a small server in this file, so that each test decides what the observer saw
(or that it hangs, or does not exist). Only the standard library is used. Wire format, all integers
big-endian:

    length:32 command:8 data        in both directions
    OPTNEG 'O'   version:32 actions:32 steps:32 [place:32 "macro macro"\\0]…   (lists: answer only)
    MACRO  'D'   command:8 (name\\0 value\\0)…
    CONNECT 'C'  hostname\\0 family:8 [port:16 address\\0]
    answers      'c'ontinue, 'a'ccept, 'r'eject, 't'empfail, 'y' "code text"\\0, and before them
                 'i' index:32 name\\0 value\\0, 'm' index:32 name\\0 value\\0, 'q' reason\\0
"""

import hmac
import json
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import unittest

PROGRAM = ""
# Under tests/coverage the filter writes files.
GENERAL = "[general]\nseccomp = false" if os.environ.get("SEGMILTER_COVERAGE") else ""

ALL_ACTIONS = 0x1FF
ALL_STEPS = 0x1FFFFF
NR_CONNECT, NR_HELO, NR_MAIL, NR_RCPT, NR_HEADER = 0x1000, 0x2000, 0x4000, 0x8000, 0x80
NO_BODY, NO_EOH, NO_UNKNOWN, NO_DATA = 0x10, 0x40, 0x100, 0x200
SKIP, HEADER_BLANK = 0x400, 0x100000
FINAL = b"cartyd"
NAME = b"X-Protocol-Pattern"


class Milter:
    """One connection from Postfix to the filter."""

    def __init__(self, path, offered_steps=ALL_STEPS):
        """`path`: of a unix socket, or a TCP port of 127.0.0.1."""
        tcp = isinstance(path, int)
        self.socket = socket.socket(socket.AF_INET if tcp else socket.AF_UNIX)
        self.socket.settimeout(120)
        try:
            self.socket.connect(("127.0.0.1", path) if tcp else path)
        except OSError:
            self.socket.close()
            raise
        self.offered = offered_steps
        self.steps = 0
        self.actions = 0
        self.lists = {}

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def send(self, command, data=b""):
        self.socket.sendall(struct.pack(">I", len(data) + 1) + command + data)

    def exactly(self, size):
        data = b""
        while len(data) < size:
            part = self.socket.recv(size - len(data))
            if not part:
                raise EOFError
            data += part
        return data

    def receive(self):
        (size,) = struct.unpack(">I", self.exactly(4))
        packet = self.exactly(size)
        return packet[:1], packet[1:]

    def negotiate(self):
        self.send(b"O", struct.pack(">III", 6, ALL_ACTIONS, self.offered))
        command, data = self.receive()
        assert command == b"O", command
        _, self.actions, self.steps = struct.unpack(">III", data[:12])
        rest = data[12:]
        while rest:
            (place,) = struct.unpack(">I", rest[:4])
            text, rest = rest[4:].split(b"\0", 1)
            self.lists[place] = text.decode()
        return self

    def step(self, command, data, no_reply):
        self.send(command, data)
        if self.steps & no_reply:
            return None
        return self.receive()

    def macros(self, command, values):
        data = b"".join(k.encode() + b"\0" + v.encode() + b"\0" for k, v in values.items())
        self.send(b"D", command + data)

    def connect(self, address="192.0.2.7", port=40112, family=b"4", macros=True, daemon=None):
        values = {"j": "mx.example.net"}
        if daemon:
            values["{daemon_name}"] = daemon
        if macros:
            prefix = "IPv6:" if family == b"6" else ""
            values.update({"{client_addr}": prefix + address, "{client_port}": str(port)})
        self.macros(b"C", values)
        data = b"client.example\0" + family
        if family != b"U":
            data += struct.pack(">H", port) + address.encode() + b"\0"
        return self.step(b"C", data, NR_CONNECT)

    def helo(self, name=b"client.example"):
        return self.step(b"H", name + b"\0", NR_HELO)

    def mail(self, login=None, tls=None):
        values = {"{mail_addr}": "a@example.org"}
        if login:
            values["{auth_authen}"] = login
        if tls:
            values["{tls_version}"] = tls
        self.macros(b"M", values)
        answer = self.step(b"M", b"<a@example.org>\0", NR_MAIL)
        self.step(b"R", b"<alice@example.net>\0", NR_RCPT)  # libmilter accepts no message without a recipient
        return answer

    def header(self, name=b"Subject", value=b"hello"):
        return self.step(b"L", name + b"\0" + value + b"\0", NR_HEADER)

    def body(self, data):
        self.send(b"B", data)
        return self.receive()

    def abort(self):
        self.send(b"A")

    def end(self, queue_id="4QUEUE1"):
        """What came back for the end of the message: edits, then the final answer."""
        self.macros(b"E", {"i": queue_id})
        self.send(b"E")
        edits = []
        while True:
            command, data = self.receive()
            if command in FINAL:
                return edits, command, data
            edits.append((command, data))

    def message(self, headers=(b"Subject",), queue_id="4QUEUE1", **mail):
        self.mail(**mail)
        for name in headers:
            self.header(name)
        return self.end(queue_id)


def inserted(edits):
    """Index and value of the one inserted header."""
    found = [data for command, data in edits if command == b"i"]
    assert len(found) == 1, edits
    name, value, _ = found[0][4:].split(b"\0")
    assert name == NAME, name
    assert value.startswith(b" ") and value[1:2] != b" ", value  # the filter has to write the blank
    return struct.unpack(">I", found[0][:4])[0], value.decode("ascii")[1:]


def fields(value):
    words = [item.strip() for item in value.split(";")]
    return words[0], dict(word.split("=", 1) for word in words[1:])


def deleted(edits):
    """Indexes of deleted headers of our name, in order."""
    result = []
    for command, data in edits:
        if command == b"m":
            name, value, _ = data[4:].split(b"\0")
            assert (name, value) == (NAME, b""), data
            result.append(struct.unpack(">I", data[:4])[0])
    return result


class Observer:
    """The evidence socket. `answer(question)` gives a line, or None to stay silent with the connection open."""

    traces = {}

    def __init__(self, path):
        self.questions = []
        self.answer = self.saw
        self.held = []
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        self.listener.listen(512)
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                peer, _ = self.listener.accept()
            except OSError:
                return
            # Without a thread for each connection: on a busy machine threads would change the order of the questions.
            question = peer.makefile().readline().strip()
            self.questions.append(question)
            threading.Thread(target=self.one, args=(peer, question), daemon=True).start()

    def one(self, peer, question):
        answer = self.answer(question)
        if answer is None:
            self.held.append(peer)
            return
        try:
            peer.sendall(answer.encode() + b"\n")
        except OSError:
            pass
        peer.close()

    def saw(self, question, tls="0"):
        number = int(re.search(r"after=(\d+)", question)[1]) + 1
        return "trace " + Observer.trace(number, tls)

    @classmethod
    def trace(cls, number, tls):
        key = (number, tls)
        if key not in cls.traces:
            command = [PROGRAM, "--trace", str(number), tls]
            cls.traces[key] = subprocess.check_output(command, text=True).strip()
        return cls.traces[key]

    def close(self):
        self.listener.close()
        for peer in self.held:
            peer.close()


class Filter:
    """A running filter process with its own directory, observer and control line."""

    def __init__(self, policy="", extra="", filter_lines="", observer=True, supervised=True, evidence_timeout="10s",
                 port=0):
        """`port`: of 127.0.0.1; the filter then serves it instead of a unix socket."""
        self.directory = tempfile.mkdtemp(prefix="segmilter-")
        self.socket = port or self.directory + "/milter.sock"
        self.policy = policy
        self.extra = extra
        self.filter_lines = filter_lines
        self.evidence_timeout = evidence_timeout  # short only in tests whose observer has to be too late
        self.observer = Observer(self.directory + "/evidence.sock") if observer else None
        self.log_path = self.directory + "/log"
        self.control, child = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.control.settimeout(120)
        with open(self.directory + "/segmilter.toml", "w") as file:
            file.write(self.config())
        command = [PROGRAM, self.directory + "/segmilter.toml"]
        if supervised:
            command.append(str(child.fileno()))
        environment = dict(os.environ)
        if not supervised:
            # When libmilter ends, it destroys mutexes that its threads still use.
            environment["TSAN_OPTIONS"] = "report_bugs=0"
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(
                command, pass_fds=[child.fileno()], stderr=log, env=environment)
        child.close()
        if supervised:
            ready = self.control.recv(1000)
            assert ready == b"ready", (ready, self.log_text())
        else:
            # The socket's file is not enough: before smfi_main() a SIGTERM would kill the process.
            wait_for(lambda: can_negotiate(self.socket))

    def config(self, policy=None, filter_lines=None):
        return f"""
{GENERAL}
[log]
format = "json"
level = "debug"
[proxy]
drain_timeout = "5s"
[evidence]
socket = "{self.directory}/evidence.sock"
[filter]
socket = "{f'inet:{self.socket}@127.0.0.1' if isinstance(self.socket, int) else f'unix:{self.socket}'}"
socket_group = ""
evidence_timeout = "{self.evidence_timeout}"
{self.filter_lines if filter_lines is None else filter_lines}
[policy]
{self.policy if policy is None else policy}
{self.extra}
"""

    def milter(self, **arguments):
        return Milter(self.socket, **arguments).negotiate()

    def log_text(self):
        with open(self.log_path) as log:
            return log.read()

    def log(self):
        return [json.loads(line) for line in self.log_text().splitlines()]

    def messages(self, queue_id=None):
        lines = [line for line in self.log() if line.get("event") == "message"]
        return [line for line in lines if queue_id in (None, line.get("queue_id"))]

    def logged(self, text):
        return any(text in line.get("text", "") for line in self.log())

    def stop(self):
        self.control.close()
        try:
            return self.process.wait(120)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()

    def close(self):
        code = self.stop()
        if self.observer:
            self.observer.close()
        report = self.log_text() if code != 0 or "Sanitizer" in self.log_text() else ""
        shutil.rmtree(self.directory)
        if report:
            raise AssertionError(f"the filter ended with {code}:\n{report}")

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        self.close()


def wait_for(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError("did not happen in time")
        time.sleep(0.01)


ENFORCE = 'mode = "enforce"\nmin_confidence = 0\n'
REJECT = ENFORCE + "tempfail = -1000\nquarantine = -1000\nreject = -1000\n"
QUARANTINE = ENFORCE + 'tempfail = -1000\nquarantine = -1000\nreject = "off"\n'
TEMPFAIL = ENFORCE + 'tempfail = -1000\nquarantine = "off"\nreject = "off"\n'


class WithOneFilter(unittest.TestCase):
    """Tests that share a filter in monitor mode. Each test is a client with another port."""

    policy = "min_confidence = 0\ntempfail = -1000\nquarantine = -1000\nreject = -1000\n"
    extra = '[exempt]\nnetworks = ["198.51.100.0/24", "2001:db8:1::/48"]\n'

    @classmethod
    def setUpClass(cls):
        cls.filter = Filter(policy=cls.policy, extra=cls.extra)
        cls.observer = cls.filter.observer

    @classmethod
    def tearDownClass(cls):
        cls.filter.close()

    def setUp(self):
        self.observer.answer = self.observer.saw
        del self.observer.questions[:]

    def numbers_asked(self, count):
        """For each of `count` questions, how many messages the filter had before it. The filter does not wait for a
        late answer, so on a busy machine a question may be read after the end of its message."""
        wait_for(lambda: len(self.observer.questions) >= count)
        return [asked(question)["after"] for question in self.observer.questions]

    def still_serves(self):
        with self.filter.milter() as milter:
            milter.connect()
            milter.helo()
            edits, answer, _ = milter.message()
            self.assertEqual(answer, b"c")
            self.assertEqual(len(edits), 1)


class Negotiation(WithOneFilter):
    def test_only_the_needed_steps_are_asked_for(self):
        with self.filter.milter() as milter:
            for step in (NO_EOH, NO_UNKNOWN, NO_DATA, SKIP, HEADER_BLANK):
                self.assertTrue(milter.steps & step, hex(step))
            self.assertFalse(milter.steps & NO_BODY, "under TLS the body is counted")
            for step in (NR_CONNECT, NR_HELO, NR_MAIL, NR_RCPT, NR_HEADER):
                self.assertTrue(milter.steps & step, hex(step))
            self.assertFalse(milter.steps & 0x2F, "connect, helo, mail, rcpt and headers are wanted")
            self.assertEqual(milter.actions & 0x3F, 0x31)

    def test_over_tcp_data_is_answered_so_that_its_segments_are_acknowledged(self):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
        with Filter(policy=self.policy, port=port) as over_tcp:
            # A reload does not change the socket that is served.
            other = over_tcp.config().replace(f"inet:{port}@127.0.0.1", f"unix:{over_tcp.directory}/other")
            over_tcp.control.send(b"reload\n" + other.encode())
            wait_for(lambda: over_tcp.logged("configuration reloaded"))
            with over_tcp.milter() as milter:
                self.assertFalse(milter.steps & NO_DATA)
                for step in (NO_EOH, NO_UNKNOWN, NR_CONNECT, NR_HELO, NR_MAIL, NR_RCPT, NR_HEADER):
                    self.assertTrue(milter.steps & step, hex(step))
                milter.connect()
                milter.helo()
                for _ in range(2):  # messages of one session
                    milter.mail()
                    milter.send(b"T")
                    self.assertEqual(milter.receive(), (b"c", b""))
                    milter.header()
                    edits, answer, _ = milter.end()
                    self.assertEqual((len(edits), answer), (1, b"c"))

    def test_without_skip_no_body_is_asked_for(self):
        with self.filter.milter(offered_steps=ALL_STEPS & ~SKIP) as milter:
            self.assertTrue(milter.steps & NO_BODY)

    def test_the_macros_are_asked_for(self):
        with self.filter.milter() as milter:
            self.assertIn("{client_port}", milter.lists[0])
            self.assertIn("{client_addr}", milter.lists[0])
            self.assertIn("{auth_authen}", milter.lists[2])
            self.assertIn("i", milter.lists[5].split())

    def test_an_old_mta_that_waits_for_every_answer_gets_every_answer(self):
        with self.filter.milter(offered_steps=0x3F) as milter:
            self.assertEqual(milter.steps & ~0x3F, 0)
            self.assertEqual(milter.connect(), (b"c", b""))
            self.assertEqual(milter.helo(), (b"c", b""))
            self.assertEqual(milter.mail(), (b"c", b""))
            self.assertEqual(milter.header(), (b"c", b""))
            edits, answer, _ = milter.end()
            self.assertEqual(answer, b"c")
            self.assertIn(NAME + b"\0mx.example.net; ", edits[0][1])  # an old MTA writes the blank itself

    def test_a_second_connection_on_the_same_socket_works(self):
        with self.filter.milter() as milter:
            milter.connect(port=1111)
            milter.message()
            milter.send(b"K")
            milter.connect(port=2222)
            edits, answer, _ = milter.message()
            self.assertEqual(answer, b"c")
            self.assertEqual(asked(self.observer.questions[-1])["client"], "192.0.2.7:2222")
            self.assertEqual(asked(self.observer.questions[-1])["after"], "0")
            self.assertNotIn("began", asked(self.observer.questions[-1]), "the time is not known")


def asked(question: str) -> dict[str, str]:
    """The items of a question to the observer."""
    verb, *items = question.split(" ")
    assert verb == "get", question
    return dict(item.split("=", 1) for item in items)


class Header(WithOneFilter):
    def test_a_message_gets_the_header_below_the_received_header(self):
        with self.filter.milter() as milter:
            milter.connect()
            milter.helo()
            edits, answer, _ = milter.message()
        self.assertEqual(answer, b"c")
        index, value = inserted(edits)
        self.assertEqual(index, 1)
        host, found = fields(value)
        self.assertEqual(host, "mx.example.net")
        self.assertEqual(found["segments"], "399,29,184,1440,1377")
        self.assertEqual(found["mss"], "1440")
        self.assertEqual(found["action"], "none")
        self.assertEqual(found["would"], "reject")
        self.assertEqual(found["tls"], "no")
        self.assertEqual(found["v"], "1")
        self.assertNotEqual(found["pattern"], "unobserved")
        self.assertNotIn("via", found)
        self.assertNotIn("\r", value)

    def test_a_message_under_tls_says_so(self):
        with self.filter.milter() as milter:
            milter.connect()
            edits, _, _ = milter.message(tls="TLSv1.3")
            self.assertEqual(fields(inserted(edits)[1])[1]["tls"], "yes")

    def test_under_tls_the_body_is_counted_and_in_clear_it_is_skipped(self):
        with self.filter.milter() as milter:
            milter.connect()
            milter.mail(tls="TLSv1.3")
            milter.header(b"Subject", b" hello\n\tworld")
            self.assertEqual(milter.body(b".one\r\ntwo\r\n"), (b"c", b""))
            self.assertEqual(milter.body(b".three\r\n"), (b"c", b""))
            milter.end()
            question = asked(self.observer.questions[-1])
            self.assertEqual((question["header"], question["fields"], question["body"], question["dots"]),
                             ("26", "24", "19", "2"))
            self.assertEqual(question["envelope"], "56")
            for size, answer, count in ((6, b"c", "6"), (65535, b"s", None)):  # the last part, or not
                milter.mail()
                milter.header()
                self.assertEqual(milter.body(b"x" * (size - 2) + b"\r\n"), (answer, b""))
                milter.end()
                self.assertEqual(asked(self.observer.questions[-1]).get("body"), count)

    def test_forged_headers_are_deleted_the_last_one_first_and_before_the_insertion(self):
        with self.filter.milter() as milter:
            milter.connect()
            names = [b"X-Protocol-Pattern", b"Subject", b"x-protocol-pattern", b"X-PROTOCOL-PATTERN"]
            edits, _, _ = milter.message(headers=names, queue_id="4FORGED")
        self.assertEqual([command for command, _ in edits], [b"m", b"m", b"m", b"i"])
        self.assertEqual(deleted(edits), [3, 2, 1])
        self.assertEqual(self.filter.messages("4FORGED")[0]["forged"], 3)

    def test_thousands_of_forged_headers_are_deleted(self):
        with self.filter.milter() as milter:
            milter.connect()
            edits, answer, _ = milter.message(headers=[NAME] * 4400, queue_id="4MANY")
        self.assertEqual(answer, b"c")
        self.assertEqual(deleted(edits), list(range(4400, 0, -1)))
        inserted(edits)
        line = self.filter.messages("4MANY")[0]
        self.assertEqual(line["forged"], 4400)
        self.assertNotIn("deleted", line)

    def test_a_message_with_more_forged_headers_than_can_be_deleted_is_refused_in_monitor_mode_too(self):
        with self.filter.milter() as milter:
            milter.connect()
            edits, answer, data = milter.message(headers=[NAME] * 4500, queue_id="4FLOOD")
            self.assertEqual((edits, answer), ([], b"y"))
            self.assertEqual(data, b"550 5.7.1 Too many X-Protocol-Pattern header fields\0")
            line = self.filter.messages("4FLOOD")[0]
            self.assertEqual((line["forged"], line["deleted"]), (4500, 0))
            self.assertNotIn("pattern", line)
            milter.message(queue_id="4NEXT")
            self.assertEqual(self.numbers_asked(1), ["1"])

    def test_the_header_goes_below_postfixs_own_received_also_where_fields_were_put_in_front(self):
        # The fields that were sent end at 60, 600 and 800.
        sent = [(b"Received", b"x" * 48), (b"X-Long", b"x" * 530), (b"X-Other", b"x" * 189)]
        for front in (0, 1, 3):
            with self.subTest(front=front), self.filter.milter() as milter:
                milter.connect()
                milter.mail()
                for number in range(front):
                    milter.header(b"X-Policy", b" %d" % number)
                for name, value in sent:
                    milter.header(name, b" " + value)
                edits, _, _ = milter.end()
                self.assertEqual(inserted(edits)[0], 1 + front)

    def test_forged_headers_of_one_message_are_not_those_of_the_next(self):
        with self.filter.milter() as milter:
            milter.connect()
            milter.message(headers=[NAME] * 2)
            edits, _, _ = milter.message()
            self.assertEqual(deleted(edits), [])


class Clients(WithOneFilter):
    def asked(self, **connect):
        with self.filter.milter() as milter:
            milter.connect(**connect)
            milter.message()
        return self.observer.questions

    def test_ipv6(self):
        questions = self.asked(address="2001:db8:9::7", port=7, family=b"6")
        self.assertEqual([asked(question)["client"] for question in questions], ["[2001:db8:9::7]:7"])

    def test_a_v4_mapped_client_is_the_v4_client(self):
        questions = self.asked(address="::ffff:192.0.2.9", port=7, family=b"6")
        self.assertEqual([asked(question)["client"] for question in questions], ["192.0.2.9:7"])

    def test_without_macros_the_address_of_the_connect_call_is_used(self):
        self.assertEqual([asked(question)["client"] for question in self.asked(port=99, macros=False)], ["192.0.2.7:99"])
        del self.observer.questions[:]
        questions = self.asked(address="IPv6:2001:db8:9::8", port=9, family=b"6", macros=False)
        self.assertEqual([asked(question)["client"] for question in questions], ["[2001:db8:9::8]:9"])

    def test_a_port_macro_that_is_no_port_is_ignored(self):
        with self.filter.milter() as milter:
            milter.macros(b"C", {"{client_addr}": "192.0.2.7", "{client_port}": "unknown"})
            milter.step(b"C", b"x\0" + b"4" + struct.pack(">H", 55) + b"192.0.2.8\0", NR_CONNECT)
            milter.message()
        self.assertEqual([asked(question)["client"] for question in self.observer.questions], ["192.0.2.8:55"])

    def test_an_unknown_address_is_unobserved(self):
        with self.filter.milter() as milter:
            milter.connect(family=b"U", macros=False)
            milter.helo()
            edits, answer, _ = milter.message()
        self.assertEqual(answer, b"c")
        found = fields(inserted(edits)[1])[1]
        self.assertEqual((found["pattern"], found["reason"]), ("unobserved", "no-session"))
        self.assertNotIn("segments", found)
        self.assertEqual(self.observer.questions, [])


class Exempt(WithOneFilter):
    def untouched(self, expected, queue_id, login=None, **connect):
        with self.filter.milter() as milter:
            milter.connect(**connect)
            edits, answer, _ = milter.message(headers=[NAME], queue_id=queue_id, login=login)
        self.assertEqual((edits, answer), ([], b"c"))
        self.assertEqual(self.observer.questions, [])
        (line,) = self.filter.messages(queue_id)
        self.assertEqual(line["exempt"], expected)
        self.assertNotIn("pattern", line)

    def test_an_authenticated_client(self):
        self.untouched("authenticated", "4AUTH", login="alice")

    def test_loopback(self):
        self.untouched("loopback", "4LOOP4", address="127.0.0.1")
        self.untouched("loopback", "4LOOP6", address="::1", family=b"6")

    def test_an_own_network(self):
        self.untouched("own-network", "4OWN4", address="198.51.100.200")
        self.untouched("own-network", "4OWN6", address="2001:db8:1::5", family=b"6")

    def test_a_neighbouring_network_is_judged(self):
        with self.filter.milter() as milter:
            milter.connect(address="198.51.101.1")
            edits, _, _ = milter.message()
            inserted(edits)


class Sessions(WithOneFilter):
    def test_several_messages_ask_for_one_after_the_other(self):
        with self.filter.milter() as milter:
            milter.connect()
            for _ in range(3):
                milter.message()
        self.assertEqual(self.numbers_asked(3), ["0", "1", "2"])

    def test_abort_after_each_step_leaves_the_session_usable(self):
        steps = [
            lambda m: None,
            lambda m: m.helo(),
            lambda m: m.mail(login="alice"),
            lambda m: m.header(NAME),
        ]
        with self.filter.milter() as milter:
            milter.connect()
            for count in range(1, len(steps) + 1):
                for step in steps[:count]:
                    step(milter)
                milter.abort()
                edits, answer, _ = milter.message()
                self.assertEqual((len(edits), answer), (1, b"c"))
                self.assertEqual(deleted(edits), [])
        self.assertEqual(self.numbers_asked(4), ["0", "1", "2", "3"])

    def test_quit_at_each_step(self):
        for count in range(5):
            with self.filter.milter() as milter:
                steps = [milter.connect, milter.helo, milter.mail, milter.header]
                for step in steps[:count]:
                    step()
                milter.send(b"Q")
                self.assertRaises(EOFError, milter.receive)
        self.still_serves()

    def test_the_log_has_one_line_for_each_message_with_its_facts(self):
        with self.filter.milter() as milter:
            milter.connect()
            milter.helo(b"ev\x01il\xff.example")
            milter.message(queue_id="4LOGGED")
        (line,) = self.filter.messages("4LOGGED")
        self.assertEqual(line["client"], "192.0.2.7:40112")
        self.assertEqual(line["helo"], "ev\x01il\ufffd.example")
        self.assertEqual(line["segments"], "399,29,184,1440,1377")
        self.assertEqual(line["message"], 1)
        self.assertEqual((line["action"], line["would"]), ("none", "reject"))
        self.assertNotIn("a@example.org", self.filter.log_text())
        traces = [x for x in self.filter.log() if x.get("event") == "trace"]
        self.assertIn("segmilter/1", traces[-1]["trace"])


class Junk(WithOneFilter):
    def test_connect_and_close(self):
        for _ in range(50):
            Milter(self.filter.socket).close()
        self.still_serves()

    def test_negotiation_only(self):
        for _ in range(50):
            self.filter.milter().close()
        self.still_serves()

    def test_close_without_connect_command(self):
        with self.filter.milter() as milter:
            milter.send(b"Q")
            self.assertRaises(EOFError, milter.receive)
        self.still_serves()

    def test_garbage(self):
        for data in (
            b"GET / HTTP/1.0\r\n\r\n",
            b"\0" * 64,
            b"\xff" * 64,
            struct.pack(">I", 1) + b"\x01",
            struct.pack(">I", 5) + b"O1234",
            struct.pack(">I", 0),
            b"E",
        ):
            with Milter(self.filter.socket) as milter:
                milter.socket.sendall(data)
        self.still_serves()

    def test_garbage_after_the_negotiation(self):
        for command, data in (
            (b"C", b""),
            (b"C", b"name"),
            (b"C", b"name\x004"),
            (b"C", b"name\x004\0"),
            (b"C", b"name\x006\x12\x34nonsense\0"),
            (b"C", b"name\x00Z\x12\x34x\0"),
            (b"H", b""),
            (b"M", b""),
            (b"L", b"no end"),
            (b"E", b""),
            (b"D", b"Cunterminated"),
            (b"?", b"what"),
        ):
            with self.filter.milter() as milter:
                milter.send(command, data)
                milter.socket.shutdown(socket.SHUT_WR)
                try:
                    while True:
                        milter.receive()
                except (EOFError, OSError):
                    pass
        self.still_serves()


class Evidence(unittest.TestCase):
    def reason(self, filter_process):
        with filter_process.milter() as milter:
            milter.connect()
            begin = time.monotonic()
            edits, answer, _ = milter.message()
            self.assertLess(time.monotonic() - begin, 30)
        self.assertEqual(answer, b"c")
        found = fields(inserted(edits)[1])[1]
        self.assertEqual(found["pattern"], "unobserved")
        return found["reason"]

    def test_a_missing_socket_is_an_error_and_the_mail_flows(self):
        with Filter(policy=REJECT.replace("-1000", "1"), observer=False) as running:
            self.assertEqual(self.reason(running), "error")

    def test_an_observer_that_hangs_is_a_timeout(self):
        with Filter(evidence_timeout="400ms") as running:
            running.observer.answer = lambda question: None
            self.assertEqual(self.reason(running), "timeout")

    def test_nonsense_is_an_error_and_a_reason_is_passed_on(self):
        with Filter() as running:
            running.observer.answer = lambda question: "trace nonsense"
            self.assertEqual(self.reason(running), "error")
            running.observer.answer = lambda question: "none encrypted"
            self.assertEqual(self.reason(running), "encrypted")

    def test_beyond_the_limit_no_question_is_asked(self):
        with Filter(filter_lines="max_in_flight = 1", evidence_timeout="5s") as running:
            running.observer.answer = lambda question: None
            with running.milter() as first, running.milter() as second:
                first.connect(port=1)
                first.mail()
                first.macros(b"E", {"i": "4FIRST"})
                first.send(b"E")
                wait_for(lambda: running.observer.questions)
                second.connect(port=2)
                edits, _, _ = second.message()
                self.assertEqual(fields(inserted(edits)[1])[1]["reason"], "busy")
                edits, answer = [first.receive()], first.receive()[0]
                self.assertEqual(fields(inserted(edits)[1])[1]["reason"], "timeout")
                self.assertEqual(answer, b"c")
            self.assertEqual(len(running.observer.questions), 1)


class Actions(unittest.TestCase):
    def outcome(self, policy, extra="", **message):
        with Filter(policy=policy, extra=extra) as running:
            with running.milter() as milter:
                milter.connect()
                result = milter.message(queue_id="4ACTED", **message)
                again = milter.message()
                self.assertEqual(again[1], result[1], "the next message is judged as well")
            return result, running.messages("4ACTED")[0]

    def test_reject(self):
        (edits, answer, data), line = self.outcome(REJECT)
        self.assertEqual((edits, answer), ([], b"y"))
        self.assertTrue(data.startswith(b"550 5.7.1 "), data)
        self.assertEqual(line["action"], "reject")
        self.assertNotIn("would", line)

    def test_tempfail(self):
        (edits, answer, data), line = self.outcome(TEMPFAIL)
        self.assertEqual((edits, answer), ([], b"y"))
        self.assertTrue(data.startswith(b"451 4.7.1 "), data)
        self.assertEqual(line["action"], "tempfail")

    def test_quarantine_keeps_the_header(self):
        (edits, answer, _), line = self.outcome(QUARANTINE)
        self.assertEqual([command for command, _ in edits], [b"i", b"q"])
        self.assertEqual(fields(inserted(edits)[1])[1]["action"], "quarantine")
        self.assertEqual(edits[1][1], b"held by segmilter\0")
        self.assertEqual((answer, line["action"]), (b"c", "quarantine"))

    def test_a_per_cent_sign_in_the_reply_is_doubled(self):
        extra = '[reply]\nreject = "5.7.99 100% no %s"\n'
        (_, _, data), _ = self.outcome(REJECT, extra)
        self.assertEqual(data, b"550 5.7.99 100%% no %%s\0")

    def test_the_longest_allowed_reply_is_sent_whole(self):
        reply = "5.7.99 " + "x" * 473
        (_, _, data), _ = self.outcome(REJECT, f'[reply]\nreject = "{reply}"\n')
        self.assertEqual(data, f"550 {reply}\0".encode())

    def test_an_authenticated_client_is_never_refused(self):
        with Filter(policy=REJECT) as running, running.milter() as milter:
            milter.connect()
            self.assertEqual(milter.message(login="alice")[:2], ([], b"c"))

    def test_no_evidence_is_never_refused(self):
        with Filter(policy=REJECT.replace("-1000", "0.5"), observer=False) as running:
            with running.milter() as milter:
                milter.connect()
                edits, answer, _ = milter.message()
                self.assertEqual(answer, b"c")
                inserted(edits)


class Policy(unittest.TestCase):
    def test_the_breaker_suspends_rejects_and_closes_by_itself(self):
        # The hold is longer than the window: even on a slow machine the window is empty when the breaker closes.
        breaker = '[breaker]\nwindow = "5s"\nmin_messages = 3\nhold = "12s"\n'
        with Filter(policy=REJECT, extra=breaker) as filter_:
            answers = []
            for port in range(1, 6):
                with filter_.milter() as milter:
                    milter.connect(port=port)
                    answers.append(milter.message()[1])
            self.assertEqual(answers, [b"y", b"y", b"c", b"c", b"c"])
            wait_for(lambda: filter_.logged("breaker closed"))
            with filter_.milter() as milter:
                milter.connect(port=9)
                self.assertEqual(milter.message()[1], b"y")
            held = [line for line in filter_.messages() if line.get("held") == "breaker"]
            self.assertEqual(len(held), 3)
            self.assertEqual({(line["action"], line["would"]) for line in held}, {("none", "reject")})
            filter_.stop()
            counters = [line for line in filter_.log() if line.get("event") == "counters"]
            self.assertEqual((counters[-1]["messages"], counters[-1]["reject"]), (6, 3))
            self.assertEqual((counters[-1]["held_breaker"], counters[-1]["breaker_trips"]), (3, 1))

    def test_without_an_evidence_socket_mail_is_deferred_if_on_error_says_so(self):
        policy = ENFORCE + 'on_error = "tempfail"\n'
        with Filter(policy=policy, observer=False) as filter_, filter_.milter() as milter:
            milter.connect()
            _, answer, text = milter.message()
            self.assertEqual((answer, text[:9]), (b"y", b"451 4.7.1"))

    def test_the_services_name_chooses_its_policy(self):
        with Filter(policy=REJECT, extra='[listener.soft]\nmode = "monitor"\n') as filter_:
            for name, expected in (("soft", b"c"), ("mx.example.net", b"y")):
                with filter_.milter() as milter:
                    milter.connect(port=len(name), daemon=name)
                    self.assertEqual(milter.message()[1], expected)


SECRET = bytes(range(32))


def identity(headers):
    """Identifies a message in a seal: a chain of HMACs over the relaxed fields."""
    chain = bytes(32)
    for name, value in headers:
        if name.lower() in (b"message-id", b"from", b"date", b"subject"):
            field = name.lower() + b":" + b" ".join(value.split()) + b"\r\n"
            chain = hmac.digest(chain, field, "sha256")
    return chain


def seal_item(header, headers, time_, key="k1"):
    text = f"segmilter seal 1\n{key}\n{time_}\n".encode() + identity(headers) + header.encode()
    return f"seal={key},{time_}," + hmac.digest(SECRET, text, "sha256").hex()


class Seals(unittest.TestCase):
    """What is sealed and what is believed, compared with a second implementation in this file."""

    headers = [(b"Subject", b" hello\n\tworld "), (b"From", b" <a@example.org>"), (b"X-Other", b" x")]

    @classmethod
    def setUpClass(cls):
        with tempfile.NamedTemporaryFile("w", delete=False) as file:
            file.write(f"k1:{SECRET.hex()}\n")
        cls.keys = file.name
        cls.filter = Filter(extra=f'[seal]\nkey_file = "{cls.keys}"\nsign = true\n'
                                  'believe_from = ["192.0.2.25"]\n')

    @classmethod
    def tearDownClass(cls):
        cls.filter.close()
        os.unlink(cls.keys)

    def message(self, address, own, queue_id):
        """`own`: values of headers of our name; they come before the other headers."""
        with self.filter.milter() as milter:
            milter.connect(address=address)
            milter.mail()
            for value in own:
                milter.header(NAME, value.encode())
            for name, value in self.headers:
                milter.header(name, value)
            edits, answer, _ = milter.end(queue_id)
            self.assertEqual(answer, b"c")
            return edits, self.filter.messages(queue_id)[0]

    def good(self):
        return " mx2; v=1; " + seal_item("mx2;v=1", self.headers, int(time.time()))

    def test_the_seal_of_a_header_is_what_its_reader_computes(self):
        edits, _ = self.message("192.0.2.7", [], "4SIGN")
        items = "".join(inserted(edits)[1].split()).split(";")
        self.assertEqual(items[-1], "v=1")
        time_ = items[-2].split(",")[1]
        header = ";".join(items[:-2] + items[-1:])
        self.assertEqual(items[-2], seal_item(header, self.headers, time_))
        self.assertLess(abs(time.time() - int(time_)), 60)

    def test_a_header_with_a_good_seal_stays_and_those_around_it_are_deleted(self):
        edits, line = self.message("192.0.2.25", [" x", self.good(), " y"], "4GOOD")
        self.assertEqual(deleted(edits), [3, 1])
        self.assertEqual(len(edits), 2)
        self.assertEqual((line["exempt"], line["seal"], line["forged"]), ("sealed", "good", 2))

    def test_without_a_good_seal_all_are_deleted_and_none_is_added(self):
        edits, line = self.message("192.0.2.25", [" mx2; v=1", self.good()[:-1] + "x"], "4BAD")
        self.assertEqual(deleted(edits), [2, 1])
        self.assertEqual(len(edits), 2)
        self.assertEqual((line["exempt"], line["seal"], line["forged"]), ("relay", "unsigned", 2))

    def test_from_any_other_client_a_header_with_a_good_seal_is_deleted_too(self):
        edits, line = self.message("192.0.2.26", [self.good()], "4OTHER")
        self.assertEqual(deleted(edits), [1])
        inserted(edits)
        self.assertNotIn("seal", line)


class Process(unittest.TestCase):
    def test_the_socket_has_its_mode(self):
        with Filter(filter_lines='socket_mode = "0620"') as running:
            self.assertEqual(os.stat(running.socket).st_mode & 0o777, 0o620)

    def test_a_second_filter_does_not_take_the_socket_away(self):
        with Filter() as running:
            command = [PROGRAM, running.directory + "/segmilter.toml"]
            second = subprocess.run(command, capture_output=True, text=True, timeout=120)
            self.assertEqual(second.returncode, 78)
            self.assertIn("another process listens there", second.stderr)
            running.milter().close()

    def test_an_old_socket_that_no_process_serves_is_replaced(self):
        with Filter() as running:
            running.process.kill()
            running.process.wait()
            self.assertTrue(os.path.exists(running.socket))
            command = [PROGRAM, running.directory + "/segmilter.toml"]
            second = subprocess.Popen(command, stderr=subprocess.DEVNULL)
            try:
                wait_for(lambda: can_negotiate(running.socket))
            finally:
                second.terminate()
                second.wait()
            running.process = subprocess.Popen(["true"])

    def test_a_filter_whose_path_is_gone_asks_for_another_socket_and_keeps_its_sessions(self):
        with Filter() as running, running.milter() as milter:
            milter.connect()
            os.unlink(running.socket)
            self.assertEqual(running.control.recv(1000), b"socket lost\nfilter.socket")
            with socket.socket(socket.AF_UNIX) as fresh:
                fresh.bind(running.socket)
                fresh.listen(16)
                socket.send_fds(running.control, [b"socket\nfilter.socket"], [fresh.fileno()])
            begin = time.monotonic()
            running.milter().close()
            self.assertLess(time.monotonic() - begin, 30)  # it does not wait until libmilter looks again
            self.assertEqual(milter.message()[1], b"c")
            running.milter().close()

    def test_signals_that_libmilter_would_take_do_not_end_a_supervised_filter(self):
        with Filter() as running, running.milter() as milter:
            milter.connect()
            for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT):
                running.process.send_signal(number)
            time.sleep(0.3)
            self.assertEqual(milter.message()[1], b"c")
            running.milter().close()
            self.assertIsNone(running.process.poll())

    def test_without_a_supervisor_sigterm_ends_it(self):
        with Filter(supervised=False) as running:
            running.process.send_signal(signal.SIGTERM)
            self.assertEqual(running.process.wait(120), 0)

    def test_reload_changes_the_policy_of_open_sessions(self):
        with Filter() as running, running.milter() as milter:
            milter.connect()
            self.assertEqual(milter.message()[1], b"c")
            running.control.send(b"reload\n" + running.config(policy=REJECT).encode())
            wait_for(lambda: running.logged("configuration reloaded"))
            self.assertEqual(milter.message()[1], b"y")

    def test_a_bad_configuration_leaves_the_old_one(self):
        with Filter(policy=REJECT) as running, running.milter() as milter:
            milter.connect()
            running.control.send(b"reload\n[policy]\nmoed = 1\n")
            wait_for(lambda: running.logged("the old configuration stays"))
            (line,) = [x for x in running.log() if "old configuration" in x.get("text", "")]
            self.assertRegex(line["text"], r"segmilter\.toml:2: policy\.moed: ")
            self.assertEqual(milter.message()[1], b"y")

    def test_drain_lets_sessions_end_and_takes_no_new_ones(self):
        with Filter() as running:
            with running.milter() as milter:
                milter.connect()
                milter.mail()
                running.control.send(b"drain")
                wait_for(lambda: not os.path.exists(running.socket))
                self.assertRaises(FileNotFoundError, Milter, running.socket)
                milter.header()
                self.assertEqual(milter.end()[1], b"c")
                self.assertEqual(milter.message()[1], b"c")
                self.assertIsNone(running.process.poll())
            begin = time.monotonic()
            self.assertEqual(running.process.wait(120), 0)
            self.assertLess(time.monotonic() - begin, 4)

    def test_drain_ends_at_its_limit(self):
        with Filter(extra="") as running, running.milter() as milter:
            shorter = running.config().replace('drain_timeout = "5s"', 'drain_timeout = "1s"')
            running.control.send(b"reload\n" + shorter.encode())
            running.control.send(b"drain")
            self.assertEqual(running.process.wait(120), 0)
            self.assertTrue(running.logged("drain timeout"))
            del milter

    def test_a_draining_filter_leaves_its_successors_socket_alone(self):
        with Filter() as running:
            os.unlink(running.socket)
            successor = socket.socket(socket.AF_UNIX)
            successor.bind(running.socket)
            running.control.send(b"drain")
            self.assertEqual(running.process.wait(120), 0)
            self.assertTrue(os.path.exists(running.socket))
            successor.close()

    def test_a_supervisor_that_is_gone_means_drain(self):
        with Filter() as running:
            running.control.close()
            self.assertEqual(running.process.wait(120), 0)


class Load(unittest.TestCase):
    def test_two_hundred_sessions_at_once(self):
        sessions, messages = 200, 3
        with Filter(filter_lines='max_in_flight = 500\n') as running:
            barrier = threading.Barrier(sessions)
            wrong = []

            def one(port):
                try:
                    with running.milter() as milter:
                        milter.connect(port=port)
                        milter.helo()
                        barrier.wait(120)
                        for i in range(messages):
                            edits, answer, _ = milter.message(queue_id=f"4P{port}N{i}")
                            inserted(edits)
                            if answer != b"c":
                                wrong.append((port, i, answer))
                except BaseException as error:  # pylint: disable=broad-except
                    wrong.append((port, repr(error)))

            Observer.trace(1, "0"), Observer.trace(2, "0"), Observer.trace(3, "0")
            running.observer.answer = running.observer.saw
            threads = [threading.Thread(target=one, args=(2000 + i,), daemon=True) for i in range(sessions)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            self.assertEqual(wrong, [])
            self.assertEqual(len(running.messages()), sessions * messages)
            clients = {re.sub(".*:", "", line["client"]) for line in running.messages()}
            self.assertEqual(len(clients), sessions)


def can_negotiate(path):
    try:
        with Milter(path) as milter:
            milter.negotiate()
        return True
    except OSError:
        return False


if __name__ == "__main__":
    PROGRAM = os.path.abspath(sys.argv.pop(1))
    unittest.main(verbosity=2)
