"""Refused messages before one that is accepted: Postfix never asks about them, but their bytes have been sent.

They are refused for their sender (syntax, SIZE), their recipient (relaying, unknown), their size or their content. By BDAT the
message is sent even if its envelope was refused; by DATA it is sent only after 354. The commands are pipelined, or the client
waits for each reply.
"""
import mail
import talk
from attempt import Attempt
from ground import REFUSED_IN_BODY, REFUSED_IN_HEADER, SIZE_LIMIT

SENDER = b"MAIL FROM:<sender@sender.example>"
TAKEN = b"RCPT TO:<bob@example.org>\r\n"
ENVELOPES = {
    "sender's syntax": b"MAIL FROM:<sender@sender.example\r\n" + TAKEN,
    "declared size": SENDER + b" SIZE=99999999\r\n" + TAKEN,
    "foreign recipient": SENDER + b"\r\nRCPT TO:<bob@elsewhere.example>\r\n",
    "unknown recipient": SENDER + b"\r\nRCPT TO:<nobody@example.org>\r\n",
}


def _refused(attempt: Attempt, kind: str, shape: mail.Shape, why: str) -> talk.Letter:
    tag, content = attempt.message(shape)
    if why == "header":
        content = content.replace(b"\r\n\r\n", b"\r\n" + REFUSED_IN_HEADER + b"\r\n", 1)
    elif why == "body":
        content += REFUSED_IN_BODY
    elif why == "size":
        content += mail.text(SIZE_LIMIT)
    return talk.Letter(tag, kind, ENVELOPES.get(why, attempt.envelope()), content, why in ENVELOPES)


def _letters(attempt: Attempt, too_large: float) -> list[talk.Letter]:
    """Sends one to three messages that are refused, and one of the other kind that is accepted. `too_large`: the share of attempts in
    which the last refused message is refused for its size."""
    kinds = attempt.random.sample(["nice", "template"], 2)
    *shapes, last = attempt.shapes(attempt.random.randrange(2, 5))
    reasons = [attempt.random.choice([*ENVELOPES, "header", "body"]) for _ in shapes]
    if attempt.chance(too_large):
        reasons[-1] = "size"
    letters = [_refused(attempt, kinds[0], *row) for row in zip(shapes, reasons)]
    tag, content = attempt.message(last)
    return letters + [talk.Letter(tag, kinds[1], attempt.envelope(), content)]


def by_bdat(attempt: Attempt) -> None:
    """A message that is too large comes only once, as the last refused one. If BDAT with a refused envelope follows it, smtpd of
    Postfix 3.7.11 crashes (signal 11), with segmilter and without it."""
    speaker = attempt.session()
    for too_large in (0, 0.2):
        talk.by_bdat(attempt, speaker, _letters(attempt, too_large), pipelined=attempt.chance(0.7))
    speaker.quit()


def by_data(attempt: Attempt) -> None:
    speaker = attempt.session()
    for _ in range(2):
        letters = _letters(attempt, too_large=0.1)
        if attempt.chance(0.3):
            talk.by_data_ahead(attempt, speaker, letters)
        else:
            talk.by_data(attempt, speaker, letters, pipelined=attempt.chance(0.5))
    speaker.quit()
