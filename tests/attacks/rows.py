"""Messages that are pipelined in one burst: several have ended while Postfix still works on the first.

By BDAT, which permits it (RFC 3030, 4.2), and by DATA without waiting for 354, which Postfix accepts.
"""
import talk
from attempt import Attempt

LENGTHS = (2, 3, 4, 6, 8, 12, 15, 16, 17, 18, 19, 20, 24, 32, 40)


def _letters(attempt: Attempt, kinds: list[str]) -> list[talk.Letter]:
    return [talk.Letter(tag, kind, attempt.envelope(), content) for kind, (tag, content) in
            zip(kinds, map(attempt.message, attempt.shapes(len(kinds))))]


def _mixed(attempt: Attempt, count: int) -> list[str]:
    """A row of nice messages with two templates among them."""
    kinds = ["nice"] * count
    for place in attempt.random.sample(range(count), min(2, count - 1)):
        kinds[place] = "template"
    return kinds


def _by_bdat(attempt: Attempt, kinds: list[str]) -> None:
    letters, speaker = _letters(attempt, kinds), attempt.session()
    # Under TLS a message that shares a record with its neighbours cannot be placed, so in some rows each has its own.
    talk.by_bdat(attempt, speaker, letters, pipelined=True, apart=attempt.tls and attempt.chance(0.5))
    speaker.quit()


def template_first(attempt: Attempt) -> None:
    _by_bdat(attempt, ["template"] + ["nice"] * (attempt.random.choice(LENGTHS) - 1))


def mixed(attempt: Attempt) -> None:
    _by_bdat(attempt, _mixed(attempt, attempt.random.choice(LENGTHS)))


def data_ahead(attempt: Attempt) -> None:
    letters = _letters(attempt, _mixed(attempt, attempt.random.choice(LENGTHS[:-3])))
    speaker = attempt.session()
    talk.by_data_ahead(attempt, speaker, letters)
    speaker.quit()
