"""Chromium as one warm process: a page goes in, its picture comes out.

It is spoken to in its DevTools protocol over a socket of our own, so nothing listens on
a port. A keeper ends it with this process, however that ends.
"""

import base64
import json
import os
import pwd
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any
from xml.sax.saxutils import escape

import uharfbuzz as hb  # type: ignore[import-untyped]

from app.renderer.engine.fonts import FontFile, faces_of

# Seconds that the program may take to get ready, beside the time of a drawing; and to
# end.
START_S, _END_S = 30.0, 5.0
# Between two looks at what the processes have in memory.
_LOOK_S = 0.05
_BLOCK = 1 << 20
_MOST_SAID = 2000
# Pages after which the browser is begun anew: what it leaks is bounded.
_MOST_PAGES = 500
# A name that nobody can register (RFC 6761): what it answers is said here.
_ADDRESS = "http://page.invalid/"
_ICON = f"{_ADDRESS}favicon.ico"
_KEEPER = Path(__file__).with_name("keeper.py")
_FLAGS = (
    *("--headless", "--remote-debugging-pipe", "--no-first-run", "--disable-gpu"),
    *("--disable-background-networking", "--disable-component-update"),
    *("--disable-default-apps", "--disable-extensions", "--disable-sync"),
    # Its collector of crashes would outlive it, in a session of its own.
    "--disable-breakpad",
    *("--disable-domain-reliability", "--mute-audio", "--lang=en-US"),
    # A container's 64 MB of shared memory are less than a large page takes.
    *("--disable-dev-shm-usage", "--hide-scrollbars"),
    # Equal pixels on every screen, and letters as far apart as they measure.
    *("--force-color-profile=srgb", "--font-render-hinting=none"),
    *("--disable-lcd-text", "--blink-settings=imageAnimationPolicy=2"),
    # Frames in the process of their page, where what they ask for is seen.
    "--disable-site-isolation-trials",
    "--disable-features=IsolateOrigins,site-per-process,IsolateSandboxedIframes",
    # Whatever asks for a name or an address gets none.
    *("--host-resolver-rules=MAP * ~NOTFOUND", "--proxy-server=http://0.0.0.0:9"),
    *("--proxy-bypass-list=<-loopback>", "--dns-prefetch-disable"),
    "--force-webrtc-ip-handling-policy=disable_non_proxied_udp",
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
# Waits for fonts, and stills what moves: at its end, or at its beginning where it has
# none. By the prototypes, as elements may be named like members of a document.
_SETTLE = """(async () => {
  const get = (name, of) =>
    Object.getOwnPropertyDescriptor(Document.prototype, name).get.call(of);
  const all = (of, what) => Document.prototype.querySelectorAll.call(of, what);
  const settle = async (of) => {
    await get("fonts", of).ready;
    for (const each of Document.prototype.getAnimations.call(of)) {
      try { each.finish(); } catch { each.cancel(); }
    }
    for (const each of all(of, "svg")) {
      each.pauseAnimations();
      each.setCurrentTime(0);
    }
    for (const each of all(of, "iframe")) {
      if (each.contentDocument) await settle(each.contentDocument);
    }
  };
  await settle(document);
})()"""
_SCRIPTS = """[...Document.prototype.querySelectorAll.call(document, "script")]
  .some(each => /^$|javascript|^module$/i.test(each.type))"""
_NOT_ALLOWED = "Not allowed to load local resource: "


class BrowserExpired(Exception):
    """The page was not drawn at the deadline; the browser was killed."""


class BrowserDied(Exception):
    """The browser ended, or was ended, in the middle of a page."""


class BrowserNotReady(Exception):
    """The browser does not start."""


class BrowserRefuses(Exception):
    """The browser does not do what it was asked for."""


class DevTools:
    """One browser's processes, and the protocol in which they are spoken to."""

    def __init__(
        self,
        command: Sequence[str],
        folder: Path,
        memory_bytes: int,
        *,
        own_network: bool,
    ) -> None:
        self.folder = folder
        self._memory_bytes = memory_bytes
        self._number = 0
        self._unread = bytearray()
        self._searched = 0
        self._events: deque[dict[str, Any]] = deque()
        user = _NOBODY if os.geteuid() == 0 else ""
        if user:
            owner = pwd.getpwnam(user)
            os.chown(folder, owner.pw_uid, owner.pw_gid)
        # Closed by `close`.
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115
        self._talk, theirs = socket.socketpair()
        with closing(theirs):
            told = (str(theirs.fileno()), str(folder), user)
            own = "yes" if own_network else "no"
            self._keeper = subprocess.Popen(
                [sys.executable, "-IS", str(_KEEPER), *told, own, *command],
                stdin=subprocess.DEVNULL,
                stdout=self._errors,
                stderr=self._errors,
                pass_fds=[theirs.fileno()],
                # Nothing of the server's: neither its keys nor its proxies.
                env={
                    "PATH": os.environ.get("PATH", os.defpath),
                    "HOME": str(folder),
                    "TMPDIR": str(folder),
                    "FONTCONFIG_FILE": str(folder / "fonts.conf"),
                    "LANG": "C.UTF-8",
                    "TZ": "UTC",
                },
                start_new_session=True,
            )

    def ask(
        self,
        method: str,
        parameters: Mapping[str, Any],
        session: str | None,
        deadline: float,
        hear: Callable[[dict[str, Any]], None] | None = None,
    ) -> dict[str, Any]:
        """Return what a method answers; events wait for `next_event`, or are heard.

        Raises BrowserRefuses, BrowserExpired at the deadline, and BrowserDied.
        """
        number = self.tell(method, parameters, session)
        while True:
            message = self._read(deadline)
            if message.get("id") != number:
                (hear or self._events.append)(message)
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
            self._talk.settimeout(START_S)
            self._talk.sendall(json.dumps(message).encode() + b"\0")
        except OSError as error:
            raise BrowserDied from error
        return self._number

    def next_event(self, deadline: float) -> dict[str, Any]:
        """Return the next event; raise BrowserExpired and BrowserDied."""
        return self._events.popleft() if self._events else self._read(deadline)

    def forget_events(self) -> None:
        """Drop the events of a page that is gone."""
        self._events.clear()

    def _read(self, deadline: float) -> dict[str, Any]:
        while (end := self._unread.find(b"\0", self._searched)) < 0:
            self._searched = len(self._unread)
            left = deadline - time.monotonic()
            if left <= 0:
                raise BrowserExpired
            self._talk.settimeout(min(left, _LOOK_S))
            try:
                block = self._talk.recv(_BLOCK)
            except TimeoutError:
                self._look()
                continue
            except OSError as error:
                raise BrowserDied from error
            if not block:
                raise BrowserDied
            self._unread += block
        message: dict[str, Any] = json.loads(self._unread[:end])
        del self._unread[: end + 1]
        self._searched = 0
        return message

    def _look(self) -> None:
        if _memory_of(self._keeper.pid) > self._memory_bytes:
            raise BrowserDied

    def errors(self) -> str:
        """Return the last that the browser wrote of what is wrong."""
        size = self._errors.seek(0, os.SEEK_END)
        self._errors.seek(max(0, size - _MOST_SAID))
        return self._errors.read().decode(errors="replace").strip()

    def close(self) -> None:
        """End the browser with all of its processes, and remove its folder."""
        self._talk.close()
        try:
            self._keeper.wait(_END_S)
        except subprocess.TimeoutExpired:
            # The kernel kills the browser when its keeper ends.
            self._keeper.kill()
            self._keeper.wait()
        self._errors.close()
        # Its keeper has done so, if nobody has killed it.
        shutil.rmtree(self.folder, ignore_errors=True)


@dataclass(slots=True)
class BrowserPage:
    """A document that the browser shows; `refused` are the addresses it asked for."""

    _tools: DevTools
    _session: str
    _size: tuple[int, int]
    _deadline: float
    refused: dict[str, None] = field(default_factory=dict)
    _body: str | None = None
    _lang: str | None = None
    _loaded: bool = False

    def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Return what a method answers; raises as `DevTools.ask`."""
        return self._tools.ask(
            method, parameters, self._session, self._deadline, self._hear
        )

    def load(self, document: str, lang: str | None) -> None:
        """Show a document, and wait until its images and fonts are there."""
        for domain in ("Page", "Log"):
            self._tools.tell(f"{domain}.enable", {}, self._session)
        self.ask("Fetch.enable", patterns=[{"urlPattern": "*"}])
        self._body, self._lang = document, lang
        self._tools.tell("Page.navigate", {"url": _ADDRESS}, self._session)
        while not self._loaded:
            self._hear(self._tools.next_event(self._deadline))
        self.evaluate(_SETTLE)

    def _hear(self, event: dict[str, Any]) -> None:
        """Answer what the page asks for, whenever it does: it would wait for that."""
        method, told = event.get("method"), event.get("params", {})
        if event.get("sessionId") != self._session:
            return
        if method == "Fetch.requestPaused":
            if self._body is not None:
                # The first is for the document; no other gets anything.
                body, self._body = self._body, None
                self._fulfil(told["requestId"], body, self._lang)
            else:
                self._refuse(told["requestId"], told["request"]["url"])
        elif method == "Log.entryAdded":
            said = told["entry"]["text"]
            if said.startswith(_NOT_ALLOWED):
                self.refused[said.removeprefix(_NOT_ALLOWED)] = None
        elif method == "Inspector.targetCrashed":
            raise BrowserDied
        elif method == "Page.loadEventFired":
            self._loaded = True

    def _fulfil(self, request: str, document: str, lang: str | None) -> None:
        headers = {"content-type": "text/html; charset=utf-8"}
        if lang:
            headers["content-language"] = lang
        answer = {
            "requestId": request,
            "responseCode": 200,
            "responseHeaders": [
                {"name": name, "value": value} for name, value in headers.items()
            ],
            "body": base64.b64encode(document.encode("utf-8", "replace")).decode(),
        }
        self._tools.tell("Fetch.fulfillRequest", answer, self._session)

    def _refuse(self, request: str, url: str) -> None:
        # It asks for its own icon, which no picture shows.
        if url != _ICON:
            self.refused[url.removeprefix(_ADDRESS)] = None
        # An aborted navigation leaves page or frame where it is.
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

    def has_scripts(self) -> bool:
        """Tell whether the document has scripts, which do not run."""
        return bool(self.evaluate(_SCRIPTS))

    def shoot(self) -> bytes:
        """Return the picture as PNG."""
        # Without it the last of a row that is no whole pixel is of the row's beginning.
        clip = {"x": 0, "y": 0, "scale": 1}
        clip |= {"width": self._size[0], "height": self._size[1]}
        shot = self.ask(
            "Page.captureScreenshot", format="png", optimizeForSpeed=True, clip=clip
        )
        return base64.b64decode(shot["data"])


@dataclass(slots=True)
class Chromium:
    """One browser, begun at its first page, and again after it was ended.

    Used by one thread at a time. Started by root, it runs as `nobody`. `memory_bytes`
    bounds what its processes have for themselves; where it is not `sandboxed`, its own
    sandbox is off; without `own_network` its flags alone keep it from the network.
    """

    program: Path
    fonts: Sequence[FontFile]
    memory_bytes: int
    sandboxed: bool = True
    own_network: bool = True
    _tools: DevTools | None = None
    _pages: int = 0

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

        The time counts from when the browser has begun. Raises BrowserExpired at the
        deadline, BrowserDied, BrowserRefuses and BrowserNotReady; the browser is ended
        then.
        """
        tools = self._tools or self._begin()
        tools.forget_events()
        deadline = time.monotonic() + timeout_s
        try:
            context = tools.ask("Target.createBrowserContext", {}, None, deadline)
            named = {"browserContextId": context["browserContextId"]}
            no_files = {"behavior": "deny", **named}
            tools.tell("Browser.setDownloadBehavior", no_files, None)
            blank = {"url": "about:blank", **named}
            target = tools.ask("Target.createTarget", blank, None, deadline)
            flat = {"targetId": target["targetId"], "flatten": True}
            attached = tools.ask("Target.attachToTarget", flat, None, deadline)
            page = BrowserPage(tools, attached["sessionId"], size, deadline)
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
            tools.tell("Target.disposeBrowserContext", named, None)
        except BaseException:
            self.close()
            raise
        self._pages += 1
        if self._pages >= _MOST_PAGES:
            self.close()

    def _begin(self) -> DevTools:
        folder = Path(tempfile.mkdtemp(prefix="mimeo-browser-"))
        _lay_out_fonts(folder, self.fonts, copy=os.geteuid() == 0)
        own = () if self.sandboxed else ("--no-sandbox",)
        command = (str(self.program), *_FLAGS, *own, f"--user-data-dir={folder}/data")
        tools = DevTools(
            command, folder, self.memory_bytes, own_network=self.own_network
        )
        try:
            tools.ask("Browser.getVersion", {}, None, time.monotonic() + START_S)
        except (BrowserExpired, BrowserDied, BrowserRefuses) as error:
            said = tools.errors()
            tools.close()
            raise BrowserNotReady(said or "it ended without a word") from error
        self._tools, self._pages = tools, 0
        return tools

    @property
    def folder(self) -> Path | None:
        """Where a browser that runs keeps its files."""
        return None if self._tools is None else self._tools.folder

    def close(self) -> None:
        """End the browser; a later page begins another."""
        tools, self._tools = self._tools, None
        if tools is not None:
            tools.close()


def _memory_of(session: int) -> int:
    """Return what the processes of a session have for themselves in memory."""
    total = 0
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, ValueError):
            if os.getsid(int(process.name)) == session:
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
