"""The `mimeo` command: serve, render, batch, jobs, renderers, fonts, doctor, ..."""

import argparse
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

from app.bootstrap import open_catalogue, open_room
from app.cli import access, batch, checkup, doctor, remote_jobs
from app.cli.listener import CannotListen
from app.cli.options import (
    Misuse,
    holds_bytes,
    read_files,
    read_key,
    split_options,
    variants,
)
from app.cli.progress import CLIPPED
from app.config import BadSetting, Settings, allocator
from app.image_request import ImageRequest, from_strings
from app.openapi.openapi_document import build
from app.pipeline.image_origins import open_images
from app.pipeline.pipeline import Pipeline
from app.renderer.base import Renderer
from app.renderer.encode import EXTENSIONS
from app.renderer.engine import emoji
from app.renderer.engine.engine import load_engine
from app.renderer.engine.families import Family
from app.renderer.engine.fonts import BrokenFont
from app.renderer.errors import BadParameter, RendererError
from app.renderer.produce import formats
from app.renderer.sandbox.sandbox import Sandbox
from app.store import NoStore

# Options of `mimeo serve` and the environment variable that each one stands for.
_VARIABLES = {
    "host": ("HOST", "address to listen on (127.0.0.1)"),
    "port": ("PORT", "port to listen on (8000, or the next free one)"),
    "workers": ("WEB_CONCURRENCY", "worker processes (one for each core)"),
    "threads": ("MIMEO_THREADS", "requests that one worker holds at a time"),
    "store": ("MIMEO_STORE", "where images are kept: a folder, memory: or none"),
    "templates": ("MIMEO_TEMPLATES", "folder of your own templates"),
    "fonts": ("MIMEO_FONTS", "folder of your own fonts"),
}
_USAGE = """\
mimeo render RENDERER -o FILE [--NAME VALUE ...]

  -o, --output FILE   where the image goes; `-` is standard output
  --NAME VALUE        a parameter, or one of --format --scale --quality
                      --compression --background; also --NAME=VALUE
  --NAME@ FILE        a parameter read from a file; `-` is standard input

The format is that of FILE's ending, unless --format names it.
`mimeo renderers` lists the renderers and their parameters."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status.

    0; 1 for a failed check, or images that failed; 2 for misuse; 130 after Ctrl-C.
    """
    options = _parser().parse_args(arguments)
    try:
        status: int = options.run(options)
    except BadParameter as error:
        for fault in error.faults:
            _complain(f"--{fault.field}: {fault.reason}")
        return 2
    except (BadSetting, BrokenFont, Misuse, RendererError, CannotListen) as error:
        _complain(str(error))
        return 2
    except BrokenPipeError:
        # The reader of a pipe left; the interpreter must not flush into it again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return status


