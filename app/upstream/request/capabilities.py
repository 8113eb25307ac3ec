"""What each kind of upstream can be told, by its model: one table."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from types import MappingProxyType

from app.upstream.service import Service, Size

FIELDS = ("negative_prompt", "seed", "width", "height", "n")
# What only some kinds have a word for. `quality` and `background` are those of the
# model, because an image's encoding has options of these names.
DETAILS = (
    *("model_quality", "model_background", "style", "moderation", "user"),
    *("steps", "cfg_scale"),
)
_OF_OPENAI, _OF_DIFFUSION = DETAILS[:5], DETAILS[5:]
# Aspect ratios of Stability's v2beta, by their reduced sides.
RATIOS = MappingProxyType(
    {
        (16, 9): "16:9",
        (1, 1): "1:1",
        (7, 3): "21:9",
        (2, 3): "2:3",
        (3, 2): "3:2",
        (4, 5): "4:5",
        (5, 4): "5:4",
        (9, 16): "9:16",
        (3, 7): "9:21",
    }
)

# JSON readers that have only doubles keep every whole number up to this one.
_EXACT = (1 << 53) - 1
_SIDES = ("width", "height")
_SDXL_SIZES = (
    (1024, 1024),
    (1152, 896),
    (1216, 832),
    (1344, 768),
    (1536, 640),
    (640, 1536),
    (768, 1344),
    (832, 1216),
    (896, 1152),
)


@dataclass(frozen=True, slots=True)
class Dialect:
    """The parameters beside the prompt that a service takes, and their bounds.

    `most` are the images of one request, `most_seed` the largest seed; seeds begin
    at 0. Sides lie between `least_side` and `most_side` and are multiples of `step`.
    Where it is `paired`, or has `sizes`, width and height go together. A service that
    takes `ratios` chooses the size itself. `formats` are those it can be asked for,
    `words` the only values of those of `DETAILS` that are words.
    """

    fields: tuple[str, ...]
    prompt_chars: int = 10_000
    most: int = 16
    most_seed: int = _EXACT
    sizes: tuple[Size, ...] = ()
    least_side: int = 1
    most_side: int = 16_384
    step: int = 1
    paired: bool = False
    ratios: bool = False
    formats: tuple[str, ...] = ()
    words: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


_OPENAI = Dialect((*_SIDES, "n"), prompt_chars=32_000, most=10, paired=True)
_GPT_IMAGE = replace(
    _OPENAI,
    fields=(*_OPENAI.fields, "model_quality", "model_background", "moderation", "user"),
    formats=("png", "jpeg", "webp"),
    words={
        "model_quality": ("auto", "low", "medium", "high"),
        "model_background": ("auto", "transparent", "opaque"),
        "moderation": ("auto", "low"),
    },
)
_V1 = Dialect(
    (*FIELDS, *_OF_DIFFUSION),
    prompt_chars=2_000,
    most=10,
    most_seed=(1 << 32) - 1,
    least_side=128,
    most_side=1536,
    step=64,
    paired=True,
)
_V2BETA = Dialect(
    ("negative_prompt", "seed", *_SIDES),
    most=1,
    most_seed=(1 << 32) - 2,
    paired=True,
    ratios=True,
    formats=("png", "jpeg", "webp"),
)
# The simple producer contract has no negative prompt; `knows` can add it.
_PLAIN = Dialect(("seed", *_SIDES, "n"))

# By kind (with the version of Stability's API) and the beginning of the model's name;
# the first row that fits counts.
_ROWS = (
    (
        "openai",
        "dall-e-2",
        replace(
            _OPENAI,
            fields=(*_OPENAI.fields, "user"),
            prompt_chars=1_000,
            sizes=((256, 256), (512, 512), (1024, 1024)),
        ),
    ),
    (
        "openai",
        "dall-e-3",
        replace(
            _OPENAI,
            fields=(*_OPENAI.fields, "model_quality", "style", "user"),
            words={"model_quality": ("standard", "hd"), "style": ("vivid", "natural")},
            prompt_chars=4_000,
            most=1,
            sizes=((1024, 1024), (1792, 1024), (1024, 1792)),
        ),
    ),
    (
        "openai",
        "gpt-image-1",
        replace(_GPT_IMAGE, sizes=((1024, 1024), (1536, 1024), (1024, 1536))),
    ),
    ("openai", "gpt-image", _GPT_IMAGE),
    ("openai", "", _OPENAI),
    (
        "stability v1",
        "stable-diffusion-xl-1024",
        replace(_V1, sizes=_SDXL_SIZES),
    ),
    ("stability v1", "", _V1),
    ("stability v2beta", "sd3", replace(_V2BETA, formats=("png", "jpeg"))),
    ("stability v2beta", "", _V2BETA),
    (
        "sdwebui",
        "",
        # A side that is no multiple of 8 is cut down by it without a word.
        Dialect(
            (*FIELDS, *_OF_DIFFUSION), most_seed=(1 << 32) - 1, least_side=64, step=8
        ),
    ),
    ("binary", "", replace(_PLAIN, fields=("seed", *_SIDES), most=1)),
    ("auto", "", replace(_PLAIN, formats=("png", "jpeg", "webp", "avif", "gif"))),
    ("json", "", _PLAIN),
)


@cache
def dialect_of(upstream: Service) -> Dialect:
    """Return what this upstream can be told, by its kind and its configuration."""
    row = _row(upstream)
    fields = row.fields if upstream.knows is None else upstream.knows
    return replace(
        row,
        fields=fields,
        sizes=upstream.sizes or row.sizes,
        most=min(row.most, upstream.max_images) if "n" in fields else 1,
    )


def open_fields(upstream: Service) -> tuple[str, ...]:
    """Return all parameters that `knows` may name: what the kind has a word for."""
    if upstream.kind in ("auto", "json"):
        return (*FIELDS, *DETAILS)
    if upstream.kind == "binary":
        return tuple(name for name in (*FIELDS, *DETAILS) if name != "n")
    known = _row(upstream).fields
    details = _OF_OPENAI if upstream.kind == "openai" else ()
    return (*known, *(name for name in details if name not in known))


def _row(upstream: Service) -> Dialect:
    kind = " ".join(filter(None, (upstream.kind, upstream.api)))
    model = upstream.model or ""
    return next(
        row
        for named, beginning, row in _ROWS
        if named == kind and model.startswith(beginning)
    )
