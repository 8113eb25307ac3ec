"""The `data` lines of server-sent events, found in their file."""

import re
from collections.abc import Iterator

from app.upstream.probe.byte_range import Region

_BREAK = re.compile(rb"[\r\n]")
_FIELD = b"data:"
# Pings are lines, too: one a second for five hours.
_MOST_LINES = 20_000


class OverLines(ValueError):
    """The stream has more lines than are ever read of an answer."""


def data_lines(stream: Region) -> Iterator[Region]:
    """Yield the content of every `data` line, up to `[DONE]`.

    Services put each event's JSON on one line, so lines are not joined as the
    standard has it (HTML, section 9.2).
    """
    for line in _lines(stream):
        if line.read(0, len(_FIELD)) != _FIELD:
            continue
        content = line.part(len(_FIELD), line.length)
        if content.read(0, 16).strip() == b"[DONE]":
            return
        yield content


def _lines(stream: Region) -> Iterator[Region]:
    start, position, count = 0, 0, 0
    for block in stream.blocks():
        for match in _BREAK.finditer(block):
            end = position + match.start()
            if end > start:
                yield stream.part(start, end)
            start, count = end + 1, count + 1
            if count > _MOST_LINES:
                raise OverLines("it has too many lines")
        position += len(block)
    if stream.length > start:
        yield stream.part(start, stream.length)
