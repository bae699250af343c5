"""A client that goes away and comes again at once from the same port, while Postfix is still at its first session."""
import time

import talk
from attempt import Attempt
from speaker import Speaker

LONG = 200_000


def come_again(attempt: Attempt, greet: bool = True) -> Speaker:
    """A session from the attempt's port. While one of the two sides still has the connection before, TCP does not give it."""
    deadline = time.monotonic() + 20
    while True:
        try:
            return attempt.session(seconds=4, greet=greet)
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)


def again(attempt: Attempt, kind: str, shape, wait: int = 0) -> None:
    """From the attempt's port, as soon as it can be had, a message and another one. In a hurry, all of the first one is sent
    before the server has said a word."""
    # Under TLS behind HAProxy neither sizes nor cuts would tell what shares a record with commands.
    hurry = attempt.chance(0.5) and not (attempt.recut and attempt.tls)
    speaker = come_again(attempt, greet=attempt.tls or not hurry)
    if hurry:
        tag, content = attempt.message(shape)
        talk.by_data_ahead(attempt, speaker, [talk.Letter(tag, kind, attempt.envelope(wait), content)], greeted=attempt.tls)
    else:
        attempt.data(speaker, kind, shape, wait)
    attempt.data(speaker, kind, attempt.shapes(1)[0])
    speaker.quit()


def _first(attempt: Attempt, wait: int) -> tuple[Speaker, str, list]:
    """A session whose message has ended and is not answered; the other kind, and shapes."""
    kinds = attempt.random.sample(["template", "nice"], 2)
    shapes = attempt.shapes(2)
    if not wait and attempt.chance(0.5):  # Postfix is at it for a while by itself
        shapes[0] = shapes[0].larger(LONG)
    speaker = attempt.session()
    attempt.say(speaker, kinds[0], shapes[0], wait)
    return speaker, kinds[1], shapes


def _reset_and_again(attempt: Attempt, wait: int, pause: float) -> None:
    speaker, kind, shapes = _first(attempt, wait)
    speaker.settle()
    # The proxy has to read the dot before the reset is known to it; how soon it does is chance.
    time.sleep(attempt.random.choice((0, 0.001, 0.003, 0.01)))
    speaker.reset()
    time.sleep(pause)
    again(attempt, kind, shapes[1], wait if attempt.chance(0.5) else 0)


def reset_quick(attempt: Attempt) -> None:
    _reset_and_again(attempt, 0, 0)


def quit_and_again(attempt: Attempt) -> None:
    """Nothing is left open; only the port is the same."""
    kinds = attempt.random.sample(["template", "nice"], 2)
    for kind, shape in zip(kinds, attempt.shapes(2)):
        speaker = come_again(attempt)
        attempt.data(speaker, kind, shape)
        speaker.quit()
        time.sleep(attempt.random.choice((0, 0, 0.01, 0.5, 1.5)))


def reset_slow_service(attempt: Attempt) -> None:
    _reset_and_again(attempt, attempt.random.randrange(200, 1500), attempt.random.choice((0, 0, 0.1, 0.3, 1.0)))


def close_slow_service(attempt: Attempt) -> None:
    """FIN behind the dot. TCP gives the port again after a second."""
    speaker, kind, shapes = _first(attempt, attempt.random.randrange(1200, 2500))
    speaker.close()
    time.sleep(attempt.random.choice((0, 0.5, 1.0)))
    again(attempt, kind, shapes[1])


def reset_in_mid_message(attempt: Attempt) -> None:
    """What had come of the first message is nobody's."""
    kinds = attempt.random.sample(["template", "nice"], 2)
    shapes = attempt.shapes(2)
    speaker = attempt.session()
    if attempt.chance(0.5):
        attempt.data(speaker, kinds[0], attempt.shapes(1)[0])
    attempt.say_but_dot(speaker, kinds[0], shapes[0])
    if attempt.chance(0.5):
        speaker.settle()
    speaker.reset()
    again(attempt, kinds[1], shapes[1])


def half_close(attempt: Attempt) -> None:
    """FIN behind the dot while the answer is still to come; read or not, the port is reset and used again."""
    speaker, kind, shapes = _first(attempt, attempt.random.choice((0, 200, 500)))
    speaker.half_close()
    if attempt.chance(0.5):
        speaker.reply()
    else:
        speaker.settle()
    speaker.reset()
    again(attempt, kind, shapes[1])
