"""`mimeo doctor`: what is wrong on this machine, and how to mend it."""

import json
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal, NamedTuple

from PIL import features

from app.access.ledger import LedgerError, open_ledger
from app.access.signed_url import secret_of
from app.bootstrap import open_catalogue, open_keys, open_secrets
from app.cli import listener
from app.cli.exit_status import ExitStatus
from app.config import BadSetting, MemoryBudget, Settings, allocator, budget_of
from app.config.parsers import Rate
from app.image_request import from_strings
from app.pipeline.pipeline import Pipeline
from app.renderer.catalogue import Catalogue
from app.renderer.engine.fonts import BrokenFont, load_fonts
from app.renderer.errors import RendererError
from app.store import NoStore, StoreError, key_for, open_store, sees_all

State = Literal["ok", "warn", "fail"]
_MIB = 1 << 20
# An entry as /health/ready writes it, of a name that no fingerprint has.
_PROBE, _PROBE_BYTES = key_for("doctor"), 4096
_REINSTALL = f"{sys.executable} -m pip install --force-reinstall --only-binary :all:"
_PINS = Path(__file__).resolve().parents[2] / "requirements.txt"

# Scripts that the packaged fonts draw, and what wants a font of the operator's.
SCRIPTS: Mapping[str, str] = {
    "Latin": "Žižkov ñandú",
    "Greek": "Ελληνικά",
    "Cyrillic": "Кириллица",
    "Arabic": "العربية",
    "Hebrew": "עברית",
    "Devanagari": "देवनागरी",
    "Chinese": "汉字漢字ㄅㄆ",
    "Japanese": "ひらがなカタカナ",
    "Korean": "한국어",
    "Thai": "ภาษาไทย",
    "all other scripts of UAX #31, table 5": "Հբগγગಕខລമမଓਅසதతދབაሀ",
    "emoji": "😀🎉",
}
# Pillow's name of a codec, and the formats that need it.
CODECS: Mapping[str, str] = {
    "zlib": "png, pdf and ico",
    "jpg": "jpg",
    "webp": "webp",
    "avif": "avif",
    "libtiff": "tiff",
}


class Finding(NamedTuple):
    """One thing looked at; `mend` says what to do where it is not ok."""

    state: State
    subject: str
    detail: str
    mend: str = ""

    def __str__(self) -> str:
        line = f"{self.state:<5} {self.subject:<10} {self.detail}"
        return f"{line}\n      {'':<10} -> {self.mend}" if self.mend else line


Check = Callable[[Settings, Mapping[str, str]], Iterable[Finding]]


def examine(environ: Mapping[str, str]) -> int:
    """Print every finding; return 1 where one of them is a failure, else 0."""
    return show(findings(environ))


def show(rows: Iterable[Finding], *, as_json: bool = False) -> int:
    """Print findings, as they come or as one JSON list; return 1 for a failure."""
    found = []
    for finding in rows:
        found.append(finding)
        if not as_json:
            print(finding, flush=True)
    if as_json:
        print(json.dumps([each._asdict() for each in found], indent=2))
    failed = any(each.state == "fail" for each in found)
    return ExitStatus.FAILED if failed else ExitStatus.DONE


def release(environ: Mapping[str, str]) -> int:
    """Print a line for each failure, or one that there is none; return 1 or 0.

    For what is asked before a version is put to work: nothing listens there yet, so
    the port is not looked at.
    """
    faults = [row for row in findings(environ, _RELEASE) if row.state == "fail"]
    for fault in faults:
        text = f"mimeo: {fault.subject}: {fault.detail} -> {fault.mend}"
        print(" ".join(text.split()), flush=True)
    if not faults:
        print("mimeo: settings, store, fonts, engine and secrets are fine", flush=True)
    return ExitStatus.FAILED if faults else ExitStatus.DONE


def findings(
    environ: Mapping[str, str], checks: Iterable[Check] | None = None
) -> Iterator[Finding]:
    """Look at everything; a bad setting is reported, and the defaults used instead."""
    try:
        settings = Settings.from_env(environ)
        yield Finding("ok", "settings", "the environment is understood")
    except BadSetting as error:
        settings = Settings()
        mend = f"correct or unset {error.variable}; the rest is checked without it"
        yield Finding("fail", "settings", str(error), mend)
    for check in _CHECKS if checks is None else checks:
        yield from check(settings, environ)


