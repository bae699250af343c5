"""One client port is connected to two addresses of the server, or to two of its ports, at the same time: two sessions, one client.

Both messages end together, so both are unanswered when Postfix asks about the first. For some messages smtpd takes long (a slow
policy service, or a large message to copy).
"""
from attempt import Attempt
from bed.link import SERVER4
from ground import SECOND4, SECOND_PORT
from speaker import Speaker

LARGE = 700_000


def together(attempt: Attempt, speakers: list[Speaker], large: float = 0) -> None:
    """One session sends a template and the other a nice message, and both end together. Then each sends another one, one after the
    other. `large`: the share of the attempts whose messages are large."""
    shapes = attempt.shapes(2)
    if attempt.chance(large):
        shapes = [shape.larger(LARGE + number) for number, shape in enumerate(shapes)]
    wait = attempt.random.choice((0, 0, 100, 200))
    kinds = attempt.random.sample(["template", "nice"], 2)
    begun = [attempt.say_but_dot(*row, wait) for row in zip(speakers, kinds, shapes)]
    for speaker, message in zip(speakers, begun):
        attempt.dot(speaker, message)
    for speaker in speakers:
        speaker.reply()
    for speaker, kind, shape in zip(speakers, kinds, attempt.shapes(2)):
        attempt.data(speaker, kind, shape)
    for speaker in speakers:
        speaker.quit()


def two_addresses(attempt: Attempt) -> None:
    together(attempt, [attempt.session(), attempt.session(to=(SECOND4, 25))], large=0.03)


def two_ports(attempt: Attempt) -> None:
    together(attempt, [attempt.session(), attempt.session(to=(SERVER4, SECOND_PORT))], large=0.03)
