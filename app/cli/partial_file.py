"""What there is of an archive from elsewhere: kept, counted, and checked at its end."""

import zipfile
from pathlib import Path

import ijson  # type: ignore[import-untyped]

from app.archive.manifest import MANIFEST
from app.collection.notices import Notices

# Read at a time of what an earlier run left.
_BLOCK = 1 << 20
# What stands before each file of an archive (APPNOTE 4.3.7).
_LOCAL_HEADER = b"PK\3\4"
# What `zipfile` and a manifest of another shape raise beside their own.
_MALFORMED = (AttributeError, EOFError, KeyError, RuntimeError, TypeError, ValueError)


class DamagedArchive(Exception):
    """What came is no whole archive."""


class PartialFile:
    """What there is of an archive, in a file that is appended to.

    `images` are those that are whole. Whoever opens it closes it.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("a+b")
        self._forget()
        self._file.seek(0)
        while block := self._file.read(_BLOCK):
            self._count(block)

    @property
    def images(self) -> int:
        """How many images are whole: behind the last one the manifest has begun."""
        return max(0, self._headers - 1)

    def append(self, data: bytes) -> None:
        """Write the next bytes."""
        self._file.write(data)
        self._count(data)

    def restart(self) -> None:
        """Forget what there is."""
        self._file.truncate(0)
        self._forget()

    def failures(self) -> list[tuple[int, str, str]]:
        """Return number, file and reason of each image that a whole archive lacks.

        Raises DamagedArchive where a checksum, or anything else, is not right.
        """
        self._file.flush()
        try:
            with zipfile.ZipFile(self._file) as archive:
                members = archive.infolist()
                # Stored only: what is packed might never end.
                odd = any(
                    each.compress_type or each.header_offset < 0 for each in members
                )
                # `testzip` opens by name, and so one of two twice.
                twice = len(set(archive.namelist())) < len(members)
                if odd or twice or archive.testzip() is not None:
                    raise zipfile.BadZipFile("a file is not as it was sent")
                with archive.open(MANIFEST) as manifest:
                    return [
                        (int(row["index"]), row["name"], row.get("detail", "failed"))
                        for row in ijson.items(manifest, "errors.item")
                    ]
        except (zipfile.BadZipFile, ijson.JSONError, *_MALFORMED) as error:
            raise DamagedArchive(f"The archive is damaged: {error}") from error

    def notices(self) -> Notices:
        """Return what the manifest of a whole archive says of the texts.

        Raises DamagedArchive where it says it in another form.
        """
        made = Notices()
        try:
            with (
                zipfile.ZipFile(self._file) as archive,
                archive.open(MANIFEST) as manifest,
            ):
                for row in ijson.items(manifest, "images.item"):
                    made.add(int(row["index"]), row.get("facts", {}))
        except (zipfile.BadZipFile, ijson.JSONError, *_MALFORMED) as error:
            raise DamagedArchive(f"The archive is damaged: {error}") from error
        return made

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _forget(self) -> None:
        self.size = 0
        self._headers = 0
        self._last = b""

    def _count(self, data: bytes) -> None:
        self.size += len(data)
        # Images are compressed: in one of 4 GiB the four bytes stand once by chance.
        self._headers += (self._last + data).count(_LOCAL_HEADER)
        self._last = (self._last + data)[-3:]
