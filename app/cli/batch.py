"""`mimeo batch`: a table becomes a ZIP or a PDF on disk, drawn here or by a server.

What an earlier run drew is in the store; what came from a server is in a part file.
"""

import json
import logging
import os
import sys
from collections.abc import Generator, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import (
    AbstractContextManager,
    ExitStack,
    closing,
    contextmanager,
    nullcontext,
)
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Event
from types import MappingProxyType
from typing import IO, Any
from urllib.parse import urlencode

from app.archive.errors import ArchiveError
from app.bootstrap import open_catalogue, open_media, open_purchases, open_room
from app.cli.client import RemoteError, RemoteServer
from app.cli.download import check_target, fetch_archive
from app.cli.exit_status import ExitStatus
from app.cli.options import Misuse, read_files, read_key, split_options
from app.cli.partial_file import DamagedArchive
from app.cli.progress import Progress, busy, say
from app.collection.collection import Collection
from app.collection.errors import BadRows, RowFault
from app.collection.export.exports import FORMS, Export, Form, read_options
from app.collection.export.zip import first_run
from app.collection.ingest.preview import Preview
from app.collection.ingest.upload import read_upload
from app.collection.ingest.writer import Draft
from app.collection.lookahead import bounds_of, look_ahead
from app.collection.outcome import Bundle, Drawn, ImageFailed, Outcome
from app.config import Settings, allocator, budget_of
from app.image_request import ImageRequest
from app.media import Media
from app.parsing.image import BadBody, BodyTooLarge, UnsupportedBody
from app.pipeline.admission import Busy
from app.pipeline.image_origins import open_images
from app.pipeline.pipeline import Pipeline
from app.pipeline.process_pool import ProcessPool
from app.pipeline.purchases import Purchases
from app.problems import describe
from app.renderer.errors import BadParameter
from app.renderer.sandbox.sandbox import Sandbox
from app.renderer.template.watchdog import WATCHDOG

_USAGE = """\
mimeo batch FILE --renderer NAME -o FILE.zip [--NAME VALUE ...]

  FILE                  .csv, .tsv, .xlsx or .ods with a row for each image, .ndjson or
                        .jsonl with an object for each, .json with all; `-` is standard
                        input
  --renderer NAME       what draws the images; `mimeo renderers` lists all
  -o, --output FILE     where the ZIP goes; `-` is standard output; FILE.pdf is a PDF
  --file-name PATTERN   names of the images, such as {index}-{name}
  --names unicode       names keep their script; else they are made ASCII
  --bad-rows skip       leave out rows with faults, and say which; else all is refused
  --bind NAME=TEMPLATE  what a parameter is made of, such as 'name={First} {Last}'
  --sheet NAME          the sheet of a workbook; else the first one that is visible
  --sheet-page A4       of a PDF: several on a page; also --sheet-grid, -gap, -margin,
                        -bleed, -marks, -fold, -duplex, -preset
  --ignore COLUMN,...   columns to pass over without a word
  --dry-run             write nothing; draw the three worst rows, and say what is wrong
                        with any, and with --sheet-...
  --type TYPE           media type of FILE, whatever its ending
  --url URL             a Mimeo server that draws, such as http://127.0.0.1:8000
  --key-file FILE       with --url: a file with a key for the server
  --async               with --url, without -o: submit a job, print its URL and end;
                        `mimeo jobs wait URL -o FILE.zip` brings the ZIP
  --json                print what was made, found or submitted, for programs
  --webhook URL         with --async: where the server tells that the job has ended
  --NAME VALUE          a parameter that all rows share, or one of --format --scale
                        --quality --compression --background; also --NAME=VALUE
  --NAME@ FILE          a shared parameter read from a file

Interrupted and started again, the same command goes on where it was.

examples:
  mimeo batch guests.csv --renderer badge --event PyCon -o badges.zip
  mimeo batch guests.xlsx --renderer badge --bind 'name={First} {Last}' --dry-run
  mimeo batch guests.csv --renderer badge --sheet-page A4 -o badges.pdf
  mimeo batch guests.csv --renderer badge --url http://127.0.0.1:8000 -o badges.zip"""
