"""Chromium as one warm process: a page goes in, its picture comes out.

It is spoken to in its DevTools protocol over two pipes, so nothing listens on a port,
and it ends when this process does, which closes them.
"""

import base64
import json
import os
import pwd
import select
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import IO, Any
from xml.sax.saxutils import escape

import uharfbuzz as hb  # type: ignore[import-untyped]

from app.renderer.engine.fonts import FontFile, faces_of

# Seconds that the program may take to get ready, beside the time of a drawing.
START_S = 60.0
# Between two looks at what the processes have in memory.
_LOOK_S = 0.05
_BLOCK = 1 << 16
# A name that nobody can register (RFC 6761): what it answers is said here.
_ADDRESS = "http://page.invalid/"
_FLAGS = (
    *("--headless", "--remote-debugging-pipe", "--no-first-run", "--disable-gpu"),
    *("--disable-background-networking", "--disable-component-update"),
    *("--disable-default-apps", "--disable-extensions", "--disable-sync"),
    *("--disable-breakpad", "--disable-domain-reliability", "--mute-audio"),
    # A container's 64 MB of shared memory are less than a large page takes.
    *("--disable-dev-shm-usage", "--hide-scrollbars"),
    # Equal pixels on every screen, and letters as far apart as they measure.
    *("--force-color-profile=srgb", "--font-render-hinting=none"),
    "--disable-lcd-text",
    # Whatever asks for a name or an address gets none.
    *("--host-resolver-rules=MAP * ~NOTFOUND", "--proxy-server=http://0.0.0.0:9"),
    "--proxy-bypass-list=<-loopback>",
)
# The families for which the browser asks where a page names a generic one or none.
_STANDARD: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys(
            ("sans-serif", "system-ui", "Arial", "Helvetica"), "sans-serif"
        ),
        **dict.fromkeys(("serif", "Times New Roman", "Times"), "serif"),
        **dict.fromkeys(("monospace", "Monospace", "Courier New"), "monospace"),
    }
)
_NOBODY = "nobody"


class BrowserExpired(Exception):
    """The page was not drawn at the deadline; the browser was killed."""


class BrowserDied(Exception):
    """The browser ended, or was ended, in the middle of a page."""


class BrowserNotReady(Exception):
    """The browser does not start."""


class BrowserRefuses(Exception):
    """The browser does not do what it was asked for."""


class DevTools:
    """One browser's process, and the protocol in which it is spoken to."""

    def __init__(self, command: Sequence[str], folder: Path, memory_bytes: int) -> None:
        self.folder = folder
        self._memory_bytes = memory_bytes
        self._number = 0
        self._unread = bytearray()
        self._events: list[dict[str, Any]] = []
        # By its documentation the browser reads from 3 and writes to 4.
        shell = ["sh", "-c", 'exec "$@" 3<&0 4>&1 </dev/null >&2', "sh", *command]
        user = _NOBODY if os.geteuid() == 0 else None
        if user is not None:
            _give(folder, user)
        environ = {"HOME": str(folder), "FONTCONFIG_FILE": str(folder / "fonts.conf")}
        with open(folder / "errors.txt", "wb") as errors:
            self._process = subprocess.Popen(
                shell,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                cwd=folder,
                env={"PATH": os.environ.get("PATH", os.defpath), **environ},
                user=user,
                group=pwd.getpwnam(user).pw_gid if user else None,
                extra_groups=() if user else None,
                start_new_session=True,
            )

    def ask(
        self,
        method: str,
        parameters: Mapping[str, Any],
        session: str | None,
        deadline: float,
    ) -> dict[str, Any]:
        """Return what a method answers; its events wait for `next_event`.

        Raises BrowserRefuses, BrowserExpired at the deadline, and BrowserDied.
        """
        number = self.tell(method, parameters, session)
        while True:
            message = self._read(deadline)
            if message.get("id") != number:
                self._events.append(message)
            elif "error" in message:
                raise BrowserRefuses(f"{method}: {message['error'].get('message')}")
            else:
                result: dict[str, Any] = message["result"]
                return result

    def tell(
        self, method: str, parameters: Mapping[str, Any], session: str | None
    ) -> int:
        """Send a method, and return its number; nobody waits for an answer."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": dict(parameters)}
        if session is not None:
            message["sessionId"] = session
        try:
            _pipe(self._process.stdin).write(json.dumps(message).encode() + b"\0")
            _pipe(self._process.stdin).flush()
        except OSError as error:
            raise BrowserDied from error
        return self._number

    def next_event(self, deadline: float) -> dict[str, Any]:
        """Return the next event; raise BrowserExpired and BrowserDied."""
        return self._events.pop(0) if self._events else self._read(deadline)

    def _read(self, deadline: float) -> dict[str, Any]:
        of = _pipe(self._process.stdout).fileno()
        while (end := self._unread.find(b"\0")) < 0:
            left = deadline - time.monotonic()
            if left <= 0:
                raise BrowserExpired
            if not select.select([of], [], [], min(left, _LOOK_S))[0]:
                self._look()
                continue
            block = os.read(of, _BLOCK)
            if not block:
                raise BrowserDied
            self._unread += block
        message: dict[str, Any] = json.loads(self._unread[:end])
        del self._unread[: end + 1]
        return message

    def _look(self) -> None:
        if _memory_of(self._process.pid) > self._memory_bytes:
            raise BrowserDied

    def errors(self) -> str:
        """Return the last that the browser wrote of what is wrong."""
        return (self.folder / "errors.txt").read_text(errors="replace")[-500:].strip()

    def close(self) -> None:
        """End the browser with all of its processes, and remove its folder."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        for pipe in (self._process.stdin, self._process.stdout):
            with suppress(OSError):
                _pipe(pipe).close()
        self._process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


