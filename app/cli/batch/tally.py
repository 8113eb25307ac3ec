"""How far a run is: shown while it lasts, on a terminal, and summed up at its end."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

from tqdm import tqdm

_MOST_NAMED = 5


def say(text: str) -> None:
    """Write a line to standard error, above the bar where there is one."""
    tqdm.write(f"mimeo: {text}", file=sys.stderr)


class Tally:
    """Counts images and bytes.

    `found` are the images of an earlier run, in the store or the part file.
    """

    def __init__(self) -> None:
        self.count = 0
        self.found = 0
        self.size = 0
        self.failed = 0
        self._done = 0
        self._named: list[str] = []
        self._started = time.monotonic()
        self._bar: tqdm[NoReturn] | None = None

    @contextmanager
    def shown(self, count: int) -> Iterator[None]:
        """Show a bar of so many images while the body runs."""
        self.count = count
        with tqdm(
            total=count,
            unit=" images",
            disable=None,
            leave=False,
            dynamic_ncols=True,
            file=sys.stderr,
        ) as self._bar:
            yield

    def begin_at(self, images: int) -> None:
        """Take note of what an earlier run left: the rate is that of the rest."""
        self.found = images
        self.reach(images)
        if self._bar is not None:
            self._bar.initial = images

    def reach(self, images: int) -> None:
        """Say how many images are done; fewer than before where it began anew."""
        if self._bar is not None and images != self._done:
            self._bar.update(images - self._done)
        self._done = images

    def advance(self) -> None:
        """Count one image more."""
        self.reach(self._done + 1)

    def fail(self, index: int, name: str, reason: str) -> None:
        """Take note of an image that there is none of."""
        self.failed += 1
        if len(self._named) < _MOST_NAMED:
            self._named.append(f"row {index:,}: {name}: {reason}")

    @property
    def progress(self) -> str:
        """How far it is, in words."""
        if not self.count:
            return "nothing"
        return f"{self._done:,} of {self.count:,} images"

    def sum_up(self, target: str) -> None:
        """Write what was done, and the first of what failed."""
        seconds = time.monotonic() - self._started
        rate = self.count / max(seconds, 0.001)
        parts = [f"{self.count - self.failed:,} images"]
        parts += [f"{self.found:,} of them found"] if self.found else []
        parts += [f"{self.failed:,} failed"] if self.failed else []
        parts.append(f"{self.size:,} bytes")
        parts.append(f"{seconds:.1f} s, {rate:.0f} images/s")
        say(f"{target}: {', '.join(parts)}")
        for line in self._named:
            say(line)
        if self.failed > len(self._named):
            say(f"and {self.failed - len(self._named):,} more; see manifest.json")
