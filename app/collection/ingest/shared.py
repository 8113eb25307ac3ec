"""What holds for all rows of an upload: renderer, shared values, output, names."""

import re
from collections.abc import Collection, Container, Iterable, Mapping
from typing import Any, NamedTuple

from pydantic import create_model

from app.collection.ingest.binding import DEFAULT, Binding, NamePattern, as_text
from app.collection.ingest.columns import Columns
from app.collection.ingest.table import Warnings
from app.config import Settings
from app.image_request import request_of, unique, unknown_names
from app.parsing.image import MAX_FIELDS
from app.parsing.prefer import FOR_A_JOB
from app.renderer.base import Output, Renderer
from app.renderer.catalogue import Catalogue
from app.renderer.encode import FORMATS, format_of
from app.renderer.errors import (
    BadParameter,
    Fault,
    LimitExceeded,
    nearest,
    shorten,
)
from app.renderer.params import Parameters, is_address, validate
from app.renderer.produce import image_fields

_OWN = ("renderer", "name", "ignore", "bind", "sheet", "names", "bad_rows", "cell")
_BOUND = re.compile(r"bind\[([^\[\]]*)\]")
_CELL = re.compile(r"cell\[([0-9]{1,9}):(.*)\]", re.DOTALL)
_BAD_ROWS = "must be refuse or skip"


class SharedParameters(NamedTuple):
    """What every row is laid over.

    `texts` are shared parameters as strings, for rows that are text; `values` are
    the same in JSON's types. `pattern` is what names are made of, `sheet` the sheet of
    a workbook to read. `warned` take what is assumed, `unicode_names` keep a script,
    `skips_bad` rows instead of refusing them all.
    """

    renderer: Renderer | None
    texts: Mapping[str, str]
    values: Mapping[str, Any]
    output: Output
    pattern: NamePattern
    columns: Columns
    warned: Warnings
    sheet: str | None = None
    unicode_names: bool = False
    skips_bad: bool = False


def from_pairs(
    pairs: Iterable[tuple[str, str]],
    catalogue: Catalogue,
    bounds: Settings,
    files: Iterable[str] = (),
) -> SharedParameters:
    """Read the terms of CSV and NDJSON, which are in the query or in text fields.

    `files` are names that a shared image may go by. Raises BadParameter,
    LimitExceeded or UnknownRenderer.
    """
    given = unique(pairs)
    if "renderer" not in given:
        raise BadParameter(Fault("renderer", "is required in the query"))
    renderer = catalogue.get(given.pop("renderer"))
    own = renderer.parameters.model_fields
    pattern = given.pop("name", DEFAULT)
    ignore = given.pop("ignore", "")
    sheet = None if "sheet" in own else given.pop("sheet", None)
    unicode_names = _keeps_script(None if "names" in own else given.pop("names", None))
    skips = _skips_bad(None if "bad_rows" in own else given.pop("bad_rows", None))
    edits = _edits(given)
    bound = {name: found[1] for name in given if (found := _BOUND.fullmatch(name))}
    bindings = [(bound[name], given.pop(name)) for name in bound]
    # A parameter goes before an option of its name, as in the query of one image.
    texts = {name: text for name, text in given.items() if name in own}
    rest = {name: text for name, text in given.items() if name not in own}
    if "webhook" in rest:
        raise BadParameter(Fault("webhook", FOR_A_JOB))
    _refuse(rest, Output.model_fields, (*_OWN, *own, *Output.model_fields))
    sent = {*files} if image_fields(renderer.parameters) else set()
    output = _output(rest, renderer, bounds, strict=False)
    values = _shared(renderer.parameters, texts, sent, "", output.dpi)
    named = NamePattern(pattern, sorted(own), has_columns=True)
    columns = _columns(renderer, ignore, bindings, texts, named)
    columns = columns._replace(edits=edits)
    warned = Warnings()
    return SharedParameters(
        *(renderer, texts, values, output, named, columns),
        *(warned, sheet, unicode_names, skips),
    )


def from_members(
    members: Mapping[str, Any], catalogue: Catalogue, bounds: Settings
) -> SharedParameters:
    """Read the terms of JSON: all members of the object but `items`.

    Raises BadParameter, LimitExceeded or UnknownRenderer.
    """
    known = (
        "renderer",
        "name",
        "names",
        "bad_rows",
        "defaults",
        "bind",
        "items",
        *Output.model_fields,
    )
    _refuse(members, known, known)
    name = _typed(members, "renderer", str, "must be the name of a renderer")
    renderer = None if name is None else catalogue.get(name)
    pattern = _typed(members, "name", str, "must be a string")
    defaults = _typed(members, "defaults", dict, "must be an object") or {}
    if renderer is None and defaults:
        raise BadParameter(Fault("renderer", "is required where there are defaults"))
    model = Parameters if renderer is None else renderer.parameters
    _refuse(defaults, model.model_fields, model.model_fields, "defaults.")
    options = {name: members[name] for name in Output.model_fields if name in members}
    output = _output(options, renderer, bounds, strict=True)
    values = _shared(model, defaults, set(), "defaults.", output.dpi)
    bind = _typed(members, "bind", dict, "must be an object of templates") or {}
    for parameter, template in bind.items():
        if not isinstance(template, str):
            raise BadParameter(Fault(f"bind[{parameter}]", "must be a string"))
    if renderer is None and bind:
        raise BadParameter(Fault("renderer", "is required where columns are bound"))
    named = NamePattern(
        DEFAULT if pattern is None else pattern,
        sorted(model.model_fields),
        has_columns=bool(bind),
    )
    columns = Columns(frozenset(model.model_fields))
    texts = {}
    if renderer is not None and bind:
        columns = _columns(renderer, "", bind.items(), defaults, named)
        # Items that are bound are texts, so what is laid below them is, too.
        texts = {name: as_text(value) for name, value in defaults.items()}
    names = _typed(members, "names", str, "must be ascii or unicode")
    return SharedParameters(
        *(renderer, texts, values, output, named, columns, Warnings()),
        unicode_names=_keeps_script(names),
        skips_bad=_skips_bad(_typed(members, "bad_rows", str, _BAD_ROWS)),
    )