def _complain(text: str) -> None:
    print(f"mimeo: {text}", file=sys.stderr)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="mimeo", description="Make images by URL or on the command line."
    )
    release = doctor.installed("mimeo") or "(not installed)"
    parser.add_argument("--version", action="version", version=f"mimeo {release}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    serve = commands.add_parser("serve", help="start the server")
    for name, (variable, text) in _VARIABLES.items():
        serve.add_argument(f"--{name}", metavar=variable, help=text)
    serve.add_argument(
        "--reload",
        action="store_true",
        help="development: edits of templates and code show at the next request",
    )
    serve.set_defaults(run=_serve)
    worker = commands.add_parser("worker", help="draw the jobs of other servers")
    worker.set_defaults(run=_worker)
    # Options of these two are the renderer's own, so argparse passes them on.
    for name, run, text in (
        ("render", _render, "make one image"),
        ("batch", batch.run, "make an image of every row"),
    ):
        passing = commands.add_parser(
            name, help=text, add_help=False, prefix_chars="\0"
        )
        passing.add_argument("arguments", nargs="*")
        passing.set_defaults(run=lambda options, run=run: run(options.arguments))
    listing = commands.add_parser("renderers", help="list what can be drawn")
    listing.add_argument("--json", action="store_true", help="with JSON Schemas")
    listing.set_defaults(run=_renderers)
    faces = commands.add_parser("fonts", help="list the families of fonts")
    faces.add_argument("--json", action="store_true", help="as GET /fonts has them")
    faces.set_defaults(run=_fonts)
    described = commands.add_parser("openapi", help="print what the server answers")
    described.set_defaults(run=_openapi)
    check = commands.add_parser("doctor", help="say what is wrong and how to mend it")
    check.add_argument(
        "--release",
        action="store_true",
        help="before a version is put to work: one line a fault, and exit status 1",
    )
    check.add_argument("url", nargs="?", help="a running server, seen from outside")
    check.add_argument("--json", action="store_true", help="what is found, as a list")
    check.add_argument(
        "--key-file", help="with a URL: a file with a key that has `admin`"
    )
    check.set_defaults(run=_doctor)
    remote_jobs.add(commands)
    access.add(commands)
    return parser


def _doctor(options: argparse.Namespace) -> int:
    if options.url is None:
        if options.release:
            return doctor.release(os.environ)
        found = doctor.findings(os.environ)
    else:
        found = checkup.examine(options.url, read_key(options.key_file))
    return doctor.show(found, as_json=options.json)


def _serve(options: argparse.Namespace) -> int:
    # Options are spelt as environment: gunicorn.conf.py and the workers read that.
    for name, (variable, _) in _VARIABLES.items():
        if (value := getattr(options, name)) is not None:
            os.environ[variable] = value
    if options.reload:
        os.environ["MIMEO_DEVELOPMENT"] = "1"
    settings = Settings.from_env(os.environ)
    if not os.environ.get("WEB_CONCURRENCY", "").strip():
        os.environ.pop("WEB_CONCURRENCY", None)
    # Gunicorn reads WEB_CONCURRENCY while it is imported, and fails on a bad one:
    # the settings have to be right before.
    from app.cli import server

    server.serve(settings, fixed=bool(os.environ.get("PORT")))
    return 0


def _worker(options: argparse.Namespace) -> int:
    from app.cli import job_worker

    return job_worker.run(Settings.from_env(os.environ))


def _render(arguments: Sequence[str]) -> int:
    if not arguments or arguments[0] in ("-h", "--help"):
        print(f"usage: {_USAGE}")
        return 0 if arguments else 2
    settings = Settings.from_env(os.environ)
    isolation = Sandbox(settings)
    catalogue = open_catalogue(
        settings, os.environ, isolation.draw_svg, open_images(settings, open_room)
    )
    renderer = catalogue.get(arguments[0])
    if {"-h", "--help"} & set(arguments[1:]):
        print("\n".join(_paragraph(renderer)))
        return 0
    schemas = _schema(renderer)["properties"]
    pairs = list(
        read_files(split_options(arguments[1:]), lambda name: schemas.get(name, {}))
    )
    targets = [value for name, value in pairs if name == "output"]
    if len(targets) != 1:
        raise Misuse("-o FILE: give one file for the image, or - for standard output")
    rest = [pair for pair in pairs if pair[0] != "output"]
    named = any(name == "format" for name, _ in rest)
    ending = None if named else _format_of(targets[0])
    request = from_strings(renderer, rest, ending, settings)
    _write(targets[0], _produce(request, settings, isolation))
    return 0


def _format_of(file: str) -> str:
    """Return the format that a file's ending names; PNG for standard output."""
    if file == "-":
        return "png"
    ending = Path(file).suffix.removeprefix(".").lower()
    if ending not in EXTENSIONS:
        known = ", ".join(sorted(EXTENSIONS))
        raise Misuse(f"-o {file}: the ending must be one of {known}; or use --format")
    return EXTENSIONS[ending]


def _produce(request: ImageRequest, settings: Settings, isolation: Sandbox) -> bytes:
    allocator.tune()
    with closing(Pipeline(settings, NoStore(), isolation=isolation)) as pipeline:
        media = pipeline.produce(request).media
    for warning in media.facts.get("warnings", ()):
        _complain(warning)
    missing = media.facts.get("missing_glyphs")
    if missing:
        _complain(f"no loaded font has {' '.join(missing)}; see MIMEO_FONTS")
    for name, how in media.facts.get("text_clipped", {}).items():
        _complain(f"--{name}: {CLIPPED[how]}")
    return media.in_memory


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


def _renderers(options: argparse.Namespace) -> int:
    catalogue = open_catalogue(Settings.from_env(os.environ), os.environ)
    renderers = [catalogue.get(name) for name in catalogue.names()]
    if options.json:
        rows = [
            {
                "name": renderer.name,
                "title": renderer.title,
                "formats": formats(renderer),
                "parameters": _schema(renderer),
                "example": dict(renderer.example),
            }
            for renderer in renderers
        ]
        print(json.dumps(rows, indent=2))
    else:
        print("\n\n".join("\n".join(_paragraph(each)) for each in renderers))
    for error in catalogue.broken().values():
        _complain(str(error))
    return 0


def _fonts(options: argparse.Namespace) -> int:
    settings = Settings.from_env(os.environ)
    families = load_engine(settings.fonts, settings.system_fonts).describe()
    if options.json:
        rows = [{**asdict(family), "specimen": family.specimen} for family in families]
        print(json.dumps(rows, indent=2, ensure_ascii=False))
    else:
        print("\n".join(map(_line, families)))
        print(f"{emoji.ARTWORK['name']}: {emoji.ARTWORK['attribution']}")
    return 0


def _openapi(options: argparse.Namespace) -> int:
    settings = Settings.from_env(os.environ)
    catalogue = open_catalogue(settings, os.environ)
    print(json.dumps(build(catalogue, settings), indent=2, ensure_ascii=False))
    for error in catalogue.broken().values():
        _complain(str(error))
    return 0


def _line(family: Family) -> str:
    """Return a family as one line: scripts, weights, styles, licence, origin."""
    weights = (" to " if family.variable else ", ").join(map(str, family.weights))
    scripts = ", ".join(family.scripts) or "symbols"
    styles = " and ".join(family.styles)
    licence = family.licence or "no licence named"
    about = "; ".join((scripts, f"{weights} {styles}", licence, family.source))
    return f"{family.name}: {about}"


def _schema(renderer: Renderer) -> dict[str, Any]:
    return renderer.parameters.model_json_schema()


def _paragraph(renderer: Renderer) -> Iterator[str]:
    yield f"{renderer.name}: {renderer.title}"
    schema = _schema(renderer)
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


if __name__ == "__main__":
    sys.exit(main())
