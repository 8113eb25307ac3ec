"""What can go wrong in an archive; the tree is free of HTTP."""


class ArchiveError(Exception):
    """Base of all errors that this package raises on purpose."""


class BadName(ArchiveError):
    """A member's name is not safe to unpack under, or not the only one."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(name, reason)
        self.name = name
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.name[:60]!r} {self.reason}"


class DamagedManifest(ArchiveError):
    """What was kept of an archive is not whole."""


class DamagedArchive(ArchiveError):
    """Bytes from `offset` on are not those of an archive that is laid out here."""

    def __init__(self, offset: int, reason: str) -> None:
        super().__init__(offset, reason)
        self.offset = offset
        self.reason = reason

    def __str__(self) -> str:
        return f"The archive is damaged at byte {self.offset:,}: {self.reason}"
