"""Where the head of a request ends, and how much follows; knows no socket.

It only says when reading may go on in a thread. What a request means is decided by
gunicorn's parser, which gets the same bytes.
"""

import re

# Of a whole head: room for a request line of 8,190 bytes and as much again.
MOST_HEAD = 16 << 10
_FRAME = re.compile(
    rb"\r\n(content-length|transfer-encoding|expect):[ \t]*([^\r\n]*?)[ \t]*(?=\r\n)",
    re.IGNORECASE,
)
_LENGTH = re.compile(rb"[0-9]{1,18}")
# A path that is longer, or not all there, is not told of.
_LINE = re.compile(
    rb"(?:\r\n)?([!#$%&'*+.^_`|~0-9A-Za-z-]{1,20}) (/[^ ?#\r\n]{0,999}(?=[ ?#\r]))?"
)
_CLOSES = re.compile(rb"\r\nconnection:[^\r\n]*\bclose\b", re.I)
_REQUEST_ID = re.compile(rb"\r\nx-request-id:[ \t]*([^\r\n]*?)[ \t]*\r\n", re.I)


def end_of(received: bytes | bytearray, searched: int, longest_line: int) -> int | None:
    """Return where the head ends; None while it may go on.

    Also where the parser needs no more to refuse it: a request line over
    `longest_line` bytes, or an LF without its CR (RFC 9112, section 2.2). The first
    `searched` bytes are known to hold no end.
    """
    found = received.find(b"\r\n\r\n", max(searched - 3, 0))
    if found >= 0:
        return found + 4
    too_long = is_long_line(received, longest_line)
    if too_long or received.count(b"\n") != received.count(b"\r\n"):
        return len(received)
    return None


def is_long_line(received: bytes | bytearray, longest_line: int) -> bool:
    """Tell whether the request line has more than `longest_line` bytes."""
    # One empty line may stand before it.
    line = received.find(b"\r\n", 2)
    return (line if line >= 0 else len(received) - 2) > longest_line + 2


def length_of_body(head: bytes | bytearray) -> int | None:
    """Return how many bytes follow a head; None where that cannot be told.

    So it is with chunks, and where the sender waits for `100 Continue`.
    """
    length = 0
    for name, value in _FRAME.findall(head):
        if name.lower() != b"content-length":
            return None
        # What is no length is refused by the parser, which needs no body for that.
        length = int(value) if _LENGTH.fullmatch(value) else 0
    return length


def told_of(head: bytes) -> tuple[str, str, str | None]:
    """Return method, path and request id of any head, as far as they can be read."""
    line = _LINE.match(head)
    request_id = _REQUEST_ID.search(head)
    method, path = line.groups() if line else (b"", b"")
    given = request_id[1].decode("latin-1") if request_id else None
    return method.decode(), (path or b"").decode("latin-1"), given


def keeps_open(head: bytes) -> bool:
    """Tell whether whoever sent a head expects to send another (RFC 9112, 9.3)."""
    line = head[: head.find(b"\r\n", 2)]
    return line.endswith(b"HTTP/1.1") and not _CLOSES.search(head)
