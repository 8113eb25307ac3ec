"""`mimeo jobs`: a server's jobs listed, watched, retried, brought home, purged."""

import argparse
import json
import re
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from itertools import islice

from app.cli.client import RemoteError, RemoteJob, RemoteServer
from app.cli.command_parser import CommandParser, Commands, add_command
from app.cli.download import check_target, fetch_archive
from app.cli.exit_status import ExitStatus
from app.cli.options import Misuse, read_key
from app.cli.partial_file import DamagedArchive
from app.cli.progress import Progress, say

# Where `mimeo serve` listens unless it is told otherwise.
_URL = "http://127.0.0.1:8000"
_ID = re.compile(r"[0-9a-f]{64}")
_SHOWN_ID = "4f0c" * 16
_EXAMPLES = {
    "list": "mimeo jobs list --limit 20",
    "show": f"mimeo jobs show {_SHOWN_ID} --url https://images.example.com",
    "wait": f"mimeo jobs wait {_URL}/jobs/{_SHOWN_ID} -o badges.zip",
    "cancel": f"mimeo jobs cancel {_SHOWN_ID}",
    "retry": f"mimeo jobs retry {_SHOWN_ID}",
    "purge": "mimeo jobs purge --ended --older-than 2d",
}
_MOMENTS = ("created", "started", "cancelled", "finished", "expires")

