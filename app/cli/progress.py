"""How far a run is: shown while it lasts, on a terminal, and summed up at its end."""

import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from threading import Event, Thread
from types import MappingProxyType
from typing import Any, NoReturn

from tqdm import tqdm

from app.collection.notices import Notices

# What became of a text that did not fit.
CLIPPED: Mapping[str, str] = MappingProxyType(
    {
        "cut": "does not fit, its end is cut off",
        "shrunk": "fits in the smallest letters only",
    }
)
_MOST_NAMED = 5
_MOST_CHARACTERS = 32


def say(text: str) -> None:
    """Write a line to standard error, above the bar where there is one."""
    tqdm.write(f"mimeo: {text}", file=sys.stderr)


@contextmanager
def busy(text: str) -> Iterator[None]:
    """Show on a terminal what goes on in the body, once that takes over a second."""
    if not sys.stderr.isatty():
        yield
        return
    ended = Event()

    def show() -> None:
        if ended.wait(1.0):
            return
        with tqdm(
            desc=f"mimeo: {text}",
            bar_format="{desc}, {elapsed}",
            leave=False,
            dynamic_ncols=True,
            file=sys.stderr,
        ) as bar:
            while not ended.wait(1.0):
                bar.refresh()

    thread = Thread(target=show, name="mimeo-busy", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


class Progress:
    """Counts images and bytes.

    `found` are the images of an earlier run, in the store or the part file; `notices`
    what is to be said of the texts of all.
    """

    def __init__(self) -> None:
        self.count = 0
        self.found = 0
        self.size = 0
        self.done = 0
        self.failed = 0
        self.notices = Notices()
        self._named: list[tuple[int, str, str]] = []
        self._started = time.monotonic()
        self._bar: tqdm[NoReturn] | None = None

    def __str__(self) -> str:
        return f"{self.done:,} of {self.count:,} images" if self.count else "nothing"

    @contextmanager
    def shown(self, count: int, found: int = 0) -> Iterator[None]:
        """Show a bar of so many images while the body runs.

        The rate is that of the images which were not found.
        """
        self.count, self.found, self.done = count, found, found
        with tqdm(
            total=count,
            initial=found,
            unit=" images",
            disable=None,
            leave=False,
            dynamic_ncols=True,
            file=sys.stderr,
        ) as self._bar:
            yield

    def reach(self, images: int) -> None:
        """Say how many images are done; fewer than before where it began anew."""
        if self._bar is not None and images != self.done:
            self._bar.update(images - self.done)
        self.done = images

    def fail(self, index: int, name: str, reason: str) -> None:
        """Take note of an image that there is none of."""
        self.failed += 1
        if len(self._named) < _MOST_NAMED:
            self._named.append((index, name, reason))

    def sum_up(self, target: str) -> None:
        """Write what was done, and the first of what failed."""
        seconds = time.monotonic() - self._started
        rate = self.count / max(seconds, 0.001)
        parts = [f"{self.count - self.failed:,} images"]
        parts += [f"{self.found:,} of them found"] if self.found else []
        parts += [f"{self.failed:,} failed"] if self.failed else []
        parts.append(f"{self.size:,} bytes, {seconds:.1f} s, {rate:.0f} images/s")
        say(f"{target}: {', '.join(parts)}")
        for index, name, reason in self._named:
            say(f"row {index:,}: {name}: {reason}")
        if self.failed > len(self._named):
            say(f"and {self.failed - len(self._named):,} more; see manifest.json")
        for line in _spell(self.notices):
            say(line)

    def document(self, target: str) -> dict[str, Any]:
        """Return for programs what was done; `errors` are the first of what failed."""
        return {
            "file": target,
            "images": self.count - self.failed,
            "found": self.found,
            "failed": self.failed,
            "bytes": self.size,
            "seconds": round(time.monotonic() - self._started, 3),
            "notices": self.notices.document(),
            "errors": [
                {"row": index, "name": name, "reason": reason}
                for index, name, reason in self._named
            ],
        }


def _spell(notices: Notices) -> Iterator[str]:
    """Say what of the texts is not as it was meant to be, and in which rows."""
    facts = notices.facts
    if characters := facts.get("missing_glyphs"):
        shown = " ".join(characters[:_MOST_CHARACTERS])
        shown += " ..." if len(characters) > _MOST_CHARACTERS else ""
        where = _rows(notices, "missing_glyphs")
        yield f"no loaded font has {shown}; {where}; see MIMEO_FONTS"
    if clipped := facts.get("text_clipped"):
        names = "; ".join(f"{name}: {CLIPPED[how]}" for name, how in clipped.items())
        yield f"{names}; {_rows(notices, 'text_clipped')}"


def _rows(notices: Notices, kind: str) -> str:
    count, first = notices.count(kind), notices.first(kind)[:_MOST_NAMED]
    more = f" and {count - len(first):,} more" if count > len(first) else ""
    numbers = ", ".join(f"{number:,}" for number in first)
    return f"{'rows' if count > 1 else 'row'} {numbers}{more}"
