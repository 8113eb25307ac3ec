"""Contact sheets: the images of a collection, small, on one page."""

from collections.abc import Iterator
from contextlib import closing

from flask import Blueprint, Response, request
from PIL import Image

from app.collection.collection import Collection, Item
from app.collection.export.exports import Options, read_options
from app.collection.outcome import Outcomes, drawn
from app.config import Settings
from app.delivery.answer import Answer, send_bytes
from app.delivery.terms import Terms, answer_early
from app.image_request import in_format, unique
from app.parsing.image import read_pairs
from app.renderer import contact_sheet
from app.renderer.base import Output
from app.renderer.encode import EXTENSIONS, FORMATS, check, encode
from app.renderer.errors import BadParameter, Fault, LimitExceeded, UnknownFormat
from app.renderer.produce import device_size
from app.views.archives import Desk
from app.views.images import refuse_prefetch

# What Pillow opens again without loss of time; of other formats a PNG is made.
_OPENED = frozenset({"png", "jpg", "webp", "gif"})
_SHEETS = tuple(name for name in FORMATS if name not in ("svg", "ico"))


class SheetOptions(contact_sheet.SheetParameters, Options):
    """What a caller can say of a contact sheet."""


def blueprint(desk: Desk) -> Blueprint:
    """Return the route of contact sheets."""
    bp = Blueprint("sheets", __name__)

    @bp.get("/collections/<key>/sheet.<ending>")
    def show(key: str, ending: str) -> Response:
        """Draw a contact sheet."""
        output = _output(ending)
        options = read_options(SheetOptions, unique(read_pairs(request.query_string)))
        collection = desk.shelf.open(key)
        items = _items(collection, options, desk.settings)
        plan = _plan(items, options, desk.settings)
        check(output, *plan.size)
        row = FORMATS[output.format]
        terms = Terms(
            f"{collection.id}-{_tag(options)}-{output.format}",
            f"{collection.id[:12]}-sheet",
            row.extensions,
            pinned=True,
            shared=False,
            download=options.download,
        )
        early = answer_early(request.environ, terms)
        pairs = [
            ("Content-Type", row.media_type),
            ("Content-Disposition", terms.disposition),
            *terms.validators(),
        ]
        if early is not None or request.method == "HEAD":
            return early or Answer("200 OK", pairs, ())
        if collection.buys:
            refuse_prefetch(request.environ)
        with desk.studio.admit(), closing(desk.studio.draw(items)) as outcomes:
            picture = contact_sheet.draw(plan, _thumbnails(outcomes, options.cell))
            data = encode(picture, output)
        pairs.append(("Accept-Ranges", "bytes"))
        return send_bytes(request.environ, terms.representation, data, pairs)

    return bp


def _output(ending: str) -> Output:
    name = EXTENSIONS.get(ending, ending)
    if name not in _SHEETS:
        raise UnknownFormat(ending, _SHEETS)
    return Output.model_validate({"format": name})


def _items(
    collection: Collection, options: SheetOptions, settings: Settings
) -> list[Item]:
    """Return the images that are shown, bounded, in a format that opens fast."""
    last = collection.count
    if options.count is not None:
        last = options.first + options.count - 1
    for name, number in (("first", options.first), ("count", last)):
        if number > collection.count:
            reason = f"reaches beyond the {collection.count:,} images there are"
            raise BadParameter(Fault(name, reason))
    count = last - options.first + 1
    if count > settings.max_frames:
        raise LimitExceeded("count", "MIMEO_MAX_FRAMES", settings.max_frames, count)
    return [_opened(collection.item(index)) for index in range(options.first, last + 1)]


def _opened(item: Item) -> Item:
    if item.request.output.format in _OPENED:
        return item
    return item._replace(request=in_format(item.request, "png"))


def _plan(
    items: list[Item], options: SheetOptions, settings: Settings
) -> contact_sheet.Plan:
    """Return the measures of the sheet; raise LimitExceeded where it is too large."""
    requests = (item.request for item in items)
    sizes = (
        device_size(made.renderer, made.parameters, made.output.scale)
        for made in requests
    )
    room = contact_sheet.measure(sizes, options.cell)
    plan = contact_sheet.plan(len(items), options.columns, options.cell, room)
    width, height = plan.size
    for name, side in (("columns", width), ("count", height)):
        if side > settings.max_side:
            raise LimitExceeded(name, "MIMEO_MAX_SIDE", settings.max_side, side)
    if width * height > settings.max_pixels:
        raise LimitExceeded(
            "count", "MIMEO_MAX_PIXELS", settings.max_pixels, width * height
        )
    return plan


def _tag(options: SheetOptions) -> str:
    values = (options.columns, options.cell, options.first, options.count or "all")
    return "-".join(map(str, ("sheet", *values)))


def _thumbnails(outcomes: Outcomes, cell: int) -> Iterator[tuple[Image.Image, str]]:
    for outcome in drawn(outcomes):
        if outcome is not None:
            yield contact_sheet.shrink(outcome.media.in_memory, cell), outcome.name
