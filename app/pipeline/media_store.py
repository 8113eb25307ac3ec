"""Media in a room of a store. A store at fault costs time, never the answer."""

import hashlib
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from functools import partial
from struct import Struct
from typing import Any

import orjson
from zlib_ng import zlib_ng

from app.media import Media
from app.observability import metrics, spans
from app.renderer.base import Encoded
from app.store import Copies, Pauses, Store, StoreError, checked, unchecked

_LOG = logging.getLogger("mimeo.store")
# Header and facts of nearly all blocks.
_PEEK_BYTES = 1024
_MAGIC = b"mimeo3\n"
_OLD_MAGICS = (b"mimeo1\n", b"mimeo2\n")
# The lengths of header and facts, and the CRC-32 of these lengths and of both.
_LENGTHS = Struct(">II")
_CHECK = Struct(">I")
_PREFIX = len(_MAGIC) + _LENGTHS.size + _CHECK.size


@dataclass(frozen=True, slots=True)
class Stored:
    """What a stored block says of its data: as in Media, and `size` in bytes."""

    media_type: str
    width: int
    height: int
    size: int
    crc32: int
    sha256: str
    facts: Mapping[str, Any] = field(default_factory=dict)


class MediaStore:
    """Media by their fingerprints; faults are logged, counted, and no more.

    What is drawn here is read from `copies`, if there are any.
    """

    def __init__(self, store: Store, copies: Copies | None = None) -> None:
        self._store = store
        self._copies = copies or Copies()

    def find(self, fingerprint: str) -> Media | None:
        """Return what `get` does; the look is counted as a hit or a miss."""
        found = self.get(fingerprint)
        metrics.count_lookup("media", hit=found is not None)
        return found

    def get(self, fingerprint: str) -> Media | None:
        """Return media, or None where there are none, or none that are whole."""
        try:
            with spans.span("store"):
                decode = partial(unpack, fingerprint=fingerprint)
                copy = None
                if self._copies.keeps:
                    copy = self._copies.find(fingerprint, decode)
                return copy or self._fetch(fingerprint)
        except (StoreError, ValueError) as error:
            _warn(error)
            return None

    def _fetch(self, fingerprint: str) -> Media | None:
        block = self._store.get(fingerprint)
        media = None if block is None else unpack(block, fingerprint)
        if block is not None and media is not None and self._is_copied(media):
            self._copies.keep(fingerprint, block)
        return media

    def peek(self, fingerprint: str) -> Stored | None:
        """Return what is known of media, without reading their data."""
        try:
            return peek(partial(self._store.read, fingerprint))
        except (StoreError, ValueError) as error:
            _warn(error)
            return None

    def put(self, media: Media) -> bool:
        """Keep media; return whether that worked. What is in a file goes in pieces."""
        # Of bytes that are held anyway one block is one write.
        if not isinstance(media.data, bytes):
            return self._put(media.fingerprint, packed(media))
        block = pack(media)
        if self._is_copied(media):
            self._copies.keep(media.fingerprint, block)
        return self._put(media.fingerprint, block)

    def _is_copied(self, media: Media) -> bool:
        return self._copies.keeps and _is_drawn(media)

    def delete(self, fingerprint: str) -> None:
        """Forget media; raise StoreError, because who asks for it must know."""
        self._copies.forget(fingerprint)
        self._store.delete(fingerprint)

    def _put(self, key: str, data: bytes | Iterator[bytes]) -> bool:
        try:
            with spans.span("store"):
                self._store.put(key, data)
        except StoreError as error:
            _warn(error)
            return False
        return True

    def get_note(self, key: str) -> Any:
        """Return the JSON value that is kept beside media, or None."""
        try:
            note = self._store.get(key)
            return None if note is None else orjson.loads(unchecked(note))
        except (StoreError, ValueError) as error:
            _warn(error)
            return None

    def put_note(self, key: str, value: object) -> bool:
        """Keep a JSON value beside media; return whether that worked."""
        return self._put(key, checked(orjson.dumps(value)))

    @contextmanager
    def lock(self, key: str, pauses: Pauses) -> Iterator[bool]:
        """Hold a key against other processes while the body runs, as Store.lock."""
        with ExitStack() as stack:
            try:
                shared = stack.enter_context(self._store.lock(key, pauses))
            except StoreError as error:
                _warn(error)
                shared = False
            yield shared


