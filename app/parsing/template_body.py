"""A template that comes as JSON: its files, and how it is to be shown."""

import base64
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import PurePath
from typing import Annotated, Literal, NamedTuple

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from app.archive.layout import is_device, same_file
from app.renderer.errors import BadParameter, Fault
from app.renderer.params import validate
from app.renderer.probe.base64_stream import NotBase64, NoText, decode_text
from app.renderer.template.template_files import (
    DECLARATION,
    MARKUP,
    NAME,
    NAMING,
    PICTURES,
    TemplateFiles,
)
from app.renderer.template.template_preview import LENGTHS

_TEXTS = (MARKUP, DECLARATION)
# One name in one folder: no path, no hidden file, nothing that a system reserves.
_FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")
_MOST_FILES = 50
# Bytes of both texts: those of templates have a tenth of it.
_MOST_TEXT = 256 * 1024
# A declaration is read by whoever draws what was saved, and pictures are kept there.
_MOST_DECLARATION = 32 * 1024
_MOST_PICTURES = 2 << 20
_FILES = "files"
_DEVICE = "is what Windows calls a device, where no folder or file can have it"


def _folder(name: str) -> str:
    if not NAME.match(name):
        raise ValueError(NAMING)
    if is_device(name):
        raise ValueError(f"{_DEVICE}: choose another name")
    return name


class TemplateBody(BaseModel):
    """The files of a template, pictures as base64, and the name of its folder."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, AfterValidator(_folder)] = "template"
    files: dict[str, str] = Field(min_length=1, max_length=_MOST_FILES)


class PreviewBody(TemplateBody):
    """A template to be drawn with texts of some lengths, if wanted with its boxes."""

    lengths: list[Literal[LENGTHS]] = Field(  # type: ignore[valid-type]
        list(LENGTHS), min_length=1, max_length=len(LENGTHS)
    )
    outlines: bool = False


class PreviewRequest(NamedTuple):
    """What `PreviewBody` says, in order."""

    files: TemplateFiles
    lengths: Sequence[str]
    outlines: bool


def read_preview(document: Mapping[str, object]) -> PreviewRequest:
    """Return what a body asks to be drawn; raise BadParameter naming each field."""
    body = validate(PreviewBody, document, strict=True)
    lengths = tuple(dict.fromkeys(body.lengths))
    return PreviewRequest(_read_files(body), lengths, body.outlines)


def read_template(
    document: Mapping[str, object], name: str | None = None
) -> TemplateFiles:
    """Return the template that a body is; raise BadParameter naming each field.

    `name` is what the path says, with which a body may not disagree.
    """
    if name is not None and document.get("name", name) != name:
        raise BadParameter(Fault("name", "is another one than in the path"))
    named = {} if name is None else {"name": name}
    return _read_files(validate(TemplateBody, {**document, **named}, strict=True))


def spell_files(files: TemplateFiles) -> dict[str, str]:
    """Return a template's files as a body has them; raise BrokenTemplate.

    What is no part of a template is left out.
    """
    texts = {name: files.text(name) for name in _TEXTS if name in files.files}
    pictures = {
        name: base64.b64encode(data).decode() for name, data in files.pictures.items()
    }
    return {**texts, **pictures}


def _read_files(body: TemplateBody) -> TemplateFiles:
    files: dict[str, bytes] = {}
    faults: list[Fault] = []
    for name, text in body.files.items():
        try:
            files[name] = _read_file(name, text)
        except ValueError as error:
            faults.append(Fault(f"{_FILES}[{name}]", str(error)))
    faults += _clashes(body.files)
    size = sum(len(files.get(name, b"")) for name in _TEXTS)
    if size > _MOST_TEXT:
        faults.append(
            Fault(_FILES, f"have {size:,} bytes of text, over {_MOST_TEXT:,}")
        )
    declared = len(files.get(DECLARATION, b""))
    if declared > _MOST_DECLARATION:
        reason = f"has {declared:,} bytes, over {_MOST_DECLARATION:,}"
        faults.append(Fault(f"{_FILES}[{DECLARATION}]", reason))
    drawn = sum(map(len, files.values())) - size
    if drawn > _MOST_PICTURES:
        reason = f"have {drawn:,} bytes of pictures, over {_MOST_PICTURES:,}"
        faults.append(Fault(_FILES, reason))
    if faults:
        raise BadParameter(*faults)
    return TemplateFiles(body.name, files)


def _clashes(names: Iterable[str]) -> Iterator[Fault]:
    """Yield a fault for each name that some file systems take for one before it."""
    seen: dict[str, str] = {}
    for name in names:
        first = seen.setdefault(same_file(name), name)
        if first != name:
            reason = f"is {first!r} but for its case, and one folder has not both"
            yield Fault(f"{_FILES}[{name}]", f"{reason}: give it another name")


def _read_file(name: str, text: str) -> bytes:
    """Return the bytes of a file; raise ValueError for what is none of a template's."""
    if not _FILE.fullmatch(name):
        raise ValueError("is no name of a file: use letters, digits, . - and _")
    if is_device(name):
        raise ValueError(f"{_DEVICE}: give it another name")
    if name in _TEXTS:
        return text.encode("utf-8", "surrogatepass")
    if PurePath(name).suffix.lower() not in PICTURES:
        known = ", ".join((*_TEXTS, *sorted(PICTURES)))
        raise ValueError(f"is no file of a template: those are {known}")
    try:
        return decode_text(text)
    except NoText as error:
        raise ValueError("is empty") from error
    except NotBase64 as error:
        raise ValueError(f"is neither a data URI nor base64: {error}") from error
