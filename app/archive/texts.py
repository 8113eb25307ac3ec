"""Many short ASCII texts in two buffers instead of as many objects."""

from array import array


class Texts:
    """An append-only list of ASCII texts without line feeds."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._ends = array("Q")

    def __len__(self) -> int:
        return len(self._ends)

    def append(self, text: str) -> None:
        """Take a text."""
        self._data += text.encode("ascii")
        self._ends.append(len(self._data))

    def __getitem__(self, index: int) -> str:
        start = self._ends[index - 1] if index else 0
        return self._data[start : self._ends[index]].decode("ascii")

    def lines(self) -> bytes:
        """Return the texts, a line feed after each."""
        return b"".join(self[i].encode("ascii") + b"\n" for i in range(len(self)))
