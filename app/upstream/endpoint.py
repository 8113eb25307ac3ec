"""What the transport must know of an upstream, and what it brings back."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import BinaryIO, Protocol


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A configured upstream: trusted, and often on a private address.

    `url` is its base. `first_byte_s` counts from the connection to the end of the
    answer's headers, `idle_s` from one piece of the body to the next.
    """

    name: str
    # A query may hold a key.
    url: str = field(repr=False)
    connect_s: float = 5.0
    first_byte_s: float = 120.0
    idle_s: float = 30.0


class Sendable(Protocol):
    """A request in an upstream's own words; `path` goes behind the endpoint's base."""

    @property
    def method(self) -> str: ...
    @property
    def path(self) -> str: ...
    @property
    def headers(self) -> Mapping[str, str]: ...
    @property
    def body(self) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Received:
    """An answer, whole and unread; `body` is a temporary file at its beginning.

    Names of `headers` are in lower case. The body of an answer of 400 and above
    ends after 64 KiB. Whoever receives it closes the file.
    """

    status: int
    content_type: str
    headers: Mapping[str, str]
    body: BinaryIO