def media_of(encoded: Encoded, fingerprint: str, sha256: str = "") -> Media:
    """Return encoded bytes as media; their digest is made where it is not given."""
    return Media(
        data=encoded.data,
        media_type=encoded.media_type,
        width=encoded.width,
        height=encoded.height,
        sha256=sha256 or hashlib.sha256(encoded.data).hexdigest(),
        fingerprint=fingerprint,
        facts=encoded.facts,
    )


def _is_drawn(media: Media) -> bool:
    """Tell whether equal requests have equal bytes: what is bought may change."""
    return not {"upstream", "converted_from"} & media.facts.keys()


def _warn(error: Exception) -> None:
    if not getattr(error, "known", False):
        _LOG.warning("store: %s", error)
    metrics.count_store_error()


def pack(media: Media) -> bytes:
    """Return one self-describing block: magic, lengths, check, header, facts, data."""
    return _head(media) + bytes(media.data)


def packed(media: Media) -> Iterator[bytes]:
    """Yield what `pack` returns, in pieces."""
    yield _head(media)
    yield from media.blocks()


def _head(media: Media) -> bytes:
    stored = Stored(
        media.media_type,
        media.width,
        media.height,
        len(media.data),
        zlib_ng.crc32(media.data),
        media.sha256,
    )
    about = asdict(stored)
    del about["facts"]
    header, facts = orjson.dumps(about), orjson.dumps(media.facts)
    lengths = _LENGTHS.pack(len(header), len(facts))
    check = _CHECK.pack(zlib_ng.crc32(lengths + header + facts))
    return b"".join((_MAGIC, lengths, check, header, facts))


def unpack(block: bytes | memoryview, fingerprint: str) -> Media | None:
    """Reverse `pack`; None where an earlier version of Mimeo packed it.

    The data of a view are a view. Raises ValueError where the block is not whole or
    not ours.
    """
    if block[: len(_MAGIC)] in _OLD_MAGICS:
        return None
    data_at = _data_at(block)
    # CRC-32 and not SHA-256: it finds bits that a disk turned, which nobody meant.
    stored, data = _stored(block[:data_at]), block[data_at:]
    if len(data) != stored.size or zlib_ng.crc32(data) != stored.crc32:
        raise ValueError("the data of a stored block is damaged")
    return Media(
        data,
        stored.media_type,
        stored.width,
        stored.height,
        stored.sha256,
        fingerprint,
        stored.facts,
    )


def peek(read: Callable[[int, int], bytes | None]) -> Stored | None:
    """Return what a block says of its data; None where there is none, or an old one.

    `read` gets the bytes from one place up to another. Raises ValueError where the
    block is not ours, or what it says is damaged.
    """
    head = read(0, _PEEK_BYTES)
    if head is None or head.startswith(_OLD_MAGICS):
        return None
    data_at = _data_at(head)
    # Facts of a long text may fill more than the first read: then one more is needed.
    if data_at > len(head):
        head += read(len(head), data_at) or b""
    return _stored(head[:data_at])


def _data_at(block: bytes | memoryview) -> int:
    """Return where the data begin."""
    if block[: len(_MAGIC)] != _MAGIC or len(block) < _PREFIX:
        raise ValueError("a stored block does not begin with its magic bytes")
    header, facts = _LENGTHS.unpack_from(block, len(_MAGIC))
    return _PREFIX + int(header) + int(facts)


def _stored(head: bytes | memoryview) -> Stored:
    """Return what all before the data says."""
    lengths_at, check_at = len(_MAGIC), len(_MAGIC) + _LENGTHS.size
    crc32 = zlib_ng.crc32(head[_PREFIX:], zlib_ng.crc32(head[lengths_at:check_at]))
    if (crc32,) != _CHECK.unpack_from(head, check_at):
        raise ValueError("the header of a stored block is damaged")
    facts_at = _PREFIX + _LENGTHS.unpack_from(head, lengths_at)[0]
    facts = orjson.loads(head[facts_at:])
    try:
        return Stored(**orjson.loads(head[_PREFIX:facts_at]), facts=facts)
    except TypeError as error:
        # A sound check, but other members: a later version of Mimeo wrote it.
        raise ValueError("the header of a stored block is not ours") from error
