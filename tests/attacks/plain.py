"""This is no attack: the sessions have nothing that could be confused. They must be labelled, or the other rows prove nothing."""
import talk
from attempt import Attempt


def session(attempt: Attempt) -> None:
    speaker = attempt.session()
    for kind, shape in zip(attempt.random.sample(["template", "nice"], 2), attempt.shapes(2)):
        attempt.data(speaker, kind, shape)
    tag, content = attempt.message(attempt.shapes(1)[0])
    talk.by_bdat(attempt, speaker, [talk.Letter(tag, "template", attempt.envelope(), content)], pipelined=False)
    speaker.quit()
