"""Contact sheets: the images of a collection, small, on one page."""

from contextlib import closing
from functools import partial

from flask import Blueprint, Response, request
from PIL import Image

from app.access.rates import cost_of
from app.collection.collection import Collection, Item
from app.collection.export.exports import ExportOptions, read_options
from app.collection.lookahead import CollectionDrawing
from app.collection.outcome import Drawn, Failed, drawn
from app.collection.repository import CollectionRepository
from app.config import Settings
from app.delivery.answer import Answer, send_bytes
from app.delivery.terms import Terms, answer_early
from app.renderer import contact_sheet
from app.renderer.base import Output
from app.renderer.encode import FORMATS, check, encode, format_of
from app.renderer.errors import BadParameter, Fault, LimitExceeded, UnknownFormat
from app.renderer.produce import device_size
from app.views.body import read_link
from app.views.images import spare

# What Pillow opens again without loss of time; of other formats a PNG is made.
_OPENED = frozenset({"png", "jpg", "webp", "gif"})
_SHEETS = tuple(name for name in FORMATS if name not in ("svg", "ico"))


class SheetOptions(contact_sheet.SheetParameters, ExportOptions):
    """What a caller can say of a contact sheet."""


def blueprint(
    repository: CollectionRepository, drawing: CollectionDrawing, settings: Settings
) -> Blueprint:
    """Return the route of contact sheets."""
    bp = Blueprint("sheets", __name__)

    @bp.get("/collections/<key>/sheet.<ending>")
    def show(key: str, ending: str) -> Response:
        """Draw a contact sheet."""
        output = _output(ending)
        own = SheetOptions.model_fields
        given, ignored = read_link(own, settings.tracking_names)
        options = read_options(SheetOptions, given)
        collection = repository.open(key)
        items = _items(collection, options, settings)
        plan = _plan(items, options, settings)
        check(output, *plan.size)
        row = FORMATS[output.format]
        terms = Terms(
            f"{collection.id}-{_tag(options)}-{output.format}",
            f"{collection.id[:12]}-sheet",
            row.extensions,
            pinned=True,
            shared=False,
            download=options.download,
            ignored=ignored,
        )
        early = answer_early(request.environ, terms)
        if early is None and (services := collection.services):
            would_buy = partial(drawing.would_buy, items)
            early = spare(request.environ, row.media_type, would_buy, services)
        pairs = [
            ("Content-Type", row.media_type),
            ("Content-Disposition", terms.disposition),
            *terms.validators(),
        ]
        if early is not None or request.method == "HEAD":
            return early or Answer("200 OK", pairs, ())
        # The page is drawn anew each time, whatever is kept of its images.
        charge = drawing.charge()
        charge.check()
        with (
            drawing.admit(),
            closing(drawing.draw(items, charge=charge)) as outcomes,
        ):
            # Only decoding, drawing and encoding take the threads that draw, which
            # make the images meanwhile.
            thumbnails = [
                (drawing.run(partial(_shrunk, image, options.cell)), image.name)
                for image in drawn(outcomes)
                if image is not None
            ]
            charge.debit(cost_of(plan.size, output.format))
            data = drawing.run(partial(_encoded, plan, thumbnails, output))
        pairs.append(("Accept-Ranges", "bytes"))
        return send_bytes(request.environ, terms.representation, data, pairs)

    return bp


def _output(ending: str) -> Output:
    name = format_of(ending)
    if name not in _SHEETS:
        raise UnknownFormat(ending, _SHEETS)
    return Output.model_validate({"format": name})


def _shrunk(image: Drawn, cell: int) -> Image.Image:
    return contact_sheet.shrink(image.media.in_memory, cell)


def _encoded(
    plan: contact_sheet.SheetPlan,
    thumbnails: list[tuple[Image.Image, str]],
    output: Output,
) -> bytes:
    return encode(contact_sheet.draw(plan, thumbnails), output)


def _items(
    collection: Collection, options: SheetOptions, settings: Settings
) -> list[Item | Failed]:
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
    opened = None if collection.output.format in _OPENED else "png"
    return list(collection.items(options.first, last, opened))


def _plan(
    items: list[Item | Failed], options: SheetOptions, settings: Settings
) -> contact_sheet.SheetPlan:
    """Return the measures of the sheet; raise LimitExceeded where it is too large."""
    requests = (item.request for item in items if isinstance(item, Item))
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
