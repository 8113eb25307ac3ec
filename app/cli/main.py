"""The `mimeo` command: serve, preview, render, batch, jobs, doctor, new, ..."""

import argparse
import io
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict

import shtab

from app.bootstrap import open_catalogue
from app.cli import (
    access,
    batch,
    checkup,
    completion,
    doctor,
    new_template,
    remote_jobs,
    render,
)
from app.cli.command_parser import CommandParser, Commands, add_command, written
from app.cli.exit_status import MEANINGS, ExitStatus
from app.cli.listener import CannotListen
from app.cli.options import Misuse, read_key
from app.cli.render import paragraph, schema_of
from app.config import BadSetting, Settings
from app.openapi.openapi_document import build
from app.renderer.catalogue import Catalogue
from app.renderer.engine import emoji
from app.renderer.engine.engine import load_engine
from app.renderer.engine.families import Family
from app.renderer.engine.fonts import BrokenFont
from app.renderer.errors import BadParameter, RendererError
from app.renderer.produce import formats

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
_FIRST = (
    "mimeo serve",
    "mimeo render card --title 'Hello' -o card.png",
    "mimeo render card --help",
    "mimeo preview",
)
_SERVED = (
    "mimeo serve",
    "mimeo serve --port 8080 --store /var/lib/mimeo",
    "mimeo serve --templates templates --reload",
)
_LISTED = ("mimeo renderers", "mimeo renderers --json")
_FONTS = ("mimeo fonts", "mimeo fonts --json")
_DESCRIBED = ("mimeo openapi > openapi.json",)
_DOCTOR = (
    "mimeo doctor",
    "mimeo doctor --json",
    "mimeo doctor https://images.example.com --key-file admin.key",
)
_PREVIEW = (
    "mimeo preview",
    "mimeo preview badge --templates templates",
    "mimeo preview --no-open",
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status.

    It is one of ExitStatus; a usage error raises SystemExit with it.
    """
    # A terminal that cannot show a name is told of it, rather than of a traceback.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        try:
            return _run(arguments)
        finally:
            # Or what cannot be written would show when nobody looks any more.
            sys.stdout.flush()
    except OSError as error:
        if not isinstance(error, BrokenPipeError):
            _complain(f"standard output: {error.strerror or error}")
        # The interpreter must not flush into it again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitStatus.FAILED


def _run(arguments: Sequence[str] | None) -> int:
    options = _parser().parse_args(arguments)
    try:
        status: int = options.run(options)
    except BadParameter as error:
        for fault in error.faults:
            _complain(f"--{fault.field}: {fault.reason}")
        return ExitStatus.MISUSE
    except (BadSetting, BrokenFont, Misuse, RendererError, CannotListen) as error:
        _complain(str(error))
        return ExitStatus.MISUSE
    except KeyboardInterrupt:
        _complain("interrupted")
        return ExitStatus.INTERRUPTED
    except OSError as error:
        if error.filename is None:
            raise
        _complain(f"{error.filename}: {error.strerror}")
        return ExitStatus.FAILED
    return status


def _complain(text: str) -> None:
    print(f"mimeo: {text}", file=sys.stderr)


def _parser(catalogue: Catalogue | None = None) -> CommandParser:
    """Return the parser; with a catalogue the one that shells are told of.

    That one has the options of all renderers.
    """
    statuses = [f"  {status.value:<4} {text}" for status, text in MEANINGS.items()]
    parser = CommandParser(
        prog="mimeo",
        description="Make images by URL or on the command line.",
        epilog="\n".join((written(_FIRST) or "", "", "exit status:", *statuses)),
    )
    release = doctor.installed("mimeo") or "(not installed)"
    parser.add_argument("--version", action="version", version=f"mimeo {release}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_servers(commands)
    if catalogue is None:
        # Options of these two are the renderer's own, so argparse passes them on.
        for name, run, text in (
            ("render", render.run, "make one image"),
            ("batch", batch.run, "make an image of every row"),
        ):
            passing = commands.add_parser(
                name, help=text, add_help=False, prefix_chars="\0"
            )
            passing.add_argument("arguments", nargs="*")
            passing.set_defaults(run=lambda options, run=run: run(options.arguments))
    else:
        completion.add_render(commands, catalogue)
        completion.add_batch(commands, catalogue)
    new_template.add(commands)
    _add_lists(commands)
    remote_jobs.add(commands)
    access.add(commands)
    about = "print what makes a shell complete commands"
    shells = add_command(commands, "completion", about, completion.EXAMPLES)
    shells.add_argument("shell", choices=completion.SHELLS, help="whose script")
    shells.set_defaults(run=_completion)
    return parser


def _add_servers(commands: "Commands[CommandParser]") -> None:
    serve = add_command(commands, "serve", "start the server", _SERVED)
    for name, (variable, text) in _VARIABLES.items():
        serve.add_argument(f"--{name}", metavar=variable, help=text)
    serve.add_argument(
        "--reload",
        action="store_true",
        help="development: edits of templates and code show at the next request",
    )
    serve.set_defaults(run=_serve)
    about = "open the studio in a browser, for whoever is at this machine"
    preview = add_command(commands, "preview", about, _PREVIEW)
    preview.add_argument("renderer", nargs="?", help="what is shown first")
    preview.add_argument("--port", help="port (8000, or the next free one)")
    preview.add_argument("--templates", metavar="FOLDER", help="as MIMEO_TEMPLATES")
    preview.add_argument("--no-open", action="store_true", help="print the address")
    preview.set_defaults(run=_preview)
    about = "draw the jobs of other servers"
    worker = add_command(commands, "worker", about, ("mimeo worker",))
    worker.set_defaults(run=_worker)
    about = "say what is wrong and how to mend it"
    check = add_command(commands, "doctor", about, _DOCTOR)
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


def _add_lists(commands: "Commands[CommandParser]") -> None:
    listing = add_command(commands, "renderers", "list what can be drawn", _LISTED)
    listing.add_argument("--json", action="store_true", help="with JSON Schemas")
    listing.set_defaults(run=_renderers)
    faces = add_command(commands, "fonts", "list the families of fonts", _FONTS)
    faces.add_argument("--json", action="store_true", help="as GET /fonts has them")
    faces.set_defaults(run=_fonts)
    about = "print what the server answers, by OpenAPI 3.1"
    described = add_command(commands, "openapi", about, _DESCRIBED)
    described.set_defaults(run=_openapi)


def _doctor(options: argparse.Namespace) -> int:
    if options.release and (options.json or options.url is not None):
        raise Misuse("--release: is of this machine, a line a fault: give it alone")
    if options.url is None:
        if options.key_file is not None:
            raise Misuse("--key-file: is for a running server; give its URL")
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
    return ExitStatus.DONE


def _preview(options: argparse.Namespace) -> int:
    given = {"PORT": options.port, "MIMEO_TEMPLATES": options.templates}
    os.environ |= {name: value for name, value in given.items() if value is not None}
    # Edits of templates show, and whoever is at this machine is the only caller.
    os.environ |= {
        "HOST": "127.0.0.1",
        "MIMEO_DEVELOPMENT": "on",
        "MIMEO_LOCAL_CALLERS": "on",
    }
    os.environ.setdefault("MIMEO_ACCESS_LOG", "off")
    settings = Settings.from_env(os.environ)
    page = "/studio"
    if options.renderer is not None:
        catalogue = open_catalogue(settings, os.environ)
        # One that is broken is shown with what ails it.
        if options.renderer not in catalogue.broken():
            page += f"#/make/{catalogue.get(options.renderer).name}"
    from app.cli import server

    fixed = options.port is not None
    server.serve(settings, fixed=fixed, page=page, opened=not options.no_open)
    return ExitStatus.DONE


def _completion(options: argparse.Namespace) -> int:
    catalogue = open_catalogue(Settings.from_env(os.environ), os.environ)
    print(shtab.complete(_parser(catalogue), options.shell))
    return ExitStatus.DONE


def _worker(options: argparse.Namespace) -> int:
    from app.cli import job_worker

    return job_worker.run(Settings.from_env(os.environ))


def _renderers(options: argparse.Namespace) -> int:
    catalogue = open_catalogue(Settings.from_env(os.environ), os.environ)
    renderers, broken = catalogue.listed()
    if options.json:
        rows = [
            {
                "name": renderer.name,
                "title": renderer.title,
                "formats": formats(renderer),
                "parameters": schema_of(renderer),
                "example": dict(renderer.example),
            }
            for renderer in renderers
        ]
        print(json.dumps(rows, indent=2))
    else:
        print("\n\n".join("\n".join(paragraph(each)) for each in renderers))
    for error in broken:
        _complain(str(error))
    return ExitStatus.DONE


def _fonts(options: argparse.Namespace) -> int:
    settings = Settings.from_env(os.environ)
    families = load_engine(settings.fonts, settings.system_fonts).describe()
    if options.json:
        rows = [{**asdict(family), "specimen": family.specimen} for family in families]
        print(json.dumps(rows, indent=2))
    else:
        print("\n".join(map(_line, families)))
        print(f"{emoji.ARTWORK['name']}: {emoji.ARTWORK['attribution']}")
    return ExitStatus.DONE


def _openapi(options: argparse.Namespace) -> int:
    settings = Settings.from_env(os.environ)
    catalogue = open_catalogue(settings, os.environ)
    print(json.dumps(build(catalogue, settings), indent=2))
    for error in catalogue.broken().values():
        _complain(str(error))
    return ExitStatus.DONE


def _line(family: Family) -> str:
    """Return a family as one line: scripts, weights, styles, licence, origin."""
    weights = (" to " if family.variable else ", ").join(map(str, family.weights))
    scripts = ", ".join(family.scripts) or "symbols"
    styles = " and ".join(family.styles)
    licence = family.licence or "no licence named"
    about = "; ".join((scripts, f"{weights} {styles}", licence, family.source))
    return f"{family.name}: {about}"


if __name__ == "__main__":
    sys.exit(main())