_AGE = re.compile(r"([0-9]{1,6})([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}

Run = Callable[[RemoteServer, list[str], argparse.Namespace], int]


def add(commands: "Commands[CommandParser]") -> None:
    """Add the command to the parser of `mimeo`."""
    about = "list, watch, retry, purge a server's jobs"
    jobs = add_command(commands, "jobs", about, (*_EXAMPLES.values(),))
    kinds = jobs.add_subparsers(required=True, metavar="WHAT")
    listing = _add(kinds, "list", _list, "list your jobs, the newest first")
    listing.set_defaults(jobs=[])
    listing.add_argument(
        "--limit", metavar="N", type=_number, help="so many of them; all by default"
    )
    _add(kinds, "show", _show, "say how far a job is, or how it ended", 1)
    wait = _add(kinds, "wait", _wait, "wait until a job has ended", 1)
    wait.add_argument(
        "-o",
        "--output",
        metavar="FILE.zip",
        help="then bring what it made; `-` is standard output",
    )
    _add(kinds, "cancel", _cancel, "want no more of a job", 1)
    _add(kinds, "retry", _retry, "draw what failed or is missing, as another job", 1)
    purge = _add(kinds, "purge", _purge, "forget jobs and what they made", "*")
    purge.add_argument("--ended", action="store_true", help="all that have ended")
    purge.add_argument(
        "--older-than",
        metavar="AGE",
        help="all that ended as long ago: 90s, 15m, 12h or 2d",
    )


def _add(
    kinds: "Commands[CommandParser]",
    name: str,
    run: Run,
    text: str,
    jobs: int | str = 0,
) -> CommandParser:
    parser = add_command(kinds, name, text, (_EXAMPLES[name],))
    if jobs:
        about = "a job's id, or its URL"
        parser.add_argument("jobs", metavar="JOB", nargs=jobs, help=about)
    parser.add_argument("--url", help=f"the server, with an id ({_URL})")
    parser.add_argument("--key-file", metavar="FILE", help="a file with your key")
    parser.add_argument("--json", action="store_true", help="as the server says it")
    parser.set_defaults(run=lambda options: _run(run, options))
    return parser


def _run(run: Run, options: argparse.Namespace) -> int:
    """Ask the server, and return the exit status.

    0; 1 for a job that is not there or did not make all images; 130 after Ctrl-C.
    """
    url, ids = _places(options.jobs, options.url)
    key = read_key(options.key_file)
    try:
        with closing(RemoteServer(url, key)) as server:
            return run(server, ids, options)
    except KeyboardInterrupt:
        say("interrupted; the server does not stop for that")
        return ExitStatus.INTERRUPTED
    except (RemoteError, DamagedArchive) as error:
        say(str(error))
    except BrokenPipeError:
        raise
    except OSError as error:
        file = f"{error.filename}: " if error.filename else ""
        say(f"{file}{error.strerror or error}; the same command goes on from there")
    return ExitStatus.FAILED


def _places(jobs: list[str], url: str | None) -> tuple[str, list[str]]:
    """Return the server's URL and the ids of jobs."""
    places = [_place(job, url) for job in jobs]
    servers = {server for server, _ in places} or {url or _URL}
    if len(servers) > 1:
        raise Misuse(f"the jobs are at several servers: {', '.join(sorted(servers))}")
    return servers.pop(), [id for _, id in places]


def _place(job: str, url: str | None) -> tuple[str, str]:
    """Return the server's URL and the id of a job, which may be within its URL."""
    base, within, id = job.rstrip("/").rpartition("/jobs/")
    if within and url is not None:
        raise Misuse("--url: is in the URL of the job already")
    if not _ID.fullmatch(id):
        raise Misuse(f"{job}: is no job's id (64 digits and letters a to f), nor a URL")
    return base if within else url or _URL, id


def _number(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not int(text[:9]):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1")
    return int(text[:9])


def _list(server: RemoteServer, ids: list[str], options: argparse.Namespace) -> int:
    jobs = islice(server.jobs(), options.limit)
    if options.json:
        print(json.dumps([job.document for job in jobs], indent=2))
    else:
        for job in jobs:
            created = job.document.get("created")
            print(f"{job.id}  {created}  {job.state:<10}  {_counts(job)}")
    return ExitStatus.DONE


def _show(server: RemoteServer, ids: list[str], options: argparse.Namespace) -> int:
    _tell(server, server.job(ids[0]), as_json=options.json)
    made = [] if options.json else server.deliveries(ids[0])
    for each in made[-1:]:
        again = f", again at {each['next_at']}" if each.get("next_at") else ""
        print(f"webhook: {each['result']} at attempt {each['attempt']}{again}")
    return ExitStatus.DONE


def _cancel(server: RemoteServer, ids: list[str], options: argparse.Namespace) -> int:
    _tell(server, server.cancel(ids[0]), as_json=options.json)
    return ExitStatus.DONE


def _retry(server: RemoteServer, ids: list[str], options: argparse.Namespace) -> int:
    _tell(server, server.retry(ids[0]), as_json=options.json)
    return ExitStatus.DONE


def _purge(server: RemoteServer, ids: list[str], options: argparse.Namespace) -> int:
    """Purge the jobs that are named or meant; return 1 where one is left."""
    older_than = options.older_than
    if bool(ids) == (options.ended or older_than is not None):
        raise Misuse("name jobs, or which are meant: --ended, --older-than 2d")
    age = timedelta() if older_than is None else _age(older_than)
    purged: list[str] = []
    kept: dict[str, str] = {}
    # What is listed may not be all, but what is purged is listed no more.
    left = ids or _meant(server, age, set())
    while left:
        for id in left:
            try:
                server.purge(id)
            except RemoteError as error:
                kept[id] = str(error)
                say(f"{id}: {error}")
                continue
            purged.append(id)
            if not options.json:
                print(f"purged: {id}")
        left = [] if ids else _meant(server, age, {*purged, *kept})
    if options.json:
        print(json.dumps({"purged": purged, "kept": kept}, indent=2))
    return ExitStatus.FAILED if kept else ExitStatus.DONE


def _age(text: str) -> timedelta:
    found = _AGE.fullmatch(text)
    if found is None:
        raise Misuse(f"--older-than {text}: is no time like 90s, 15m, 12h or 2d")
    return timedelta(**{_UNITS[found[2]]: int(found[1])})


def _meant(server: RemoteServer, age: timedelta, tried: set[str]) -> list[str]:
    """Return which of the jobs that are listed ended so long ago, and were not tried.

    What a retry takes over is left for as long as that goes on.
    """
    listed = list(server.jobs())
    before = {job.id: job.retry_of for job in listed}
    needed: set[str] = set()
    for job in listed:
        id = None if job.ended else job.retry_of
        while id is not None and id not in needed:
            needed.add(id)
            id = before.get(id)
    latest = datetime.now(UTC) - age
    ended = [job for job in listed if job.ended and job.id not in needed | tried]
    return [job.id for job in ended if _ended_at(job) <= latest]


def _ended_at(job: RemoteJob) -> datetime:
    try:
        return datetime.fromisoformat(job.document["finished"])
    except (KeyError, TypeError, ValueError) as error:
        raise RemoteError(f"The server does not say when {job.id} ended.") from error


def _wait(server: RemoteServer, ids: list[str], options: argparse.Namespace) -> int:
    target = options.output
    if target is not None:
        check_target(target)
        if target == "-" and options.json:
            raise Misuse("-o -: and --json would both go to standard output")
    job = server.job(ids[0])
    if target is not None and job.form != "zip":
        where = server.url(job.archive)
        raise Misuse(f"-o {target}: is a ZIP, and the job makes another form: {where}")
    job = _ended(server, job)
    if options.json:
        print(json.dumps(job.document, indent=2))
    failed = job.failed or job.state != "succeeded"
    if target is not None and job.state == "succeeded":
        progress = Progress()
        fetch_archive(server, job.archive, job.id, job.total, target, progress)
        progress.sum_up(target)
    elif not options.json:
        for line in _lines(server, job):
            say(line)
    return ExitStatus.FAILED if failed else ExitStatus.DONE


def _ended(server: RemoteServer, job: RemoteJob) -> RemoteJob:
    """Watch a job, behind a bar, until it has ended."""
    progress = Progress()
    with progress.shown(job.total, job.done + job.failed):
        for news in server.watch(job.id):
            job = news
            progress.reach(job.done + job.failed)
    return job


def _tell(server: RemoteServer, job: RemoteJob, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(job.document, indent=2))
    else:
        print("\n".join(_lines(server, job)))


def _lines(server: RemoteServer, job: RemoteJob) -> Iterator[str]:
    """Say a job, a fact a line."""
    about = job.document
    yield f"job: {server.url(job.path)}"
    yield f"state: {job.state}"
    yield f"images: {_counts(job)}"
    for name in _MOMENTS:
        if about.get(name):
            yield f"{name}: {about[name]}"
    if about.get("error"):
        yield f"error: {about['error'].get('detail')}"
    if job.state == "succeeded":
        yield f"archive: {server.url(job.archive)}"
    if job.failed:
        yield f"errors: {server.url(about['links']['errors'])}"


def _counts(job: RemoteJob) -> str:
    failed = f", {job.failed:,} failed" if job.failed else ""
    return f"{job.done:,} of {job.total:,}{failed}"
