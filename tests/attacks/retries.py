"""Messages that are deferred because of their label. The client tries again at once: in the same session, in another one, or in two
sessions that take turns."""
from contextlib import contextmanager

from attempt import Attempt
from ground import Ground

DEFERRED = 451


@contextmanager
def prepared(ground: Ground):
    ground.set_policy(mode="enforce")
    try:
        yield
    finally:
        ground.set_policy()


def same_session(attempt: Attempt) -> None:
    """Sends the message again as a template, which is deferred again, and then in one write."""
    speaker = attempt.session()
    answers = [attempt.data(speaker, kind, shape) for kind, shape in
               zip(attempt.random.sample(["template", "template", "nice"], 3), attempt.shapes(3))]
    speaker.quit()
    if DEFERRED not in answers:
        raise ConnectionError(f"no template was deferred: {answers}")


def other_sessions(attempt: Attempt) -> None:
    """Two sessions of the same client; each sends a message while the other one's message is answered."""
    speakers = [attempt.session(port=0), attempt.session(port=0)]
    kinds = attempt.random.sample(["template", "nice"], 2)
    shapes = attempt.shapes(4)
    for turn in range(2):
        begun = [attempt.say_but_dot(speaker, kinds[number], shapes[2 * turn + number])
                 for number, speaker in enumerate(speakers)]
        for speaker, message in zip(speakers, begun):
            attempt.dot(speaker, message)
        for speaker in reversed(speakers):
            speaker.reply()
        kinds.reverse()
    for speaker in speakers:
        speaker.quit()
