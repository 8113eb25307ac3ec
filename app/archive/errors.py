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