def installed(name: str) -> str | None:
    """Return the version of an installed package without leading zeros, or None.

    PEP 440 takes 2.012 for 2.12; font packages write the one, pip the other.
    """
    try:
        return re.sub(r"(?<!\d)0+(?=\d)", "", version(name))
    except PackageNotFoundError:
        return None


def judge(
    subject: str, fine: object, detail: str, mend: str, state: State = "warn"
) -> Finding:
    """Return what was found; where it is not fine, its state and how to mend it."""
    if fine:
        return Finding("ok", subject, detail)
    return Finding(state, subject, detail, mend)


def _machine(settings: Settings, environ: Mapping[str, str]) -> Iterator[Finding]:
    python = f"{'.'.join(map(str, sys.version_info[:3]))}, {sys.executable}"
    tested = (3, 11) <= sys.version_info < (3, 15)
    yield judge("python", tested, python, "Mimeo is tested on Python 3.11 to 3.14")
    budget, cores = budget_of(settings), os.cpu_count() or 1
    memory = budget.total_bytes // _MIB
    detail = f"{cores} cores, {memory:,} MiB, {settings.workers} workers"
    enough = budget.workers == settings.workers
    mend = f"memory is enough for WEB_CONCURRENCY={budget.workers}"
    yield judge("machine", enough, detail, mend)
    yield _collections(settings, budget)
    tuned = allocator.tune()
    slow = "the C library is not glibc: drawing takes up to twice the time"
    detail = "glibc keeps the memory of pictures" if tuned else slow
    yield judge("allocator", tuned, detail, "run on a glibc Linux for speed")


def _collections(settings: Settings, budget: MemoryBudget) -> Finding:
    """Say what draws collections."""
    if budget.processes:
        drawn = f"{budget.processes} processes draw them"
    elif settings.bulk_processes:
        drawn = "threads of the workers draw them: memory is enough for no process"
    else:
        drawn = "threads of the workers draw them, as MIMEO_BULK_PROCESSES says"
    return Finding("ok", "bulk", drawn)


def _packages(settings: Settings, environ: Mapping[str, str]) -> Iterator[Finding]:
    pip = installed("pip")
    mend = "remove .venv and run bin/serve; it says what is missing"
    yield judge("pip", pip, pip or "is not in this environment", mend)
    # A checkout has the file, an installation has not.
    if not _PINS.is_file():
        return
    rows = (line.partition("==") for line in _PINS.read_text().splitlines())
    pins = {name: pin for name, equals, pin in rows if equals}
    others = ", ".join(
        f"{name} {installed(name) or 'missing'} instead of {pin}"
        for name, pin in pins.items()
        if installed(name) != pin
    )
    detail = f"not as pinned: {others}" if others else f"{len(pins)}, all as pinned"
    mend = f"{sys.executable} -m pip install -r requirements.txt"
    yield judge("packages", not others, detail, mend)


def _codecs(settings: Settings, environ: Mapping[str, str]) -> Iterator[Finding]:
    missing = [name for name in CODECS if not features.check(name)]
    for name in missing:
        mend = f"{_REINSTALL} pillow"
        yield Finding("fail", "codecs", f"no {name}, so no {CODECS[name]}", mend)
    if not missing:
        detail = f"Pillow {version('pillow')} has {', '.join(CODECS)}"
        yield Finding("ok", "codecs", detail)
    found = "is there" if features.check("raqm") else "is not there"
    yield Finding("ok", "raqm", f"{found}, not needed: the HTML engine shapes text")


def _fonts(settings: Settings, environ: Mapping[str, str]) -> Iterator[Finding]:
    try:
        fonts = load_fonts(settings.fonts, settings.system_fonts)
    except BrokenFont as error:
        yield Finding("fail", "fonts", str(error), "replace or remove that file")
        return
    lacking = ", ".join(name for name, text in SCRIPTS.items() if fonts.missing(text))
    detail = f"{len(fonts.faces)} files draw {', '.join(SCRIPTS)}"
    detail = f"none for {lacking}" if lacking else detail
    yield judge(
        "fonts", not lacking, detail, f"{_REINSTALL} -r requirements.txt", "fail"
    )


def _port(settings: Settings, environ: Mapping[str, str]) -> Iterator[Finding]:
    place = listener.address(settings.host, settings.port)
    try:
        free = listener.is_free(settings.host, settings.port)
    except OSError as error:
        yield Finding("fail", "port", f"{place}: {error.strerror}", "set HOST and PORT")
        return
    detail = f"{place} is {'free' if free else 'taken'}"
    if environ.get("PORT"):
        mend = "stop the program that listens there, or set another PORT"
        yield judge("port", free, detail, mend, "fail")
    else:
        yield judge("port", free, detail, "mimeo serve takes the next")


