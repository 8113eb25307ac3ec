"""`mimeo render`: one image, drawn here and written to a file."""

import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from app.bootstrap import open_catalogue, open_room
from app.cli.exit_status import ExitStatus
from app.cli.options import (
    Misuse,
    holds_bytes,
    read_files,
    split_options,
    variants,
)
from app.cli.progress import CLIPPED, busy, say
from app.config import Settings, allocator
from app.image_request import ImageRequest, from_strings
from app.media import Media, document
from app.pipeline.image_origins import open_images
from app.pipeline.pipeline import Pipeline
from app.renderer.base import Renderer
from app.renderer.encode import EXTENSIONS
from app.renderer.sandbox.sandbox import Sandbox
from app.store import NoStore

_USAGE = """\
mimeo render RENDERER -o FILE [--NAME VALUE ...]

  -o, --output FILE   where the image goes; `-` is standard output
  --NAME VALUE        a parameter, or one of --format --scale --quality
                      --compression --background; also --NAME=VALUE
  --NAME@ FILE        a parameter read from a file; `-` is standard input
  --json              print what was made, for programs

The format is that of FILE's ending, unless --format names it.
`mimeo renderers` lists the renderers, `mimeo render RENDERER --help` its parameters.

examples:
  mimeo render card --title 'Hello' -o card.png
  mimeo render qr --data https://example.com --size 400 -o qr.svg
  mimeo render html --html@ page.html --width 800 --height 400 -o - > page.png"""

# As `split_options` yields the option.
_JSON = ("json", "")


def run(arguments: Sequence[str]) -> int:
    """Carry the command out and return its exit status.

    Raises Misuse, BadSetting, BadParameter and RendererError.
    """
    if not arguments or arguments[0] in ("-h", "--help"):
        print(f"usage: {_USAGE}")
        return ExitStatus.DONE if arguments else ExitStatus.MISUSE
    settings = Settings.from_env(os.environ)
    isolation = Sandbox(settings)
    catalogue = open_catalogue(
        settings, os.environ, isolation.draw_svg, open_images(settings, open_room)
    )
    renderer = catalogue.get(arguments[0])
    if {"-h", "--help"} & set(arguments[1:]):
        print("\n".join(paragraph(renderer)))
        return ExitStatus.DONE
    schemas = schema_of(renderer)["properties"]
    given = list(split_options(arguments[1:], ("--json",)))
    as_json = _JSON in given
    pairs = list(read_files(given, lambda name: schemas.get(name, {})))
    targets = [value for name, value in pairs if name == "output"]
    if len(targets) != 1:
        raise Misuse("-o FILE: give one file for the image, or - for standard output")
    if as_json and targets == ["-"]:
        raise Misuse("-o -: and --json would both go to standard output")
    rest = [pair for pair in pairs if pair[0] != "output" and pair != _JSON]
    named = any(name == "format" for name, _ in rest)
    ending = None if named else _format_of(targets[0])
    request = from_strings(renderer, rest, ending, settings)
    media = _produce(request, settings, isolation)
    _write(targets[0], media.in_memory)
    if as_json:
        about = document(media, {"file": targets[0], "bytes": len(media.data)})
        del about["data"]
        print(json.dumps(about, indent=2))
    else:
        _tell(media)
    return ExitStatus.DONE


def _format_of(file: str) -> str:
    """Return the format that a file's ending names; PNG for standard output."""
    if file == "-":
        return "png"
    ending = Path(file).suffix.removeprefix(".").lower()
    if ending not in EXTENSIONS:
        known = ", ".join(sorted(EXTENSIONS))
        raise Misuse(f"-o {file}: the ending must be one of {known}; or use --format")
    return EXTENSIONS[ending]


def _produce(request: ImageRequest, settings: Settings, isolation: Sandbox) -> Media:
    allocator.tune()
    with (
        closing(Pipeline(settings, NoStore(), isolation=isolation)) as pipeline,
        busy(f"{request.renderer.name} is drawn"),
    ):
        return pipeline.produce(request).media


def _tell(media: Media) -> None:
    """Say what of the texts is not as it was meant to be."""
    for warning in media.facts.get("warnings", ()):
        say(warning)
    missing = media.facts.get("missing_glyphs")
    if missing:
        say(f"no loaded font has {' '.join(missing)}; see MIMEO_FONTS")
    for name, how in media.facts.get("text_clipped", {}).items():
        say(f"--{name}: {CLIPPED[how]}")


def _write(file: str, data: bytes) -> None:
    try:
        if file == "-":
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()
        else:
            Path(file).write_bytes(data)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise Misuse(f"-o {file}: {error.strerror}") from error


def schema_of(renderer: Renderer) -> dict[str, Any]:
    """Return the JSON Schema of a renderer's parameters."""
    return renderer.parameters.model_json_schema()


def paragraph(renderer: Renderer) -> Iterator[str]:
    """Say a renderer and its parameters, a line each."""
    yield f"{renderer.name}: {renderer.title}"
    schema = schema_of(renderer)
    for name, row in schema["properties"].items():
        option, default = name.replace("_", "-"), row.get("default")
        note = f"default {default}" if default else "optional"
        note = "required" if name in schema.get("required", ()) else note
        yield f"  --{option:<14} {_kind(option, row)}, {note}"


def _kind(name: str, row: Mapping[str, Any]) -> str:
    if "enum" in row:
        return "|".join(map(str, row["enum"]))
    if holds_bytes(row):
        return f"image from a file: --{name}@ FILE"
    found = (kind.get("format") or kind.get("type") for kind in variants(row))
    return next((kind for kind in found if kind), "value")
