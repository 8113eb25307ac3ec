"""What a caller wants of an upstream, and whether the upstream can be told so.

What a kind cannot say is refused and never left out, and so is what it would change
without a word.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import gcd
from typing import Annotated, Any

from pydantic import Field, create_model

from app.renderer.errors import BadParameter, Fault
from app.renderer.params import Parameters, Text, Words
from app.upstream.request.capabilities import RATIOS, Dialect, dialect_of
from app.upstream.service import Service


@dataclass(frozen=True, slots=True)
class Ask:
    """What a caller wants; sides are in pixels, None is the upstream's own choice.

    `format` (`png`, `jpeg`, ...) is the one in which the upstream's bytes could be
    handed on untouched. It is a wish: where it cannot be said, whoever asks encodes.
    """

    prompt: str
    negative_prompt: str | None = None
    seed: int | None = None
    width: int | None = None
    height: int | None = None
    n: int = 1
    format: str | None = None

    @classmethod
    def of(
        cls, parameters: Parameters, *, n: int = 1, format: str | None = None
    ) -> "Ask":
        """Return what instances of a class made by `parameters` ask for."""
        return cls(**parameters.model_dump(exclude_none=True), n=n, format=format)


def parameters(upstream: Service) -> type[Parameters]:
    """Return the class of a caller's parameters: only fields that the upstream knows.

    Bounds that tie fields together, such as a list of sizes, are checked by `check`.
    """
    dialect = dialect_of(upstream)
    known = {"prompt": _prompt(dialect), **_optional(dialect)}
    fields: dict[str, Any] = {
        name: row for name, row in known.items() if name in ("prompt", *dialect.fields)
    }
    title = "".join(part.capitalize() for part in upstream.name.split("-"))
    about = f"What {upstream.name} can be asked for."
    return create_model(title, __base__=Parameters, __doc__=about, **fields)


def _prompt(dialect: Dialect) -> tuple[Any, Any]:
    length = Field(min_length=1, max_length=dialect.prompt_chars)
    return Annotated[Words, length], Field(description="What to show, in words.")


def _optional(dialect: Dialect) -> dict[str, tuple[Any, Any]]:
    """Return every field beside the prompt that some upstream knows."""
    chars = Field(max_length=dialect.prompt_chars)
    seed = Field(ge=0, le=dialect.most_seed)
    side = Field(ge=dialect.least_side, le=dialect.most_side, multiple_of=dialect.step)
    size = f" {_sizes(dialect)}" if dialect.sizes or dialect.ratios else ""
    absent = "without it the service chooses."
    return {
        "negative_prompt": (
            Annotated[Text, chars] | None,
            Field(None, description="What not to show, in words."),
        ),
        "seed": (
            Annotated[int, seed] | None,
            Field(None, description=f"Starts the service's chance; {absent}"),
        ),
        "width": (
            Annotated[int, side] | None,
            Field(None, description=f"Pixels; {absent}{size}"),
        ),
        "height": (
            Annotated[int, side] | None,
            Field(None, description=f"Pixels; {absent}{size}"),
        ),
    }


def _sizes(dialect: Dialect) -> str:
    """Say which sizes there are, as a sentence."""
    if dialect.sizes:
        known = ", ".join(f"{width}x{height}" for width, height in dialect.sizes)
        return f"Width and height together are one of {known}."
    return f"Width to height is one of {', '.join(RATIOS.values())}."


def check(upstream: Service, ask: Ask) -> None:
    """Raise BadParameter for what the upstream cannot be told."""
    faults = tuple(_faults(dialect_of(upstream), ask))
    if faults:
        raise BadParameter(*faults)


def _faults(dialect: Dialect, ask: Ask) -> Iterator[Fault]:
    """Yield what this upstream cannot be told."""
    if not ask.prompt.strip():
        yield Fault("prompt", "is empty")
    elif len(ask.prompt) > dialect.prompt_chars:
        reason = f"has more than the {dialect.prompt_chars:,} characters it may have"
        yield Fault("prompt", reason)
    asked = {
        "negative_prompt": bool(ask.negative_prompt),
        "seed": ask.seed is not None,
        "width": ask.width is not None,
        "height": ask.height is not None,
        "n": ask.n != 1,
    }
    unknown = [
        name for name, given in asked.items() if given and name not in dialect.fields
    ]
    for name in unknown:
        yield Fault(name, "is not something that this service can be told")
    for fault in _out_of_bounds(dialect, ask):
        if fault.field not in unknown:
            yield fault


def _out_of_bounds(dialect: Dialect, ask: Ask) -> Iterator[Fault]:
    if ask.negative_prompt and len(ask.negative_prompt) > dialect.prompt_chars:
        reason = f"has more than the {dialect.prompt_chars:,} characters it may have"
        yield Fault("negative_prompt", reason)
    if not 1 <= ask.n <= dialect.most:
        yield Fault("n", f"must be from 1 to {dialect.most}")
    if ask.seed is not None and not 0 <= ask.seed <= dialect.most_seed:
        yield Fault("seed", f"must be from 0 to {dialect.most_seed:,}")
    sides = list(_bad_sides(dialect, ask))
    yield from sides or _bad_size(dialect, ask)


def _bad_sides(dialect: Dialect, ask: Ask) -> Iterator[Fault]:
    # One side alone leaves the other to the service: no listed size is sure then.
    together = dialect.paired or dialect.sizes
    for name, side, other in (
        ("width", ask.width, ask.height),
        ("height", ask.height, ask.width),
    ):
        if side is None:
            if together and other is not None:
                yield Fault(name, "is required where the other side is given")
        elif not dialect.least_side <= side <= dialect.most_side:
            reason = f"must be from {dialect.least_side} to {dialect.most_side:,}"
            yield Fault(name, reason)
        elif side % dialect.step:
            yield Fault(name, f"must be a multiple of {dialect.step}")


def _bad_size(dialect: Dialect, ask: Ask) -> Iterator[Fault]:
    if ask.width is None or ask.height is None:
        return
    listed = not dialect.sizes or (ask.width, ask.height) in dialect.sizes
    if not listed or (dialect.ratios and ratio(ask) is None):
        yield Fault("width", f"{ask.width}x{ask.height}: {_sizes(dialect)}")


def ratio(ask: Ask) -> str | None:
    """Return the aspect ratio in Stability's words; None where it has none."""
    if ask.width is None or ask.height is None:
        return None
    divisor = gcd(ask.width, ask.height)
    return RATIOS.get((ask.width // divisor, ask.height // divisor))