def _skips_bad(bad_rows: str | None) -> bool:
    """Tell whether rows with faults are left out; raise BadParameter on `bad_rows`."""
    return _is_other("bad_rows", bad_rows, "refuse", "skip")


def _edits(given: dict[str, str]) -> dict[int, dict[str, str]]:
    """Take `cell[LINE:COLUMN]` out of what is given: texts by line and column."""
    edits: dict[int, dict[str, str]] = {}
    for name in [*given]:
        found = _CELL.fullmatch(name)
        if found:
            edits.setdefault(int(found[1]), {})[found[2]] = given.pop(name)
    return edits


def _keeps_script(names: str | None) -> bool:
    """Tell whether file names keep their script; raise BadParameter on `names`."""
    return _is_other("names", names, "ascii", "unicode")


def _is_other(field: str, given: str | None, default: str, other: str) -> bool:
    """Tell whether the other of two words is given; raise BadParameter for a third."""
    if given not in (None, default, other):
        reason = f"{shorten(given)!r} is neither {default} nor {other}"
        raise BadParameter(Fault(field, reason))
    return given == other


def _typed(members: Mapping[str, Any], name: str, kind: type, reason: str) -> Any:
    value = members.get(name)
    if name in members and not isinstance(value, kind):
        raise BadParameter(Fault(name, reason))
    return value


def _columns(
    renderer: Renderer,
    ignore: str,
    bindings: Iterable[tuple[str, str]],
    shared: Mapping[str, Any],
    pattern: NamePattern,
) -> Columns:
    """Tell the columns of a table; raise where one is to be used and ignored."""
    fields = renderer.parameters.model_fields
    ignored = frozenset(name.strip() for name in ignore.split(",") if name.strip())
    for name in sorted(fields.keys() & ignored):
        reason = f"{name} is a parameter of {renderer.name}: it cannot be ignored"
        raise BadParameter(Fault("ignore", reason))
    bindings = list(bindings)
    unknown = [name for name, _ in bindings if name not in fields]
    if unknown:
        near = nearest(unknown[0], fields)
        hint = (
            f"did you mean {near}?"
            if near
            else f"known are {', '.join(sorted(fields))}"
        )
        reason = f"is no parameter of {renderer.name}; {hint}"
        raise BadParameter(Fault(f"bind[{unknown[0]}]", reason))
    return Columns(
        frozenset(fields),
        ignored,
        tuple(Binding(*each) for each in bindings),
        pattern.wanted,
        frozenset(shared),
        frozenset(name for name, field in fields.items() if field.is_required()),
        frozenset(Output.model_fields) - fields.keys(),
    )


def _refuse(
    given: Collection[str], known: Container[str], hint: Iterable[str], prefix: str = ""
) -> None:
    """Raise BadParameter for names that are not `known`; the hint names those."""
    if len(given) > MAX_FIELDS:
        reason = f"there are more than {MAX_FIELDS} values"
        raise BadParameter(Fault(prefix.strip("."), reason))
    unknown = [name for name in given if name not in known]
    if unknown:
        faults = unknown_names(unknown, hint)
        raise BadParameter(*(Fault(prefix + name, why) for name, why in faults))


def _output(
    given: Mapping[str, Any],
    renderer: Renderer | None,
    bounds: Settings,
    *,
    strict: bool,
) -> Output:
    """Build the output; raise what is wrong with it whatever the rows say."""
    values = dict(given)
    if isinstance(values.get("format"), str):
        values["format"] = format_of(values["format"])
    output = validate(Output, values, strict=strict)
    if output.format not in FORMATS:
        reason = f"{shorten(output.format)!r} is not one of {', '.join(FORMATS)}"
        raise BadParameter(Fault("format", reason))
    if renderer is None:
        return output
    # Tried on the renderer's example: otherwise ten thousand rows would each say it.
    example = renderer.parameters.model_validate_strings(dict(renderer.example))
    try:
        request_of(renderer, example, output, bounds)
    except BadParameter as error:
        faults = [fault for fault in error.faults if fault.field in Output.model_fields]
        if faults:
            raise BadParameter(*faults) from error
    except LimitExceeded as error:
        if error.field in Output.model_fields:
            raise
    return output


def _shared(
    model: type[Parameters],
    given: Mapping[str, Any],
    files: set[str],
    prefix: str,
    dpi: float | None,
) -> Mapping[str, Any]:
    """Validate shared values once, apart from those that rows have to give."""
    # The name of a file that was sent, or an address, is no image: each row that has
    # it gets the file, or what is there.
    images = image_fields(model)
    named = {
        name: value
        for name, value in given.items()
        if (isinstance(value, str) and value in files)
        or (name in images and is_address(value))
    }
    rest = {name: value for name, value in given.items() if name not in named}
    # Rows may give what is required: only what is given is asked for here.
    fields: dict[str, Any] = {
        name: (model.model_fields[name].rebuild_annotation(), ...) for name in rest
    }
    partial = create_model("Shared", __base__=Parameters, **fields)
    made = validate(partial, rest, strict=bool(prefix), prefix=prefix, dpi=dpi)
    return {**{name: getattr(made, name) for name in rest}, **named}
