"""Where the time of a request goes: the same phases in header, figures and traces.

`queue` is the wait for a turn to draw, `fetch` the bytes that others send, `fonts` the
choice of fonts for a text, `draw`, `encode`, and `store` reading and writing there.
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

from app.observability import metrics

# Of the request that this thread works on; None in threads that work for several.
_CURRENT: ContextVar[dict[str, float] | None] = ContextVar("spans", default=None)


def begin() -> None:
    """Forget the phases of the request before, in this thread."""
    _CURRENT.set({})


def note(phase: str, seconds: float) -> None:
    """Add to a phase of the current request, if there is one, and to the figures."""
    metrics.observe_phase(phase, seconds)
    current = _CURRENT.get()
    if current is not None:
        current[phase] = current.get(phase, 0.0) + seconds


def note_drawing(draw_s: float, encode_s: float, fonts_s: float) -> None:
    """Note what a drawing took; choosing fonts is a part of the first time."""
    if fonts_s:
        note("fonts", fonts_s)
    note("draw", draw_s - fonts_s)
    note("encode", encode_s)


@contextmanager
def span(phase: str) -> Iterator[None]:
    """Note the time of the body, also where it fails."""
    started = time.perf_counter()
    try:
        yield
    finally:
        note(phase, time.perf_counter() - started)


def seen() -> Mapping[str, float]:
    """Return the seconds of each phase of the current request, in their order."""
    current = _CURRENT.get() or {}
    return {phase: current[phase] for phase in metrics.PHASES if phase in current}
