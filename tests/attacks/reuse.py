"""A client closes its connection and connects again at once from the same port, while Postfix still works on its first session."""
import time

import talk
from attempt import Attempt
from speaker import Speaker

LONG = 200_000


def come_again(attempt: Attempt, greet: bool = True) -> Speaker:
    """Opens a session from the attempt's port. TCP does not permit it while one side still has the previous connection."""
    deadline = time.monotonic() + 20
    while True:
        try:
            return attempt.session(seconds=4, greet=greet)
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)


def again(attempt: Attempt, kind: str, shape, wait: int = 0) -> None:
    """Sends two messages from the attempt's port, as soon as the port is free. In a hurry, the whole first message is sent before the
    server has sent anything."""
    # Under TLS behind HAProxy, neither sizes nor cuts could identify a message that shares a record with commands.
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
    """Opens a session whose message has ended and is not answered. Also returns the other kind of message, and shapes."""
    kinds = attempt.random.sample(["template", "nice"], 2)
    shapes = attempt.shapes(2)
    if not wait and attempt.chance(0.5):  # a large message keeps Postfix busy even without a wait
        shapes[0] = shapes[0].larger(LONG)
    speaker = attempt.session()
    attempt.say(speaker, kinds[0], shapes[0], wait)
    return speaker, kinds[1], shapes


def _reset_and_again(attempt: Attempt, wait: int, pause: float) -> None:
    speaker, kind, shapes = _first(attempt, wait)
    speaker.settle()
    # The proxy should read the dot before it learns of the reset; how soon it does so varies.
    time.sleep(attempt.random.choice((0, 0.001, 0.003, 0.01)))
    speaker.reset()
    time.sleep(pause)
    again(attempt, kind, shapes[1], wait if attempt.chance(0.5) else 0)


def reset_quick(attempt: Attempt) -> None:
    _reset_and_again(attempt, 0, 0)


def quit_and_again(attempt: Attempt) -> None:
    """The first session is closed normally; only the port is the same."""
    kinds = attempt.random.sample(["template", "nice"], 2)
    for kind, shape in zip(kinds, attempt.shapes(2)):
        speaker = come_again(attempt)
        attempt.data(speaker, kind, shape)
        speaker.quit()
        time.sleep(attempt.random.choice((0, 0, 0.01, 0.5, 1.5)))


def reset_slow_service(attempt: Attempt) -> None:
    _reset_and_again(attempt, attempt.random.randrange(200, 1500), attempt.random.choice((0, 0, 0.1, 0.3, 1.0)))


def close_slow_service(attempt: Attempt) -> None:
    """FIN follows the dot. TCP permits the port again after a second."""
    speaker, kind, shapes = _first(attempt, attempt.random.randrange(1200, 2500))
    speaker.close()
    time.sleep(attempt.random.choice((0, 0.5, 1.0)))
    again(attempt, kind, shapes[1])


def reset_in_mid_message(attempt: Attempt) -> None:
    """The part of the first message that had come must not be used for another message."""
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
    """FIN follows the dot before the reply has come. Whether the reply was read or not, the connection is reset and the port used
    again."""
    speaker, kind, shapes = _first(attempt, attempt.random.choice((0, 200, 500)))
    speaker.half_close()
    if attempt.chance(0.5):
        speaker.reply()
    else:
        speaker.settle()
    speaker.reset()
    again(attempt, kind, shapes[1])
