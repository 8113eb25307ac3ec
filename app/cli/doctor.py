"""`mimeo doctor`: what is wrong on this machine, and how to mend it."""

import os
import re
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal, NamedTuple

from PIL import features

from app.bootstrap import open_catalogue
from app.cli import listener
from app.config import BadSetting, Settings, allocator
from app.image_request import from_strings
from app.pipeline.pipeline import Pipeline
from app.renderer.catalogue import Catalogue
from app.renderer.engine.fonts import BrokenFont, load_fonts
from app.renderer.errors import RendererError
from app.store import NoStore, StoreError, open_store

State = Literal["ok", "warn", "fail"]
_MIB = 1 << 20
# A worker held 252 MiB after 1,000 cards in 8 threads; beside it stands the process
# for callers' HTML.
_WORKER_BYTES = 400 * _MIB
_PINS = Path(__file__).resolve().parents[2] / "requirements.txt"

# Scripts that the packaged fonts draw, and some that want a font of the operator's.
SCRIPTS: Mapping[str, str] = {
    "Latin": "Žižkov ñandú",
    "Greek": "Ελληνικά",
    "Cyrillic": "Кириллица",
    "Arabic": "العربية",
    "Hebrew": "עברית",
    "Devanagari": "देवनागरी",
}
MORE_SCRIPTS: Mapping[str, tuple[str, str]] = {
    "Chinese": ("汉字漢字", "fonts-noto-cjk"),
    "Japanese": ("ひらがなカタカナ", "fonts-noto-cjk"),
    "Korean": ("한국어", "fonts-noto-cjk"),
    "Thai": ("ภาษาไทย", "fonts-noto-core"),
    "emoji": ("😀🎉", "fonts-noto-color-emoji"),
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


def examine(environ: Mapping[str, str]) -> int:
    """Print every finding; return 1 where one of them is a failure, else 0."""
    failed = False
    for finding in findings(environ):
        print(finding, flush=True)
        failed = failed or finding.state == "fail"
    return int(failed)


def findings(environ: Mapping[str, str]) -> Iterator[Finding]:
    """Look at everything; a bad setting is reported, and the defaults used instead."""
    try:
        settings = Settings.from_env(environ)
        yield Finding("ok", "settings", "the environment is understood")
    except BadSetting as error:
        settings = Settings()
        mend = f"correct or unset {error.variable}; the rest is checked without it"
        yield Finding("fail", "settings", str(error), mend)
    yield from _environment(settings)
    yield from _codecs()
    yield from _fonts(settings)
    yield from _port(settings, fixed=bool(environ.get("PORT")))
    yield from _store(settings)
    yield from _drawing(settings, environ)


def _judge(
    subject: str, fine: object, detail: str, mend: str, state: State = "warn"
) -> Finding:
    """Return what was found; where it is not fine, its state and how to mend it."""
    if fine:
        return Finding("ok", subject, detail)
    return Finding(state, subject, detail, mend)


def _environment(settings: Settings) -> Iterator[Finding]:
    """Look at what Mimeo runs on, and what was installed."""
    python = f"{'.'.join(map(str, sys.version_info[:3]))}, {sys.executable}"
    tested = (3, 11) <= sys.version_info < (3, 15)
    yield _judge("python", tested, python, "Mimeo is tested on Python 3.11 to 3.14")
    pip = installed("pip")
    mend = "remove .venv and run bin/serve; it says what is missing"
    yield _judge("pip", pip, pip or "is not in this environment", mend)
    pins = dict(_pins())
    others = ", ".join(
        f"{name} {installed(name) or 'missing'} instead of {pin}"
        for name, pin in pins.items()
        if installed(name) != pin
    )
    if pins:
        detail = f"not as pinned: {others}" if others else f"{len(pins)}, all as pinned"
        mend = f"{sys.executable} -m pip install -r requirements.txt"
        yield _judge("packages", not others, detail, mend)
    memory, cores = memory_bytes(), os.cpu_count() or 1
    detail = f"{cores} cores, {memory // _MIB:,} MiB, {settings.workers} workers"
    few = max(1, memory // _WORKER_BYTES)
    enough = memory >= settings.workers * _WORKER_BYTES
    yield _judge("machine", enough, detail, f"set WEB_CONCURRENCY={few}")
    tuned = allocator.tune()
    detail = (
        "glibc keeps the memory of pictures"
        if tuned
        else "the C library is not glibc: drawing takes up to twice the time"
    )
    yield _judge("allocator", tuned, detail, "run on a glibc Linux for speed")


def _pins() -> Iterator[tuple[str, str]]:
    """Read requirements.txt, which a checkout has and an installation has not."""
    lines = _PINS.read_text().splitlines() if _PINS.is_file() else []
    for line in lines:
        name, equals, pin = line.partition("==")
        if equals:
            yield name, pin


def installed(name: str) -> str | None:
    """Return the version of an installed package without leading zeros, or None.

    PEP 440 takes 2.012 for 2.12; font packages write the one, pip the other.
    """
    try:
        return re.sub(r"(?<!\d)0+(?=\d)", "", version(name))
    except PackageNotFoundError:
        return None


def memory_bytes() -> int:
    """Return the memory this process may use: the machine's, or its cgroup's."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for limit in ("memory.max", "memory/memory.limit_in_bytes"):
        file = Path("/sys/fs/cgroup", limit)
        text = file.read_text().strip() if file.is_file() else ""
        if text.isdigit():
            return min(total, int(text))
    return total


def _codecs() -> Iterator[Finding]:
    missing = [name for name in CODECS if not features.check(name)]
    for name in missing:
        detail = f"no {name}, so no {CODECS[name]}"
        yield Finding("fail", "codecs", detail, _reinstall("pillow"))
    if not missing:
        detail = f"Pillow {version('pillow')} has {', '.join(CODECS)}"
        yield Finding("ok", "codecs", detail)
    found = "is there" if features.check("raqm") else "is not there"
    yield Finding("ok", "raqm", f"{found}, not needed: the HTML engine shapes text")


def _reinstall(what: str) -> str:
    options = "--force-reinstall --only-binary :all:"
    return f"{sys.executable} -m pip install {options} {what}"


def _fonts(settings: Settings) -> Iterator[Finding]:
    try:
        fonts = load_fonts(settings.fonts, settings.system_fonts)
    except BrokenFont as error:
        yield Finding("fail", "fonts", str(error), "replace or remove that file")
        return
    lacking = ", ".join(name for name, text in SCRIPTS.items() if fonts.missing(text))
    detail = f"{len(fonts.faces)} files draw {', '.join(SCRIPTS)}"
    detail = f"none for {lacking}" if lacking else detail
    mend = _reinstall("-r requirements.txt")
    yield _judge("fonts", not lacking, detail, mend, "fail")
    for name, (text, package) in MORE_SCRIPTS.items():
        if fonts.missing(text):
            mend = f"apt-get install {package}, or put a font into MIMEO_FONTS"
            yield Finding("warn", "fonts", f"none for {name}", mend)


def _port(settings: Settings, *, fixed: bool) -> Iterator[Finding]:
    place = listener.address(settings.host, settings.port)
    try:
        free = listener.is_free(settings.host, settings.port)
    except OSError as error:
        yield Finding("fail", "port", f"{place}: {error.strerror}", "set HOST and PORT")
        return
    mend = "mimeo serve takes the next"
    if fixed:
        mend = "stop the program that listens there, or set another PORT"
    detail = f"{place} is {'free' if free else 'taken'}"
    yield _judge("port", free, detail, mend, "fail" if fixed else "warn")


def _store(settings: Settings) -> Iterator[Finding]:
    try:
        open_store(settings.store, settings.store_bytes)
    except StoreError as error:
        mend = "make it writable, or set MIMEO_STORE to another folder or memory:"
        yield Finding("fail", "store", str(error), mend)
        return
    if settings.store in ("none", "memory:") or "://" in settings.store:
        yield Finding("ok", "store", settings.store)
        return
    free = shutil.disk_usage(settings.store).free
    detail = f"{settings.store} is writable, {free // _MIB:,} MiB free"
    mend = "make room, or lower MIMEO_STORE_BYTES"
    yield _judge("store", free >= settings.store_bytes, detail, mend)


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
    yield from _templates(catalogue)
    remote = [name for name in catalogue.names() if catalogue.get(name).remote]
    if remote:
        # An example of theirs may cost money.
        yield Finding("ok", "services", f"{', '.join(remote)} (not called)")
    with closing(Pipeline(settings, NoStore())) as pipeline:
        failed = list(_failures(catalogue, settings, pipeline))
    yield from failed
    if not failed:
        drawn = (name for name in catalogue.names() if name not in remote)
        yield Finding("ok", "drawing", ", ".join(drawn))


def _templates(catalogue: Catalogue) -> Iterator[Finding]:
    for error in catalogue.broken().values():
        place = error.file if error.line is None else f"{error.file}, line {error.line}"
        yield Finding("fail", "templates", str(error), f"edit {place}")
    if not catalogue.broken():
        yield Finding("ok", "templates", "none is broken")


def _failures(
    catalogue: Catalogue, settings: Settings, pipeline: Pipeline
) -> Iterator[Finding]:
    for name in catalogue.names():
        renderer = catalogue.get(name)
        if renderer.remote is not None:
            continue
        try:
            pairs = renderer.example.items()
            pipeline.produce(from_strings(renderer, pairs, "png", settings))
        except RendererError as error:
            mend = "if the fault is not in a template of yours, report it"
            yield Finding("fail", "drawing", f"{name}: {error}", mend)
