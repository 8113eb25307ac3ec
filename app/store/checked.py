"""Small records with a check before them, which have no other proof of being whole."""

from struct import Struct

from zlib_ng import zlib_ng

# CRC-32 and not SHA-256: it finds bits that a disk turned, which nobody meant.
_CHECK = Struct(">I")


def checked(record: bytes) -> bytes:
    """Return a record as it is to be kept."""
    return _CHECK.pack(zlib_ng.crc32(record)) + record


def unchecked(block: bytes | memoryview) -> bytes:
    """Reverse `checked`; raise ValueError where it is damaged, or never was that."""
    record = bytes(block[_CHECK.size :])
    if block[: _CHECK.size] != _CHECK.pack(zlib_ng.crc32(record)):
        raise ValueError("a record in the store is damaged")
    return record
