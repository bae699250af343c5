"""The messages that are sent: four sizes, always the same bytes, only filler text.

Each is written as one file with LF and one with CRLF line ends, and as parts from which a program builds its own message:
KIND.subject, .text, .html (empty except for k20), .bin (an attachment, k100 only), .header and .body (both CRLF).
"""
import base64
import random
import textwrap
from pathlib import Path

FROM, TO = "sender@sender.example", "alice@example.org"
SIZES = {"k1": 900, "k5": 5_000, "k20": 18_500, "k100": 100_000}
SUBJECTS = {"k1": "Lunch on Thursday", "k5": "Minutes of the meeting", "k20": "Offers of the garden centre",
            "k100": "The scanned contract"}
WORDS = ("a and as at boundary box buffer by far for from garden green has how in is it kernel letter line long mail many "
         "message near network not of on or packet paper program read river says segment sender server short small spring "
         "table than that the this to tree two under very was water way what when where which window with word write").split()


def paragraph(chance: random.Random, size: int) -> str:
    """Lines of up to 64 to 76 characters, some beginning with a dot."""
    text = ""
    while len(text) < size:
        words = " ".join(chance.choices(WORDS, k=chance.randint(30, 90)))
        lines = textwrap.wrap(words, chance.choice((64, 72, 76)))
        text += "\n".join(lines) + ("\n.and a dot\n\n" if chance.random() < 0.1 else "\n\n")
    return text[:text.rindex("\n", 0, size) + 1]


def parts(kind: str) -> dict:
    chance = random.Random(kind)
    size = SIZES[kind]
    made = {"subject": SUBJECTS[kind], "text": "", "html": "", "bin": b""}
    if kind == "k20":
        made["text"] = paragraph(chance, size // 3)
        made["html"] = "<html><body>\n<p>" + paragraph(chance, size // 2).replace("\n\n", "</p>\n<p>") + "</p>\n</body></html>\n"
    elif kind == "k100":
        made["text"] = paragraph(chance, 3_000)
        made["bin"] = chance.randbytes(int((size - 4_000) * 0.73))
    else:
        made["text"] = paragraph(chance, size - 320)
    return made


def message(kind: str, made: dict) -> tuple[str, str]:
    """Header (the blank line with it) and body, lines ending with LF."""
    head = (f"From: Sender <{FROM}>\nTo: Alice <{TO}>\nSubject: {made['subject']}\n"
            f"Date: Fri, 27 Nov 2026 08:00:00 +0000\nMessage-ID: <{kind}.27@sender.example>\nMIME-Version: 1.0\n")
    if not (made["html"] or made["bin"]):
        return head + "Content-Type: text/plain; charset=us-ascii\n\n", made["text"]
    kinds = ("multipart/alternative", "text/html; charset=us-ascii\n\n" + made["html"]) if made["html"] else (
        "multipart/mixed", 'application/octet-stream; name="scan.bin"\nContent-Transfer-Encoding: base64\n\n'
        + "\n".join(textwrap.wrap(base64.b64encode(made["bin"]).decode(), 76)) + "\n")
    head += f'Content-Type: {kinds[0]}; boundary="=_{kind}"\n\n'
    return head, (f"--=_{kind}\nContent-Type: text/plain; charset=us-ascii\n\n{made['text']}\n"
                  f"--=_{kind}\nContent-Type: {kinds[1]}\n--=_{kind}--\n")


def write(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for kind in SIZES:
        made = parts(kind)
        head, body = message(kind, made)
        crlf = {name: text.replace("\n", "\r\n") for name, text in {"crlf": head + body, "header": head, "body": body}.items()}
        for name, text in {"lf": head + body, **crlf, **made}.items():
            data = text if isinstance(text, bytes) else text.encode()
            (folder / f"{kind}.{name}").write_bytes(data)
