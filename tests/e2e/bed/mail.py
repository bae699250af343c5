"""Delivered mail: maildirs, messages, and segmilter's header in them."""
import re
from dataclasses import dataclass
from pathlib import Path

HEADER = "X-Protocol-Pattern"


@dataclass(frozen=True)
class Label:
    """One X-Protocol-Pattern header, taken apart."""
    host: str
    fields: dict[str, str]
    raw: str  # as delivered, folding included

    @property
    def pattern(self) -> str:
        return self.fields.get("pattern", "?")

    @property
    def segments(self) -> list[int] | None:
        """Sizes in stream order; None when the list is absent or cut short."""
        text = self.fields.get("segments", "")
        sizes: list[int] = []
        for item in filter(None, text.split(",")):
            size, _, count = item.partition("x")
            if not size.isdigit() or (count and not count.isdigit()):
                return None
            sizes += [int(size)] * int(count or 1)
        return sizes or None


def parse_label(raw: str) -> Label:
    value = re.sub(r"\r?\n[ \t]+", " ", raw.split(":", 1)[1]).strip()
    host, *rest = [part.strip() for part in value.split(";")]
    fields = {}
    for part in filter(None, rest):
        key, _, text = part.partition("=")
        fields[key.strip()] = re.sub(r"\s+", "", text)
    return Label(host, fields, raw)


@dataclass(frozen=True)
class Message:
    """A delivered message. Postfix's virtual(8) stores lines with LF and adds headers on top."""
    data: bytes

    def head(self) -> bytes:
        return self.data.partition(b"\n\n")[0] + b"\n"

    def headers(self, name: str) -> list[str]:
        """Every field of that name with its folded lines, in order."""
        pattern = rb"(?im)^" + re.escape(name.encode()) + rb":.*\n(?:[ \t].*\n)*"
        return [match.decode("utf-8", "replace").rstrip("\n")
                for match in re.findall(pattern, self.head())]

    def value(self, name: str) -> str:
        found = self.headers(name)
        return found[0].split(":", 1)[1].strip() if found else ""

    def labels(self) -> list[Label]:
        return [parse_label(raw) for raw in self.headers(HEADER)]


class Mailbox:
    """One maildir below the bed's mail folder."""

    def __init__(self, path: Path):
        self.path = path

    def count(self) -> int:
        new = self.path / "new"
        return sum(1 for _ in new.iterdir()) if new.is_dir() else 0

    def messages(self) -> list[Message]:
        new = self.path / "new"
        return [Message(file.read_bytes()) for file in sorted(new.iterdir())] if new.is_dir() else []

    def clear(self) -> None:
        new = self.path / "new"
        if new.is_dir():
            for file in new.iterdir():
                file.unlink()
