"""Refused messages in front of one that is taken: Postfix never asks about them, but they have been sent.

Refused for its sender (syntax, SIZE), its recipient (relaying, unknown), its size, its content; by BDAT, where the message is
sent whatever was said of its envelope, and by DATA, where it is sent only behind 354; pipelined, and waiting for each answer.
"""
from contextlib import contextmanager

import mail
import talk
from attempt import Attempt
from ground import SIZE_LIMIT, Ground

SENDER = b"MAIL FROM:<sender@sender.example>"
TAKEN = b"RCPT TO:<bob@example.org>\r\n"
ENVELOPES = {
    "sender's syntax": b"MAIL FROM:<sender@sender.example\r\n" + TAKEN,
    "declared size": SENDER + b" SIZE=99999999\r\n" + TAKEN,
    "foreign recipient": SENDER + b"\r\nRCPT TO:<bob@elsewhere.example>\r\n",
    "unknown recipient": SENDER + b"\r\nRCPT TO:<nobody@example.org>\r\n",
}
CONTENTS = ("size", "header", "body")
IN_HEADER, IN_BODY = b"X-Refuse-Me: yes\r\n", b"refuse this line\r\n"


@contextmanager
def prepared(ground: Ground):
    tables = ground.bed.root / "checks"
    tables.mkdir(exist_ok=True)
    (tables / "header").write_text("/^X-Refuse-Me:/ REJECT by its header\n")
    (tables / "body").write_text("/^refuse this line/ REJECT by its body\n")
    ground.set_postfix(f"header_checks = regexp:{tables}/header", f"body_checks = regexp:{tables}/body",
                       f"message_size_limit = {SIZE_LIMIT}")
    try:
        yield
    finally:
        ground.set_postfix("header_checks =", "body_checks =", "message_size_limit = 10240000")


def _refused(attempt: Attempt, kind: str, shape: mail.Shape) -> talk.Letter:
    why = attempt.random.choice([*ENVELOPES, *CONTENTS])
    tag, content = attempt.message(shape)
    if why == "header":
        content = content.replace(b"\r\n\r\n", b"\r\n" + IN_HEADER + b"\r\n", 1)
    elif why == "body":
        content += IN_BODY
    elif why == "size":
        content += mail.text(SIZE_LIMIT)
    return talk.Letter(tag, kind, ENVELOPES.get(why, attempt.envelope()), content)


def _letters(attempt: Attempt) -> list[talk.Letter]:
    """One to three that are refused, and one of the other kind that is taken."""
    kinds = attempt.random.sample(["nice", "template"], 2)
    *shapes, last = attempt.shapes(attempt.random.randrange(2, 5))
    letters = [_refused(attempt, kinds[0], shape) for shape in shapes]
    tag, content = attempt.message(last)
    return letters + [talk.Letter(tag, kinds[1], attempt.envelope(), content)]


def by_bdat(attempt: Attempt) -> None:
    speaker = attempt.session()
    for _ in range(2):
        talk.by_bdat(attempt, speaker, _letters(attempt), pipelined=attempt.chance(0.7))
    speaker.quit()


def by_data(attempt: Attempt) -> None:
    speaker = attempt.session()
    for _ in range(2):
        talk.by_data(attempt, speaker, _letters(attempt), pipelined=attempt.chance(0.5))
    speaker.quit()