def _store(settings: Settings, environ: Mapping[str, str]) -> Iterator[Finding]:
    try:
        store = open_store(settings.store, settings.store_bytes)
        # A bucket is asked at its first use, and a full disk can be opened as ever.
        store.put(_PROBE, b"x" * _PROBE_BYTES)
        store.get(_PROBE)
    except StoreError as error:
        mend = "make it writable, or set MIMEO_STORE to another folder or memory:"
        yield Finding("fail", "store", str(error), mend)
        return
    if settings.store in ("none", "memory:") or "://" in settings.store:
        yield Finding("ok", "store", settings.store)
        return
    # `open_store` has made the folder: the file system asked is the one in use.
    free = shutil.disk_usage(settings.store).free
    detail = f"{settings.store} is writable, {free // _MIB:,} MiB free"
    mend = "make room, or lower MIMEO_STORE_BYTES"
    yield judge("store", free >= settings.store_bytes, detail, mend)


def _secrets(settings: Settings, environ: Mapping[str, str]) -> Iterator[Finding]:
    """Look at the keys of callers, and at what signs URLs."""
    mend = "make secrets by `mimeo key secret` for MIMEO_URL_KEYS"
    try:
        open_keys(settings)
        store = open_secrets(settings)
        if settings.url_keys or settings.url_key is not None:
            yield Finding("ok", "secrets", "MIMEO_URL_KEYS sign URLs")
            return
        if sees_all(store, settings.workers):
            secret_of(store)
            yield Finding("ok", "secrets", "a secret of the store signs URLs")
            return
    except (BadSetting, StoreError) as error:
        yield Finding("fail", "secrets", str(error), mend)
        return
    detail = "no worker finds another's secret, so no URL is signed"
    yield Finding("warn", "secrets", detail, mend)


def _drawing(settings: Settings, environ: Mapping[str, str]) -> Iterator[Finding]:
    """Draw one example of every kind, as the server would."""
    try:
        try:
            catalogue = open_catalogue(settings, environ)
        except BadSetting as error:
            yield Finding("fail", "services", str(error), "mend what is said above")
            catalogue = Catalogue(settings)
    except (BrokenFont, RendererError) as error:
        yield Finding("fail", "drawing", str(error), "mend what is said above")
        return
    for broken in catalogue.broken().values():
        line = "" if broken.line is None else f", line {broken.line}"
        yield Finding("fail", "templates", str(broken), f"edit {broken.file}{line}")
    if not catalogue.broken():
        yield Finding("ok", "templates", "none is broken")
    renderers = catalogue.renderers()
    remote = ", ".join(each.name for each in renderers if each.remote)
    if remote:
        # An example of theirs may cost money.
        yield Finding("ok", "services", f"{remote} (not called)")
    local = [each for each in renderers if not each.remote]
    failed = False
    with closing(Pipeline(settings, NoStore())) as pipeline:
        for each in local:
            try:
                pairs = each.example.items()
                pipeline.produce(from_strings(each, pairs, "png", settings))
            except RendererError as error:
                failed = True
                mend = "if the fault is not in a template of yours, report it"
                yield Finding("fail", "drawing", f"{each.name}: {error}", mend)
    if not failed:
        yield Finding("ok", "drawing", ", ".join(each.name for each in local))


def _shared(settings: Settings, environ: Mapping[str, str]) -> Iterator[Finding]:
    """Ask the redis in which machines count together, if there is one."""
    if settings.redis_url is None:
        return
    mend = "start it, or correct REDIS_URL: until then each machine counts alone"
    try:
        open_ledger(settings).take("doctor", Rate(1.0, 1), 0.0)
    except BadSetting as error:
        yield Finding("fail", "redis", str(error), "correct or unset REDIS_URL")
    except LedgerError:
        # What it says of the URL may hold the password.
        yield Finding("warn", "redis", "REDIS_URL is not answered", mend)
    else:
        yield Finding("ok", "redis", "it answers")


_RELEASE = (_codecs, _fonts, _store, _secrets, _drawing)
_CHECKS = (
    *(_machine, _packages, _codecs, _fonts, _port, _store, _shared, _secrets),
    _drawing,
)
