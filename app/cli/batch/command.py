"""Run `mimeo batch`, and say every error in a line of its own."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from app.archive.errors import ArchiveError
from app.cli.batch.local import draw
from app.cli.batch.order import read_order
from app.cli.batch.remote import fetch
from app.cli.batch.tally import Tally, say
from app.cli.client.errors import RemoteError
from app.cli.options import Misuse
from app.collection.errors import BadRows
from app.collection.export.base64_json import ImageFailed
from app.parsing.image import BadBody, UnsupportedBody
from app.pipeline.admission import Busy
from app.renderer.errors import BadParameter

_USAGE = """\
mimeo batch FILE --renderer NAME -o FILE.zip [--NAME VALUE ...]

  FILE                  .csv or .tsv with a row for each image, .ndjson or .jsonl with
                        an object for each, .json with all; `-` is standard input
  --renderer NAME       what draws the images; `mimeo renderers` lists all
  -o, --output FILE     where the ZIP goes; `-` is standard output
  --file-name PATTERN   names of the images, such as {index}-{name}
  --ignore COLUMN,...   columns that are no parameters
  --type TYPE           media type of FILE, whatever its ending
  --url URL             a Mimeo server that draws, such as http://127.0.0.1:8000
  --NAME VALUE          a parameter that all rows share, or one of --format --scale
                        --quality --compression --background; also --NAME=VALUE
  --NAME@ FILE          a shared parameter read from a file

Interrupted and started again, the same command goes on where it was."""
_INTERRUPTED = 130


def run(arguments: Sequence[str]) -> int:
    """Carry the command out and return its exit status.

    0; 1 where an image failed or the ZIP could not be finished; 2 where the rows are
    not valid; 130 after Ctrl-C. Raises Misuse, BadSetting and RendererError, before
    any image is drawn.
    """
    if not arguments or {"-h", "--help"} & set(arguments):
        print(f"usage: {_USAGE}")
        return 0 if arguments else 2
    tally = Tally()
    try:
        return _carry_out(arguments, tally)
    except BrokenPipeError:
        raise
    except KeyboardInterrupt:
        say(f"interrupted after {tally.progress}; the same command goes on from there")
        return _INTERRUPTED
    except BadRows as error:
        _name_rows(error)
        return 2
    except (BadBody, UnsupportedBody) as error:
        say(str(error))
        return 2
    except (ImageFailed, Busy, RemoteError, ArchiveError) as error:
        say(str(error))
    except OSError as error:
        file = f"{error.filename}: " if error.filename else ""
        say(f"{file}{error.strerror or error}; the same command goes on from there")
    return 1


def _carry_out(arguments: Sequence[str], tally: Tally) -> int:
    order = read_order(arguments)
    try:
        with _opened(order.source) as stream:
            if order.url is None:
                draw(order, stream, tally)
            else:
                fetch(order, order.url, stream, tally)
    except BadParameter as error:
        raise Misuse(order.spell(error)) from error
    tally.sum_up(order.target)
    return 1 if tally.failed else 0


@contextmanager
def _opened(source: str) -> Iterator[IO[bytes]]:
    if source == "-":
        yield sys.stdin.buffer
        return
    try:
        file = Path(source).open("rb")  # noqa: SIM115
    except OSError as error:
        raise Misuse(f"{source}: {error.strerror}") from error
    with file:
        yield file


def _name_rows(error: BadRows) -> None:
    for fault in error.faults:
        say(str(fault))
    if error.more:
        say(f"and {error.more:,} more")