_JSON = "application/json"
# What a file is, by its ending.
_TYPES = {
    ".csv": "text/csv",
    ".txt": "text/csv",
    # A workbook is told by its bytes.
    **dict.fromkeys((".xlsx", ".xlsm", ".ods"), "application/octet-stream"),
    ".tsv": "text/tab-separated-values",
    ".ndjson": "application/x-ndjson",
    ".jsonl": "application/x-ndjson",
    ".json": _JSON,
}
# Options that say what the query of `POST /collections` says, and its name for them.
_QUERY = {
    "renderer": "renderer",
    "file_name": "name",
    "ignore": "ignore",
    "sheet": "sheet",
    "names": "names",
    "bad_rows": "bad_rows",
    "webhook": "webhook",
}
# What options of print sheets begin with.
_SHEET = "sheet_"
# Options of the command's own, and those that have no value.
OPTIONS = (*_QUERY, "output", "type", "url", "key_file", "async", "dry_run", "json")
FLAGS = ("--async", "--dry-run", "--json")
_DRAWN_DRY = 3


@dataclass(frozen=True, slots=True)
class BatchOptions:
    """What is asked for; `source` and `target` may be `-`.

    `pairs` are named as the query of `POST /collections` names them. Without a `url`
    the images are drawn here. A dry run and a job have no target.
    """

    source: str
    media_type: str
    target: str
    url: str | None
    pairs: tuple[tuple[str, str], ...]
    dry_run: bool = False
    is_job: bool = False
    as_json: bool = False
    key: str | None = None
    delivery: Mapping[str, str] = field(default_factory=dict)

    def form(self, delivery: Mapping[str, Any] = MappingProxyType({})) -> Form:
        """What the target is to be, by its ending.

        Without a target it is what `delivery`, or that of the options, is for.
        """
        is_pdf = self.target.lower().endswith(".pdf")
        meant = not self.target and (delivery or self.delivery)
        return FORMS["pdf" if is_pdf or meant else "zip"]


def run(arguments: Sequence[str]) -> int:
    """Carry the command out and return its exit status.

    0; 1 where an image failed or the ZIP could not be finished; 2 where the rows are
    not valid; 130 after Ctrl-C. Raises Misuse, BadSetting and RendererError, before
    any image is drawn.
    """
    if not arguments or {"-h", "--help"} & set(arguments):
        print(f"usage: {_USAGE}")
        return ExitStatus.DONE if arguments else ExitStatus.MISUSE
    progress = Progress()
    try:
        options = _read_options(arguments)
        try:
            with _opened(options.source) as stream:
                if options.dry_run:
                    return _look(options, stream)
                if options.url is None:
                    _draw(options, stream, progress)
                elif options.is_job:
                    return _submit(options, options.url, stream)
                else:
                    _fetch(options, options.url, stream, progress)
        except BadParameter as error:
            raise Misuse(_spell(error, options.media_type)) from error
        if options.as_json:
            print(json.dumps(progress.document(options.target), indent=2))
        else:
            progress.sum_up(options.target)
        return ExitStatus.FAILED if progress.failed else ExitStatus.DONE
    except BrokenPipeError:
        raise
    except KeyboardInterrupt:
        say(f"interrupted after {progress}; the same command goes on from there")
        return ExitStatus.INTERRUPTED
    except BadRows as error:
        for fault in error.faults:
            say(str(fault))
        if error.more:
            say(f"and {error.more:,} more")
        return ExitStatus.MISUSE
    except (BadBody, BodyTooLarge, UnsupportedBody) as error:
        say(str(error))
        return ExitStatus.MISUSE
    except (ImageFailed, Busy, RemoteError, DamagedArchive, ArchiveError) as error:
        say(str(error))
    except OSError as error:
        file = f"{error.filename}: " if error.filename else ""
        say(f"{file}{error.strerror or error}; the same command goes on from there")
    return ExitStatus.FAILED


