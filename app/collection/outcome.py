"""What became of the images of a collection, one by one."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from app.access.errors import AccessError
from app.errors import with_fields
from app.media import Media
from app.renderer.errors import RendererError


@dataclass(frozen=True, slots=True)
class Drawn:
    """The image's number, from 1, its file name, and its media."""

    index: int
    name: str
    media: Media


@dataclass(frozen=True, slots=True)
class Failed:
    """The image's number, from 1, its file name, and why there is none."""

    index: int
    name: str
    error: RendererError | AccessError


Outcome = Drawn | Failed
# None stands where the next one is not made yet.
Outcomes = Iterator[Outcome | None]


@with_fields
class ImageFailed(Exception):
    """An image without which the answer cannot be given failed; see the cause."""

    index: int
    error: Exception

    def __str__(self) -> str:
        return f"Image {self.index}: {self.error}"


@dataclass(frozen=True, slots=True)
class Bundle:
    """The images of a collection on their way.

    `describe` says an error as a problem's members. `flaw` is called before an
    image is reported as failed that may be drawn next time: the same URL then no
    longer names the same bytes. Where the answer has `begun` before an image is known,
    the first that failed is reported as all others are.
    """

    id: str
    count: int
    outcomes: Outcomes
    describe: Callable[[Exception], Mapping[str, Any]]
    flaw: Callable[[], None]
    begun: bool = False


def reported(bundle: Bundle) -> Outcomes:
    """Yield the outcomes; raise ImageFailed where the very first one failed."""
    # Until the first image no header has left: its failure can be the status.
    first = not bundle.begun
    for outcome in bundle.outcomes:
        if isinstance(outcome, Failed):
            if first:
                raise ImageFailed(outcome.index, outcome.error) from outcome.error
            if outcome.error.transient:
                bundle.flaw()
        first = first and outcome is None
        yield outcome


def drawn(outcomes: Outcomes) -> Iterator[Drawn | None]:
    """Yield what was drawn; raise ImageFailed at the first that was not."""
    for outcome in outcomes:
        if isinstance(outcome, Failed):
            raise ImageFailed(outcome.index, outcome.error) from outcome.error
        yield outcome
