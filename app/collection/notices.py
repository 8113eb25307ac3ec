"""What is to be said of the texts of many images: cut, or without glyphs."""

from collections.abc import Iterable, Mapping
from typing import Any

import orjson

# What a collection tells: more would fill a header's or a description's page.
_MOST_CHARACTERS = 256
_MOST_NUMBERS = 100
_KINDS = ("missing_glyphs", "text_clipped")


class Notices:
    """Gathers `missing_glyphs` and `text_clipped` of the facts of images, by number.

    Memory is bounded: 256 characters, and of each kind the first 100 numbers.
    """

    def __init__(self) -> None:
        self._characters: dict[str, None] = {}
        self._clipped: dict[str, str] = {}
        self._counts = dict.fromkeys(_KINDS, 0)
        self._numbers: dict[str, list[int]] = {kind: [] for kind in _KINDS}

    def add(self, index: int, facts: Mapping[str, Any]) -> None:
        """Take the facts of an image; its number counts from 1.

        Raises AttributeError or TypeError where they have another form.
        """
        for kind in _KINDS:
            if facts.get(kind):
                self._counts[kind] += 1
                if len(self._numbers[kind]) < _MOST_NUMBERS:
                    self._numbers[kind].append(index)
        for character in facts.get("missing_glyphs", ()):
            if len(self._characters) < _MOST_CHARACTERS:
                self._characters[character] = None
        for name, how in facts.get("text_clipped", {}).items():
            # What is cut somewhere is worse than what is shrunk elsewhere.
            if self._clipped.get(name) != "cut":
                self._clipped[name] = how

    @property
    def facts(self) -> dict[str, Any]:
        """All together, in the form that the facts of one image have."""
        found = {
            "missing_glyphs": sorted(self._characters),
            "text_clipped": self._clipped,
        }
        return {kind: value for kind, value in found.items() if value}

    def count(self, kind: str) -> int:
        """Return how many images have something of a kind."""
        return self._counts[kind]

    def first(self, kind: str) -> tuple[int, ...]:
        """Return the numbers of the first 100 images that have something of a kind."""
        return tuple(self._numbers[kind])

    def document(self) -> dict[str, Any]:
        """Return all of it as JSON has it; empty where there is nothing to say."""
        affected = {
            kind: {"count": self._counts[kind], "first": self._numbers[kind]}
            for kind in _KINDS
            if self._counts[kind]
        }
        return {"facts": self.facts, "affected": affected} if affected else {}

    def encode(self) -> bytes:
        """Return a block that `decode` reads."""
        return orjson.dumps(self.document())

    @classmethod
    def decode(cls, document: Mapping[str, Any]) -> "Notices":
        """Reverse `document`; raise ValueError where it is something else."""
        made = cls()
        try:
            for kind, row in document.get("affected", {}).items():
                made._counts[kind] = int(row["count"])
                made._numbers[kind] = [int(number) for number in row["first"]]
            facts = document.get("facts", {})
            made._characters = dict.fromkeys(map(str, facts.get("missing_glyphs", ())))
            made._clipped = dict(facts.get("text_clipped", {}))
        except (AttributeError, KeyError, TypeError) as error:
            raise ValueError("notices of another form") from error
        return made


def gathered(rows: Iterable[tuple[int, str]]) -> Notices:
    """Return the notices of numbers and facts as a manifest has them: JSON, or ""."""
    made = Notices()
    for index, facts in rows:
        if facts:
            made.add(index, orjson.loads(facts))
    return made