def _read_options(arguments: Sequence[str]) -> BatchOptions:
    """Read the command line; raise Misuse, BadSetting and what a server raises."""
    source = arguments[0]
    if source != "-" and source.startswith("-"):
        raise Misuse("FILE: comes first: mimeo batch FILE --renderer NAME -o FILE.zip")
    own: dict[str, str] = {}
    shared: list[tuple[str, str]] = []
    bound: list[tuple[str, str]] = []
    for name, value in split_options(arguments[1:], FLAGS):
        if name == "bind":
            parameter, equals, template = value.partition("=")
            if not equals:
                raise Misuse("--bind: is NAME=TEMPLATE, such as 'name={First} {Last}'")
            bound.append((f"bind[{parameter}]", template))
            continue
        if name in own:
            raise Misuse(f"--{_dashed(name)}: is given twice")
        if name in OPTIONS:
            own[name] = value
        else:
            shared.append((name, value))
    ending = ".csv" if source == "-" else Path(source).suffix.lower()
    media_type = own.get("type") or _TYPES.get(ending)
    if media_type is None:
        known = ", ".join(_TYPES)
        raise Misuse(f"{source}: the ending must be one of {known}; or use --type")
    delivery = {
        f"sheet[{name.removeprefix(_SHEET)}]": value
        for name, value in shared
        if name.startswith(_SHEET)
    }
    shared = [pair for pair in shared if not pair[0].startswith(_SHEET)]
    _check_target(own)
    key = read_key(own.get("key_file"))
    names = [name for name, _ in shared]
    if _is_json(media_type):
        given = [name for name in _QUERY if name in own] + ["bind"] * bool(bound)
        for name in (*given, *names):
            raise Misuse(f"--{_dashed(name)}: belongs into the file, which is JSON")
    elif "renderer" not in own:
        raise Misuse("--renderer: is required; `mimeo renderers` lists them")
    elif "name" in names or "name@" in names:
        # In a query, `name` is the pattern of file names.
        raise Misuse("--name: give it in each row; file names have --file-name")
    pairs = [(query, own[name]) for name, query in _QUERY.items() if name in own]
    if any(name.endswith("@") for name in names):
        # The renderer says which of the files are text.
        schemas = _schemas(own["renderer"], own.get("url"), key)
        shared = list(read_files(shared, lambda name: schemas.get(name, {})))
    pairs += [*bound, *shared]
    target = own.get("output", "")
    url = own.get("url")
    flags = "dry_run" in own, "async" in own, "json" in own
    options = BatchOptions(
        source, media_type, target, url, tuple(pairs), *flags, key, delivery
    )
    _check_form(options)
    return options


def _check_form(options: BatchOptions) -> None:
    """Refuse what a ZIP has not, and a PDF of a server's."""
    is_pdf = options.form().name == "pdf"
    if is_pdf and options.url is not None:
        asked = f"-o {options.target}" if options.target else "--sheet-..."
        raise Misuse(f"{asked}: --url fetches a ZIP; a PDF is at /collections.pdf")
    if options.delivery and not is_pdf:
        raise Misuse("--sheet-...: is for a PDF; give -o FILE.pdf")


def _check_target(own: Mapping[str, str]) -> None:
    """Refuse what does not go together, and before the work what would fail after."""
    for name in ("async", "key_file"):
        if name in own and "url" not in own:
            raise Misuse(f"--{_dashed(name)}: is for a server; give --url URL")
    if "webhook" in own and "async" not in own:
        raise Misuse("--webhook: is told of the end of a job; give --async")
    if "async" in own:
        if "dry_run" in own:
            raise Misuse("--async: a dry run makes no job")
        if "output" in own:
            said = "`mimeo jobs wait URL -o FILE.zip` brings what a job made"
            raise Misuse(f"-o {own['output']}: {said}")
    elif "output" in own:
        if "json" in own and own["output"] == "-":
            raise Misuse("-o -: and --json would both go to standard output")
        check_target(own["output"])
    elif "dry_run" not in own:
        raise Misuse("-o FILE: give one file for the ZIP, or - for standard output")


def _schemas(renderer: str, url: str | None, key: str | None) -> Mapping[str, Any]:
    if url is not None:
        with closing(RemoteServer(url, key)) as server:
            return server.parameters(renderer)
    found = open_catalogue(Settings.from_env(os.environ), os.environ).get(renderer)
    schemas: Mapping[str, Any] = found.parameters.model_json_schema()["properties"]
    return schemas


