"""Messages for the filters: real ones, as segmilter and Postfix delivered them, and hostile ones that are made from these.

A Sample says whether a filter has to see the sign of a template bot in it. The derived ones change the header field only.
"""
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from bed.link import CLIENT4
from bed.testbed import DIRECT_PORT, Bed

HOST = "mx1.example.org"
TO, FROM = "alice@example.org", "sender@sender.example"
NAME = b"X-Protocol-Pattern:"
FIELD = re.compile(rb"(?m)^X-Protocol-Pattern:.*\n(?:[ \t].*\n)*")
ATTACHMENT = b'multipart/mixed; boundary="part"'
REST = "action=none; writer=template; path=full; gait=unknown; mss=1448; tls=no; segments=146,26,83; why=none"


@dataclass(frozen=True)
class Sample:
    name: str
    data: bytes         # with LF as line end, as in a maildir
    bot: bool           # a filter has to see the sign of a template bot
    user: bool = False  # its sender had logged in


def field(host: str = HOST, pattern: str = "bot-template", score: str = "3.9", confidence: str = "0.98", rest: str = REST,
          end: str = "v=1") -> bytes:
    """A field as segmilter writes it, but for what is given."""
    return (f"X-Protocol-Pattern: {host}; pattern={pattern}; score={score};\n"
            f"\tconfidence={confidence}; {rest};\n\t{end}\n").encode()


