"""Where the time of a request goes: the same phases in header, figures and traces.

`queue` is the wait for a turn to draw, `fetch` the bytes that others send, `fonts` the
choice of fonts for a text, `draw`, `encode`, and `store` reading and writing there.
"""

import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from contextvars import ContextVar
from typing import Protocol

from app.observability import metrics

# A phase, its seconds, and when it ended, in nanoseconds since the epoch.
Noted = tuple[str, float, int]
# Of the request that this thread works on; None in threads that work for several.
_CURRENT: ContextVar[list[Noted] | None] = ContextVar("spans", default=None)
# The `traceparent` of the request that this thread works on, where it is traced.
TRACE: ContextVar[str | None] = ContextVar("trace", default=None)


class TraceWork(Protocol):
    """Makes spans of work that no request waits for."""

    def __call__(
        self,
        name: str,
        cause: str | None,
        about: Mapping[str, str],
        *,
        apart: bool = False,
    ) -> AbstractContextManager[str | None]:
        """Make a span of the body, which gets its `traceparent`.

        `cause` is that of the request behind it: the span is within its trace, or
        `apart` and linked to it.
        """


def untraced(
    name: str, cause: str | None, about: Mapping[str, str], *, apart: bool = False
) -> AbstractContextManager[str | None]:
    """Make no span; the body gets its cause."""
    return nullcontext(cause)


def begin() -> None:
    """Forget the phases of the request before, in this thread."""
    _CURRENT.set([])


def note(phase: str, seconds: float, ended_ns: int | None = None) -> None:
    """Add a phase to the current request, if there is one, and to the figures.

    It ended now, where nothing else is said.
    """
    metrics.observe_phase(phase, seconds)
    current = _CURRENT.get()
    if current is not None:
        current.append((phase, seconds, ended_ns or time.time_ns()))


def note_drawing(draw_s: float, encode_s: float, fonts_s: float) -> None:
    """Note a drawing that ended now; choosing fonts is a part of the first time."""
    encoded_ns = time.time_ns()
    drawn_ns = encoded_ns - round(encode_s * 1e9)
    if fonts_s:
        note("fonts", fonts_s, drawn_ns - round((draw_s - fonts_s) * 1e9))
    note("draw", draw_s - fonts_s, drawn_ns)
    note("encode", encode_s, encoded_ns)


class _NotedPhase:
    """A phase that goes on: a generator in its place takes three times as long."""

    __slots__ = ("_phase", "_started")

    def __init__(self, phase: str) -> None:
        self._phase = phase

    def __enter__(self) -> None:
        self._started = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        note(self._phase, time.perf_counter() - self._started)


def span(phase: str) -> AbstractContextManager[None]:
    """Note the time of the body, also where it fails."""
    return _NotedPhase(phase)


def seen() -> Mapping[str, float]:
    """Return the seconds of each phase of the current request, in their order."""
    sums = dict.fromkeys(metrics.PHASES, 0.0)
    for phase, seconds, _ in noted():
        sums[phase] += seconds
    return {phase: seconds for phase, seconds in sums.items() if seconds}


def noted() -> Sequence[Noted]:
    """Return the phases of the current request, as they ended."""
    return _CURRENT.get() or ()