def _is_json(media_type: str) -> bool:
    return media_type.partition(";")[0].strip().lower() == _JSON


def _dashed(name: str) -> str:
    return name.replace("_", "-")


def _spell(error: BadParameter, media_type: str) -> str:
    """Say what is wrong in the words of whoever gave it: options, or members."""
    if _is_json(media_type):
        return "; ".join(f"{_dashed(field)}: {why}" for field, why in error.faults)
    options = {query: option for option, query in _QUERY.items()}
    faults = (
        (options.get(field, field.replace("[", "-").rstrip("]")), why)
        for field, why in error.faults
    )
    return "; ".join(f"--{_dashed(option)}: {why}" for option, why in faults)


def _opened(source: str) -> AbstractContextManager[IO[bytes]]:
    if source == "-":
        return nullcontext(sys.stdin.buffer)
    try:
        return Path(source).open("rb")
    except OSError as error:
        raise Misuse(f"{source}: {error.strerror}") from error


def _fetch(
    options: BatchOptions, url: str, stream: IO[bytes], progress: Progress
) -> None:
    """Send the table, and download the ZIP into a file that outlives an interruption.

    Raises what `RemoteServer.create` and `fetch_archive` raise, and OSError.
    """
    with closing(RemoteServer(url, options.key)) as server:
        made = server.create(stream, options.media_type, urlencode(options.pairs))
        for warning in made.warnings:
            say(warning)
        archive = made.path, made.id, made.count
        fetch_archive(server, *archive, options.target, progress)


def _submit(options: BatchOptions, url: str, stream: IO[bytes]) -> int:
    """Send the table as a job, and print where it is; raise what `submit` raises."""
    with closing(RemoteServer(url, options.key)) as server:
        query = urlencode(options.pairs)
        job, assumed = server.submit(stream, options.media_type, query)
        if assumed:
            say(assumed)
        about = json.dumps(job.document, indent=2) if options.as_json else ""
        print(about or server.url(job.path))
    return ExitStatus.DONE


def _look(options: BatchOptions, stream: IO[bytes]) -> int:
    """Draw the worst rows and say what is wrong with any; return the exit status."""
    if options.url is not None:
        with closing(RemoteServer(options.url, options.key)) as server:
            query = urlencode([*options.pairs, ("preview", str(_DRAWN_DRY))])
            found = server.preview(stream, options.media_type, query)
    else:
        found = _previewed(options, stream)
    if options.as_json:
        print(json.dumps(found, indent=2))
    else:
        _say_found(found)
    if found["faults"]:
        return ExitStatus.MISUSE
    failed = any("error" in row for row in found["rows"])
    return ExitStatus.FAILED if failed else ExitStatus.DONE


def _say_found(found: Mapping[str, Any]) -> None:
    for warning in found["warnings"]:
        say(warning)
    for fault in found["faults"]:
        say(str(RowFault(**fault)))
    if found["more"]:
        say(f"and {found['more']:,} more")
    for row in found["rows"]:
        line = "" if row["line"] is None else f", line {row['line']:,}"
        said = row.get("error") or _facts(row.get("facts", {})) or "as it should be"
        say(f"row {row['row']:,}{line}, the {row['why']}: {said}")
    valid = f"{found['count']:,} of the rows are valid"
    say(f"{valid}; nothing is written in a dry run")


def _facts(facts: Mapping[str, Any]) -> str:
    return "; ".join(
        f"{name.replace('_', ' ')}: {value}" for name, value in facts.items() if value
    )


def _previewed(options: BatchOptions, stream: IO[bytes]) -> dict[str, Any]:
    settings = Settings.from_env(os.environ)
    catalogue = open_catalogue(settings, os.environ)
    preview = Preview(_DRAWN_DRY)

    def read() -> Draft:
        pairs = options.pairs
        kind = options.media_type
        draft = read_upload(stream, kind, pairs, catalogue, settings, preview=preview)
        with ExitStack() as stack:
            stack.enter_context(closing(draft))
            collection = draft.collection(catalogue, settings)
            _export(options, draft.delivery, collection, settings)
            stack.pop_all()
        return draft

    with (
        closing(Pipeline(settings, open_media(settings))) as pipeline,
        busy(f"{options.source} is read, and its worst rows are drawn"),
    ):
        return preview.report(read, lambda made: pipeline.produce(made).media)


