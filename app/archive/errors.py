"""What can go wrong in an archive; the tree is free of HTTP."""

from app.errors import with_fields


class ArchiveError(Exception):
    """Base of all errors that this package raises on purpose."""


@with_fields
class BadName(ArchiveError):
    """A member's name is not safe to unpack under, or not the only one."""

    name: str
    reason: str

    def __str__(self) -> str:
        return f"{self.name[:60]!r} {self.reason}"


class DamagedManifest(ArchiveError):
    """What was kept of an archive is not whole."""


@with_fields
class DamagedArchive(ArchiveError):
    """Bytes from `offset` on are not those of an archive that is laid out here."""

    offset: int
    reason: str

    def __str__(self) -> str:
        return f"The archive is damaged at byte {self.offset:,}: {self.reason}"