@dataclass(slots=True)
class BrowserPage:
    """A document that the browser shows."""

    _tools: DevTools
    _session: str
    _deadline: float
    refused: dict[str, None] = field(default_factory=dict)

    def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Return what a method answers; raises as `DevTools.ask`."""
        return self._tools.ask(method, parameters, self._session, self._deadline)

    def load(self, document: str, lang: str | None) -> None:
        """Show a document, and wait until its images are there."""
        self.ask("Page.enable")
        self.ask("Fetch.enable", patterns=[{"urlPattern": "*"}])
        navigation = {"url": _ADDRESS}
        self._tools.tell("Page.navigate", navigation, self._session)
        while True:
            event = self._tools.next_event(self._deadline)
            method = event.get("method")
            if method == "Fetch.requestPaused":
                self._answer(event["params"], document, lang)
            if method == "Page.loadEventFired":
                break
        self.evaluate("document.fonts.ready.then(() => 0)")

    def _answer(
        self, paused: Mapping[str, Any], document: str, lang: str | None
    ) -> None:
        url, request = paused["request"]["url"], paused["requestId"]
        if url == _ADDRESS and paused["resourceType"] == "Document":
            headers = {"content-type": "text/html; charset=utf-8"}
            if lang:
                headers["content-language"] = lang
            answer = {
                "requestId": request,
                "responseCode": 200,
                "responseHeaders": [
                    {"name": name, "value": value} for name, value in headers.items()
                ],
                "body": base64.b64encode(document.encode()).decode(),
            }
            self._tools.tell("Fetch.fulfillRequest", answer, self._session)
            return
        self.refused[url] = None
        # An aborted navigation leaves the page where it is.
        fault = {"requestId": request, "errorReason": "Aborted"}
        self._tools.tell("Fetch.failRequest", fault, self._session)

    def evaluate(self, expression: str) -> Any:
        """Return what an expression of ours yields, beside the page's own scripts."""
        answer = self.ask(
            "Runtime.evaluate",
            expression=expression,
            awaitPromise=True,
            returnByValue=True,
        )
        if "exceptionDetails" in answer:
            raise BrowserRefuses(str(answer["exceptionDetails"].get("exception")))
        return answer["result"].get("value")

    def shoot(self) -> bytes:
        """Return the picture as PNG."""
        shot = self.ask("Page.captureScreenshot", format="png", optimizeForSpeed=True)
        return base64.b64decode(shot["data"])