def _draw(options: BatchOptions, stream: IO[bytes], progress: Progress) -> None:
    """Draw all images into the target, which gets its name when it is whole.

    Raises what reading and drawing raise, and OSError.
    """
    allocator.tune()
    settings = Settings.from_env(os.environ)
    isolation = Sandbox(settings)
    catalogue = open_catalogue(
        settings, os.environ, isolation.draw_svg, open_images(settings, open_room)
    )
    budget = budget_of(replace(settings, workers=1))
    processes = ProcessPool(budget.processes, settings.render_timeout_s)
    # Templates were tried, under the eye of a thread.
    WATCHDOG.rest()
    processes.fork_early(catalogue, isolation, native=True)
    pairs = options.pairs
    with busy(f"{options.source} is read"):
        draft = read_upload(stream, options.media_type, pairs, catalogue, settings)
    for warning in draft.warnings:
        say(warning)
    with ExitStack() as stack:
        stack.enter_context(closing(draft))
        log, handler = logging.getLogger("mimeo"), _FirstWarning(logging.WARNING)
        log.addHandler(handler)
        stack.callback(log.removeHandler, handler)
        purchases = Purchases(open_purchases(settings), settings.threads)
        collection = draft.collection(catalogue, settings)
        export = _export(options, draft.delivery, collection, settings)
        pipeline = Pipeline(
            settings,
            open_media(settings),
            purchases=purchases,
            isolation=isolation,
            processes=processes,
        )
        stack.enter_context(closing(pipeline))
        stack.enter_context(progress.shown(draft.header.count))
        file = stack.enter_context(_target(options.target))
        outcomes = _counted(export, pipeline, settings, progress)
        stack.enter_context(closing(outcomes))
        bundle = Bundle(
            collection.id, collection.count, outcomes, describe, lambda: None
        )
        make = export.form.make
        chunks = (
            first_run(bundle, lambda manifest: None)
            if make is None
            else make(bundle, collection, export.options)
        )
        for chunk in chunks:
            file.write(chunk)
            progress.size += len(chunk)


def _export(
    options: BatchOptions,
    delivery: Mapping[str, Any],
    collection: Collection,
    settings: Settings,
) -> Export:
    """Return the collection in its form, and say what is assumed of it.

    Raises BadParameter where it cannot be had so.
    """
    form = options.form(delivery)
    chosen = read_options(form.options, {**delivery, **options.delivery})
    for said in form.check(collection, chosen, settings):
        say(said)
    return Export(collection, form, chosen, kept=False)


def _counted(
    export: Export, pipeline: Pipeline, settings: Settings, progress: Progress
) -> Generator[Outcome | None]:
    """Yield what becomes of the images, and count it."""

    def submit(request: ImageRequest, cancelled: Event) -> Future[Media]:
        # Reads a few bytes of a file: 20 us beside the 1 to 5 ms of a drawing.
        progress.found += pipeline.peek(request) is not None
        return pipeline.submit(request, cancelled, keep=True)

    bounds = bounds_of(pipeline, settings)
    with closing(look_ahead(export.items(), submit, bounds)) as outcomes:
        for outcome in outcomes:
            if isinstance(outcome, Drawn):
                progress.notices.add(outcome.index, outcome.media.facts)
            elif outcome is not None:
                progress.fail(outcome.index, outcome.name, str(outcome.error))
            yield outcome
            progress.reach(progress.done + (outcome is not None))


@contextmanager
def _target(target: str) -> Iterator[IO[bytes]]:
    """Open a file beside the target that replaces it, unless the body raises."""
    if target == "-":
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    part = Path(f"{target}.part")
    try:
        with part.open("wb") as file:
            yield file
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


class _FirstWarning(logging.Handler):
    """Says the first fault of the store: a full disk would fail each of the images."""

    def emit(self, record: logging.LogRecord) -> None:
        """Say it, if it is the first."""
        if self.level == logging.WARNING:
            self.setLevel(logging.CRITICAL + 1)
            say(f"{record.getMessage()}; the run goes on without it")
