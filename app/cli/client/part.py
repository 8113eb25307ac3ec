"""What has come of an archive: a file that is read again before it is continued.

At the end its last bytes have to be those that its members call for.
"""

from pathlib import Path

from app.archive.errors import ArchiveError, DamagedArchive
from app.archive.layout import Layout
from app.archive.walk import Walker

_BLOCK = 64 << 10


class Part:
    """What there is of an archive, in a file; whoever opens it closes it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size = 0
        self._walker = Walker()
        self._layout = Layout()
        self._file = path.open("a+b")

    @property
    def images(self) -> int:
        """How many images are whole."""
        # The last member of a whole archive is its manifest.
        return len(self._layout) - self._walker.at_tail

    def recall(self) -> None:
        """Read what an earlier run left; begin anew where that is damaged."""
        self._file.seek(0)
        try:
            while block := self._file.read(_BLOCK):
                self._take(block)
        except ArchiveError:
            self.restart()

    def restart(self) -> None:
        """Forget what there is."""
        self._file.truncate(0)
        self.size = 0
        self._walker = Walker()
        self._layout = Layout()

    def append(self, data: bytes) -> None:
        """Write the next bytes; raise ArchiveError where they cannot be right."""
        self._file.write(data)
        self._take(data)

    def check_end(self) -> None:
        """Raise DamagedArchive unless the archive ends as its members call for."""
        if not self._walker.at_tail:
            raise DamagedArchive(self.size, "it ends too early")
        self._layout.close()
        self._file.flush()
        self._file.seek(self._walker.whole)
        for piece in self._layout.tail():
            if self._file.read(len(piece)) != piece:
                raise DamagedArchive(self._walker.whole, "its directory is not right")
        if self._file.read(1):
            raise DamagedArchive(self._layout.length, "it goes on behind its end")

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _take(self, data: bytes) -> None:
        self.size += len(data)
        for member in self._walker.feed(data):
            self._layout.add(member)
