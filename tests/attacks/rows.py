"""Messages pipelined by BDAT in one burst: several have ended when Postfix is still at the first (RFC 3030, 4.2)."""
import talk
from attempt import Attempt

LENGTHS = (2, 3, 4, 6, 8, 12, 15, 16, 17, 18, 19, 20, 24, 32, 40)


def _row(attempt: Attempt, kinds: list[str]) -> None:
    letters = [talk.Letter(tag, kind, attempt.envelope(), content) for kind, (tag, content) in
               zip(kinds, map(attempt.message, attempt.shapes(len(kinds))))]
    speaker = attempt.session()
    # Under TLS what shares a record with its neighbours cannot be placed; some rows are to be placed.
    talk.by_bdat(attempt, speaker, letters, pipelined=True, apart=attempt.tls and attempt.chance(0.5))
    speaker.quit()


def template_first(attempt: Attempt) -> None:
    count = attempt.random.choice(LENGTHS)
    _row(attempt, ["template"] + ["nice"] * (count - 1))


def mixed(attempt: Attempt) -> None:
    count = attempt.random.choice(LENGTHS)
    kinds = ["nice"] * count
    # More small writes than two templates have would wait for acknowledgements, and be joined.
    for place in attempt.random.sample(range(count), min(2, count - 1)):
        kinds[place] = "template"
    _row(attempt, kinds)