@dataclass(slots=True)
class Chromium:
    """One browser, begun at its first page, and again after it was ended.

    Used by one thread at a time. Started by root, it runs as `nobody`. `memory_bytes`
    bounds what its processes have for themselves; where it is not `sandboxed`, its own
    sandbox is off.
    """

    program: Path
    fonts: Sequence[FontFile]
    memory_bytes: int
    sandboxed: bool = True
    _tools: DevTools | None = None

    @contextmanager
    def page(
        self,
        document: str,
        size: tuple[int, int],
        scale: float,
        timeout_s: float,
        lang: str | None = None,
    ) -> Iterator[BrowserPage]:
        """Show a document of `size` CSS pixels; scripts do not run, nothing is fetched.

        Raises BrowserExpired at the deadline, BrowserDied and BrowserNotReady; the
        browser is ended then.
        """
        tools = self._tools or self._begin()
        deadline = time.monotonic() + timeout_s
        try:
            context = tools.ask("Target.createBrowserContext", {}, None, deadline)
            named = {"browserContextId": context["browserContextId"]}
            blank = {"url": "about:blank", **named}
            target = tools.ask("Target.createTarget", blank, None, deadline)
            flat = {"targetId": target["targetId"], "flatten": True}
            attached = tools.ask("Target.attachToTarget", flat, None, deadline)
            page = BrowserPage(tools, attached["sessionId"], deadline)
            page.ask("Emulation.setScriptExecutionDisabled", value=True)
            page.ask(
                "Emulation.setDeviceMetricsOverride",
                width=size[0],
                height=size[1],
                deviceScaleFactor=scale,
                mobile=False,
            )
            clear = {"r": 0, "g": 0, "b": 0, "a": 0}
            page.ask("Emulation.setDefaultBackgroundColorOverride", color=clear)
            page.load(document, lang)
            yield page
            tools.ask("Target.disposeBrowserContext", named, None, deadline)
        except BaseException:
            self.close()
            raise

    def _begin(self) -> DevTools:
        folder = Path(tempfile.mkdtemp(prefix="mimeo-browser-"))
        _lay_out_fonts(folder, self.fonts, copy=os.geteuid() == 0)
        own = () if self.sandboxed else ("--no-sandbox",)
        command = (str(self.program), *_FLAGS, *own, f"--user-data-dir={folder}/data")
        tools = DevTools(command, folder, self.memory_bytes)
        try:
            tools.ask("Browser.getVersion", {}, None, time.monotonic() + START_S)
        except (BrowserExpired, BrowserDied) as error:
            said = tools.errors()
            tools.close()
            raise BrowserNotReady(said or "it ended without a word") from error
        self._tools = tools
        return tools

    def close(self) -> None:
        """End the browser; a later page begins another."""
        tools, self._tools = self._tools, None
        if tools is not None:
            tools.close()


def _pipe(of: "IO[bytes] | None") -> "IO[bytes]":
    assert of is not None
    return of


def _give(folder: Path, user: str) -> None:
    """Make a user the owner of a folder."""
    owner = pwd.getpwnam(user)
    os.chown(folder, owner.pw_uid, owner.pw_gid)


def _memory_of(group: int) -> int:
    """Return what the processes of a group have for themselves in memory."""
    total = 0
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, ValueError):
            if os.getpgid(int(process.name)) == group:
                _, resident, shared, *_ = (process / "statm").read_text().split()
                total += int(resident) - int(shared)
    return total * os.sysconf("SC_PAGE_SIZE")


def _lay_out_fonts(folder: Path, files: Sequence[FontFile], *, copy: bool) -> None:
    """Put fonts into a folder, with a configuration that knows no others.

    `copy` is for a reader who may not reach the files.
    """
    fonts = folder / "fonts"
    fonts.mkdir()
    generics: dict[str, str] = {}
    for number, file in enumerate(files):
        place = fonts / f"{number}{file.path.suffix}"
        if copy:
            shutil.copyfile(file.path, place)
        else:
            place.symlink_to(file.path)
        if file.generic:
            name = _family_of(next(faces_of(file.path)))
            generics.setdefault(file.generic, name)
    rules = "".join(
        f'<match target="pattern"><test name="family"><string>{asked}</string></test>'
        '<edit name="family" mode="assign_replace" binding="strong">'
        f"<string>{escape(generics[generic])}</string></edit></match>"
        for asked, generic in _STANDARD.items()
        if generic in generics
    )
    (folder / "fonts.conf").write_text(
        f"<fontconfig><dir>{escape(str(fonts))}</dir>"
        f"<cachedir>{escape(str(folder))}/cache</cachedir>{rules}</fontconfig>"
    )


def _family_of(face: hb.Face) -> str:
    kinds = (
        hb.OTNameIdPredefined.TYPOGRAPHIC_FAMILY,
        hb.OTNameIdPredefined.FONT_FAMILY,
    )
    return next(filter(None, (face.get_name(kind) for kind in kinds)), "")
