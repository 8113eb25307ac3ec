"""The products that Mimeo is measured against: versions, and whether they are here."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from benchmarks import machine

# Where a part comes from: how its version is found, and how it is installed.
_SOURCES: Mapping[str, tuple[Callable[[str], str | None], str]] = MappingProxyType(
    {
        "python": (
            machine.python_version,
            "pip install -r benchmarks/requirements.txt",
        ),
        "node": (machine.node_version, "npm ci --prefix benchmarks/node"),
        "program": (machine.program_version, "apt-get install chromium"),
    }
)


@dataclass(frozen=True, slots=True)
class Product:
    """A contender's name, and its parts as (source, package)."""

    name: str
    parts: tuple[tuple[str, str], ...]

    def versions(self) -> dict[str, str | None]:
        """Return each part's version, None where it is not installed."""
        return {part: _SOURCES[source][0](part) for source, part in self.parts}

    def missing(self) -> str | None:
        """Say what is not installed and how it is, or nothing."""
        absent = [p for p in self.parts if _SOURCES[p[0]][0](p[1]) is None]
        if not absent:
            return None
        names = ", ".join(part for _, part in absent)
        return f"not installed: {names} ({_SOURCES[absent[0][0]][1]})"


def _product(name: str, **parts: str) -> Product:
    """Return a product; each source has its parts, parted by spaces."""
    listed = ((kind, part) for kind, text in parts.items() for part in text.split())
    return Product(name, tuple(listed))


SATORI = _product("satori + resvg-js", node="satori @resvg/resvg-js")
OG = _product("@vercel/og", node="@vercel/og")
TAKUMI = _product("@takumi-rs/core", node="@takumi-rs/core @takumi-rs/helpers")
BROWSER = _product(
    "Playwright, warm Chromium", node="playwright-core", program="chromium"
)
PILLOW = _product("Flask + Pillow by hand", python="pillow flask")
WEASYPRINT = _product("WeasyPrint + pypdfium2", python="weasyprint pypdfium2")
TYPST = _product("typst", python="typst")
FASTAPI = _product("FastAPI + Pillow", python="fastapi uvicorn uvloop httptools")
FLASK = _product("bare Flask", python="flask gunicorn")
QRCODE = _product("Flask + qrcode", python="qrcode")
SEGNO = _product("Flask + segno", python="segno")
SCRIPT = _product("script: threads, Pillow, zipfile", python="pillow")
ZIPSTREAM = _product("Flask + zipstream-ng", python="zipstream-ng")
ALL = (
    *(SATORI, OG, TAKUMI, BROWSER, PILLOW, WEASYPRINT, TYPST, FASTAPI, FLASK, QRCODE),
    *(SEGNO, SCRIPT, ZIPSTREAM),
)


def versions() -> dict[str, str | None]:
    """Return the version of every part of every product, None where it is absent."""
    return {part: v for each in ALL for part, v in each.versions().items()}