def message(size: int, head: bytes = b"") -> bytes:
    """A message with CRLF line ends."""
    fields = f"From: Sender <{FROM}>\r\nTo: Alice <{TO}>\r\nSubject: an offer\r\nMessage-ID: <{size}@sender.example>\r\n"
    line = b"It is not what you say, it is the way that you say it.\r\n"
    return head + fields.encode() + b"\r\n" + line * (size // len(line))


def send_whole(bed: Bed, data: bytes, port: int = 25) -> None:
    """As a mail server of today writes: all at once."""
    client = bed.smtp(port)
    client.envelope(FROM, TO)
    client.data(data + b".\r\n")
    client.quit()


def send_by_user(bed: Bed, data: bytes) -> None:
    """As somebody who has logged in: XCLIENT tells Postfix so (a login needs a server of passwords)."""
    client = bed.smtp(DIRECT_PORT)
    client.expect("XCLIENT LOGIN=alice", 220)
    client.expect("EHLO client.example", 250)
    client.envelope(FROM, TO)
    client.data(data + b".\r\n")
    client.quit()


def send_by_postfix(bed: Bed) -> None:
    """By a real Postfix, which sends what it was given on loopback."""
    path = bed.root / "relayed.eml"
    path.write_bytes(message(20_000))
    with open(path, "rb") as source:
        bed.link.client.run("/usr/bin/python3", "-c", "import smtplib, sys\n"
                            "session = smtplib.SMTP('127.0.0.1', 2525)\n"
                            "session.sendmail(sys.argv[1], [sys.argv[2]], sys.stdin.buffer.read())", FROM, TO, stdin=source)


def delivered(bed: Bed, send) -> bytes:
    """Sends one message, and returns it as it lies in the mailbox."""
    box = bed.postfix.mailbox("alice")
    before = {one.data for one in box.messages()}
    send()
    bed.postfix.wait_delivered("alice", len(before) + 1)
    fresh = [one.data for one in box.messages() if one.data not in before]
    if len(fresh) != 1:
        raise RuntimeError(f"{len(fresh)} messages were delivered instead of one")
    return fresh[0]


def real(bed: Bed) -> list[Sample]:
    bed.sender_postfix()
    bed.postfix.set(f"smtpd_authorized_xclient_hosts = {CLIENT4}")
    forged = (field() + field(pattern="bot-headers-apart")).replace(b"\n", b"\r\n")
    return [Sample("a template bot", delivered(bed, lambda: bed.talk("bot2", "bot")), True),
            Sample("Postfix", delivered(bed, lambda: send_by_postfix(bed)), False),
            Sample("a message at once, with forged fields",
                   delivered(bed, lambda: send_whole(bed, message(9000, forged))), False),
            Sample("a short message", delivered(bed, lambda: send_whole(bed, message(300))), False),
            Sample("an unobserved message", delivered(bed, lambda: send_whole(bed, message(9000), DIRECT_PORT)), False),
            Sample("a user who logged in, with forged fields", delivered(bed, lambda: send_by_user(bed, message(9000, forged))), False, True)]


def derived(bot: bytes, postfix: bytes) -> list[Sample]:
    """Variations of a bot's message: `bot` and `postfix` are messages as they were delivered."""
    own, others = FIELD.search(bot).group(), FIELD.search(postfix).group()

    def with_(*fields: bytes) -> bytes:
        return FIELD.sub(lambda _: b"".join(fields), bot, 1)
    value = own.split(b":", 1)[1]
    words = value.split()
    return [
        Sample("folded before each word", with_(NAME + b"\n\t".join([b"", *words]) + b"\n"), True),
        Sample("not folded", with_(NAME + b" " + b" ".join(words) + b"\n"), True),
        Sample("two fields, the topmost of a bot", with_(own, others), True),
        Sample("two fields, the topmost of Postfix", with_(others, own), False),
        Sample("a thousand fields below that of Postfix", with_(others, *[own] * 1000), False),
        Sample("no field", with_(), False),
        Sample("an empty field", with_(NAME + b"\n"), False),
        Sample("another host", with_(field("mx1.example.net")), False),
        Sample("a host with a longer name", with_(field("mx1.example.org.example.net")), False),
        Sample("a host that ends like ours", with_(field("evil-mx1.example.org")), False),
        Sample("a host with another letter for the dot", with_(field("mx1xexample.org")), False),
        Sample("a host in the second place", with_(field("mx9.example.net; mx1.example.org")), False),
        Sample("a version that is not there", with_(field(end="x=1")), False),
        Sample("a version of the future", with_(field(end="v=2")), False),
        Sample("cut off", with_(own.split(b"confidence")[0].rstrip() + b"\n"), False),
        Sample("two patterns", with_(field(pattern="official-mta", score="-1.0", rest="pattern=bot-template")), False),
        Sample("unobserved with a score", with_(field(pattern="unobserved")), False),
        Sample("low confidence", with_(field(confidence="0.40")), False),
        Sample("a confidence above 1", with_(field(confidence="9.99")), False),
        *[Sample(f"score={score}", with_(field(score=score)), False) for score in ("nan", "inf", "1e9", "0x10", "-3.9", "99999.9", "", "3.9.9")],
        Sample("one hundred kilobytes", with_(field(host="m" * 100_000)), False),
        Sample("bytes that are no text", with_(field().replace(b"bot-", b"bot\xff\x00-")), False),
        Sample("another field that holds one", with_(b"X-Other: X-Protocol-Pattern: " + b" ".join(words) + b"\n"), False),
        Sample("a field in the body", with_() + own, False),
        Sample("a bot's message in an attachment", with_(others).partition(b"\n\n")[0].replace(b"text/html; charset=us-ascii", ATTACHMENT)
               + b"\n\n--part\nContent-Type: message/rfc822\n\n" + bot + b"\n--part--\n", False),
    ]


def by_user(sample: Sample) -> Sample:
    """The same message of a user who had logged in, as Postfix's Received field says it."""
    data, hits = re.subn(rb"\(Postfix\) with E?SMTP id", b"(Postfix) with ESMTPSA id", sample.data, 1)
    if not hits:
        raise RuntimeError("Postfix's Received field has another form")
    return Sample(f"{sample.name}, of a user who logged in", data, False, True)


def collect(bed: Bed) -> list[Sample]:
    genuine = real(bed)
    return [*genuine, *derived(genuine[0].data, genuine[1].data), by_user(genuine[0])]


def run(argv, data: bytes, **options) -> str:
    """The output of a program that reads `data`; fails if the program fails."""
    done = subprocess.run([*map(str, argv)], input=data, capture_output=True, timeout=120, **options)
    if done.returncode:
        raise RuntimeError(f"{argv[0]}: status {done.returncode}: {(done.stdout + done.stderr).decode(errors='replace')[-600:]}")
    return done.stdout.decode(errors="replace")


def path_of(folder: Path, number: int, sample: Sample) -> Path:
    path = folder / f"{number:02}.eml"
    path.write_bytes(sample.data)
    return path
