"""`mimeo jobs`: the jobs of a server, listed, watched, cancelled, brought home."""

import argparse
import json
import re
from collections.abc import Callable, Iterator
from contextlib import closing

from app.cli.client import RemoteError, RemoteJob, RemoteServer
from app.cli.download import check_target, fetch_archive
from app.cli.options import Misuse, read_key
from app.cli.partial_file import DamagedArchive
from app.cli.progress import Progress, say

# Where `mimeo serve` listens unless it is told otherwise.
_URL = "http://127.0.0.1:8000"
_ID = re.compile(r"[0-9a-f]{64}")
_INTERRUPTED = 130
_MOMENTS = ("created", "started", "cancelled", "finished", "expires")

Run = Callable[[RemoteServer, str, argparse.Namespace], int]


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command to the parser of `mimeo`."""
    jobs = commands.add_parser("jobs", help="list, watch, cancel a server's jobs")
    kinds = jobs.add_subparsers(required=True, metavar="WHAT")
    listing = _add(kinds, "list", _list, "list your jobs, the newest first")
    listing.set_defaults(job=None)
    _add(kinds, "show", _show, "say how far a job is, or how it ended")
    wait = _add(kinds, "wait", _wait, "wait until a job has ended")
    wait.add_argument(
        "-o",
        "--output",
        metavar="FILE.zip",
        help="then bring what it made; `-` is standard output",
    )
    _add(kinds, "cancel", _cancel, "want no more of a job")


def _add(
    kinds: "argparse._SubParsersAction[argparse.ArgumentParser]",
    name: str,
    run: Run,
    text: str,
) -> argparse.ArgumentParser:
    parser = kinds.add_parser(name, help=text, description=text.capitalize() + ".")
    if name != "list":
        parser.add_argument("job", metavar="JOB", help="a job's id, or its URL")
    parser.add_argument("--url", help=f"the server, with an id ({_URL})")
    parser.add_argument("--key-file", metavar="FILE", help="a file with your key")
    parser.add_argument("--json", action="store_true", help="as the server says it")
    parser.set_defaults(run=lambda options: _run(run, options))
    return parser


def _run(run: Run, options: argparse.Namespace) -> int:
    """Ask the server, and return the exit status.

    0; 1 for a job that is not there or did not make all images; 130 after Ctrl-C.
    """
    url, id = _place(options.job, options.url)
    key = read_key(options.key_file)
    try:
        with closing(RemoteServer(url, key)) as server:
            return run(server, id, options)
    except KeyboardInterrupt:
        say("interrupted; the server does not stop for that")
        return _INTERRUPTED
    except (RemoteError, DamagedArchive) as error:
        say(str(error))
    except BrokenPipeError:
        raise
    except OSError as error:
        file = f"{error.filename}: " if error.filename else ""
        say(f"{file}{error.strerror or error}; the same command goes on from there")
    return 1


def _place(job: str | None, url: str | None) -> tuple[str, str]:
    """Return the server's URL and the id of a job, which may be within its URL."""
    if job is None:
        return url or _URL, ""
    base, within, id = job.rstrip("/").rpartition("/jobs/")
    if within and url is not None:
        raise Misuse("--url: is in the URL of the job already")
    if not _ID.fullmatch(id):
        raise Misuse(f"{job}: is no job's id (64 digits and letters a to f), nor a URL")
    return base if within else url or _URL, id


def _list(server: RemoteServer, id: str, options: argparse.Namespace) -> int:
    jobs = server.jobs()
    if options.json:
        print(json.dumps([job.document for job in jobs], indent=2))
    else:
        for job in jobs:
            created = job.document.get("created")
            print(f"{job.id}  {created}  {job.state:<10}  {_counts(job)}")
    return 0


def _show(server: RemoteServer, id: str, options: argparse.Namespace) -> int:
    _tell(server, server.job(id), as_json=options.json)
    return 0


def _cancel(server: RemoteServer, id: str, options: argparse.Namespace) -> int:
    _tell(server, server.cancel(id), as_json=options.json)
    return 0


def _wait(server: RemoteServer, id: str, options: argparse.Namespace) -> int:
    target = options.output
    if target is not None:
        check_target(target)
        if target == "-" and options.json:
            raise Misuse("-o -: and --json would both go to standard output")
    job = server.job(id)
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
    return 1 if failed else 0


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
