"""Gunicorn's threads for requests that have arrived; a poller waits for the others.

In gunicorn's own `gthread` a thread reads the request, for as long as a client takes to
send it, and the main thread waits up to two seconds for a client to close. Here the
main thread does nothing but wait for many connections at once.
"""

import errno
import io
import select
import socket
import ssl
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from selectors import EVENT_READ
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from gunicorn.http import errors as found
from gunicorn.http.unreader import SocketUnreader
from gunicorn.http.wsgi import Response, base_environ
from gunicorn.util import unquote_to_wsgi_str
from gunicorn.workers.gthread import TConn, ThreadWorker

from app.serving.errors import (
    BadHead,
    BodiesWait,
    ForbiddenSender,
    LargeHead,
    LongRequestLine,
    SlowRequest,
    UnknownCoding,
    UnknownExpectation,
)
from app.serving.head import (
    MOST_HEAD,
    end_of,
    is_long_line,
    keeps_open,
    length_of_body,
    told_of,
)
from app.serving.memory_share import MemoryShare, private_bytes
from app.serving.overload import Backlog, KnownTargets, Pairs, Refusals, is_vital
from app.serving.succession import is_awaited, listens

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

# A body of so many bytes is gathered by the poller as its head is.
_MOST_GATHERED = 16 << 10
# A body may come as slowly as this, after a time of grace.
_LEAST_RATE = 1 << 10
# After its last answer a client gets so long, and may send so much, until it closes:
# a connection closed with bytes unread is reset, answer and all (RFC 9112, 9.6).
_LINGER_S = 2.0
_MOST_LINGERING = 64 << 10
# So long a body waits for its turn to be read by a thread, in times of the patience.
_TURN_PATIENCES = 2
# So long a worker waits at a reload for one that listens in its place: half of
# graceful_timeout, the rest is for what has begun.
_SUCCESSION_S = 12.0
# Refusals go out so often, and who was refused is heard again no sooner: clients that
# ask again at once leave the time to those who are served.
_TICK_S = 0.05
# Threads for what watches over the server, and for what needs no drawing while all
# others are taken.
_VITAL, _QUICK = 2, 4
_SWITCH_S = 0.0005
_PASSING = (errno.EAGAIN, errno.EWOULDBLOCK, errno.ECONNABORTED, errno.EINTR)
# There is no descriptor, or no memory, for one more connection: nobody ends by it.
_SCARCE = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
# Seconds until one is accepted again; it waits in the kernel's queue, which the poller
# would call ready each time it looks.
_REST_S = 0.1
# Seconds between two lines of the log about it.
_TELL_S = 10.0


class PolledConnection(TConn):
    """A connection, what of its next request has arrived, and until when it may wait.

    `head_end` is where the head ends, `expected` how many bytes head and body have:
    None until it is known. `turn` says that it is one of the bodies that threads read.
    """

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        # A thread gets it with its request: it needs not look.
        self.data_ready = True
        self.unreader = PatientUnreader(self.sock)
        self.head = b""
        self.turn = False
        # Whether the poller has its socket.
        self.polled = False
        # Whether it holds one of the threads that are counted.
        self.counted = False
        self.refused = False
        self.lingering = False
        self.error: Exception | None = None
        self.renew(b"", 0.0)

    def renew(self, received: bytes, deadline: float) -> None:
        """Begin with the next request, of which `received` is known already."""
        self.received = bytearray(received)
        self.searched = 0
        self.head_end: int | None = None
        self.expected: int | None = None
        # Whether all of the request has arrived, and nothing behind it; and when.
        self.whole = False
        self.arrived: float | None = None
        self.began = 0.0
        self.deadline = deadline

    def init(self) -> None:
        """Hand what has arrived to the parser, in a thread."""
        if not self.initialized:
            super().init()
            parser: Any = self.parser
            parser.unreader = self.unreader
        if self.received:
            self.unreader.unread(bytes(self.received))
            self.received.clear()


class PatientUnreader(SocketUnreader):
    """Reads a body, and gives up where it stands still or comes too slowly."""

    def begin(
        self, patience_s: float, left: int | None, finish: Callable[[], None]
    ) -> None:
        """Wait so long for the `left` bytes of a body; call `finish` once they came."""
        self._patience_s = patience_s
        self._left = left
        self._finish = finish
        self._received = 0
        self._waited_s = 0.0

    def chunk(self, size_hint: int | None = None) -> bytes:
        """Return what has arrived; raise SlowRequest."""
        self._wait()
        data = super().chunk(size_hint)  # type: ignore[call-arg]
        self._received += len(data)
        if self._left is not None and 0 < self._left <= self._received:
            self._finish()
        return data

    def _wait(self) -> None:
        # Only what is waited for counts: the app may take its time between reads.
        rate_s = self._patience_s + self._received / _LEAST_RATE - self._waited_s
        least = [self._patience_s, rate_s]
        # A time that the app has set for the socket holds as well.
        if (own := self.sock.gettimeout()) is not None:
            least.append(own)
        poll = select.poll()
        poll.register(self.sock, select.POLLIN)
        started = time.monotonic()
        if rate_s <= 0 or not poll.poll(min(least) * 1000):
            raise SlowRequest
        self._waited_s += time.monotonic() - started


class PollingWorker(ThreadWorker):
    """A worker whose threads get whole heads, and small bodies with them.

    What comes over TLS, after a PROXY line or as HTTP/2 is read by threads, as
    gunicorn does it. `patience_s` is the time for a head, and for a body that stands
    still; a body that goes on has a second more for each KiB.
    """

    patience_s = 10.0
    # So long a request waits for a thread and for its turn to be drawn.
    queue_timeout_s = 10.0
    # None for one that may take what it wants.
    share: MemoryShare | None = None
    # What gunicorn 27 has beyond the stubs, which are of 26.
    method_queue: Any
    murder_keepalived: Any
    _cap_keepalive: Any
    wsgi: Any

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        # Those that the poller waits for, oldest first.
        self._waiting: dict[PolledConnection, None] = {}
        self._turns = max(self.cfg.threads // 2, 1)
        self._in_line: deque[PolledConnection] = deque()
        self._handled = threading.local()
        self._swept = 0.0
        self._rests_until = 0.0
        self._told_scarce = -_TELL_S
        self._draining = False
        self._known = KnownTargets()
        # Refused, and heard again, at the next tick.
        self._turned_away: list[tuple[PolledConnection, float]] = []
        self._held: list[PolledConnection] = []
        self._ticked = self._told = 0.0
        self._untold = 0
        self._polls = (
            not self.cfg.is_ssl
            and self.cfg.protocol == "http"
            and self.cfg.proxy_protocol == "off"
            and "h2" not in self.cfg.http_protocols
        )

    # The main thread.

    def init_process(self) -> None:
        """Make the threads, in the worker's own process."""
        # Half of the time is for the turn to draw, which a thread waits for.
        self._backlog: Backlog[TConn] = Backlog(
            self.cfg.threads, self.queue_timeout_s / 2
        )
        self._vital = ThreadPoolExecutor(_VITAL, "mimeo-vital")
        self._quick = ThreadPoolExecutor(_QUICK, "mimeo-quick")
        # The thread that polls lets go of the interpreter at each call of the system,
        # and would wait 5 ms, Python's default, each time until it has it back.
        sys.setswitchinterval(_SWITCH_S)
        super().init_process()

    def run(self) -> None:
        """Serve until told to stop and replaced, then finish what has begun."""
        wakes = self.method_queue
        self.poller.register(wakes.fileno(), EVENT_READ, wakes.run_callbacks)
        self.set_accept_enabled(True)
        listens(self.age)
        while self.alive and self.is_parent_alive():
            self._serve_on()
            self._end_outgrown()
        end = time.monotonic() + _SUCCESSION_S
        while is_awaited(self.age) and time.monotonic() < end:
            self._serve_on()
        self._draining = True
        self._stop_listening()
        self._cap_waiting(time.monotonic() + _LINGER_S)
        stop = time.monotonic() + self.cfg.graceful_timeout
        while self.nr_conns > 0 and time.monotonic() < stop:
            self._poll()
        self.murder_keepalived(force=True)
        for pool in (self.tpool, self._vital, self._quick):
            pool.shutdown(wait=False)
        self.poller.close()
        self.method_queue.close()

    def _end_outgrown(self) -> None:
        """End, to be started anew, where this worker holds more than its share."""
        if self.share is None:
            return
        idle = self.nr_conns == len(self._waiting) and not any(
            conn.received for conn in self._waiting
        )
        if self.share.is_outgrown(idle=idle):
            # Not above: prometheus_client is imported where its folder is known.
            from app.observability import metrics

            metrics.count_recycled()
            held, most = private_bytes() >> 20, self.share.most_bytes >> 20
            self.log.warning(
                "Worker %s holds %s MiB, its share is %s: it is replaced",
                *(self.pid, held, most),
            )
            self.alive = False

    def _serve_on(self) -> None:
        self._poll()
        full = self.nr_conns >= self.worker_connections
        rests = time.monotonic() < self._rests_until
        self.set_accept_enabled(not rests and (not full or self._drop_idle()))

    def _poll(self) -> None:
        waits = self._turned_away or self._held
        self.wait_for_and_dispatch_events(timeout=_TICK_S if waits else 1.0)
        self.murder_keepalived()
        self.murder_pending()
        now = time.monotonic()
        if now - self._ticked >= _TICK_S:
            self._ticked = now
            self._tick()
        if now - self._swept >= 0.5:
            self._swept = now
            self.notify()
            self._sweep(now)

    def _stop_listening(self) -> None:
        """Close the listening sockets: who comes now is refused, and turns elsewhere.

        The kernel has answered those in its queue already; they are served.
        """
        self.set_accept_enabled(False)
        for listener in self.sockets:
            listener.setblocking(False)
            while self._take(listener):
                pass
            listener.close()

    def _cap_waiting(self, deadline: float) -> None:
        """Leave idle connections a moment for what their clients may be sending."""
        self._cap_keepalive(deadline)
        for conn in self._waiting:
            if not conn.received:
                conn.deadline = min(conn.deadline, deadline)

    def accept(self, listener: socket.socket) -> None:
        """Accept a connection."""
        self._take(listener)

    def _take(self, listener: socket.socket) -> bool:
        try:
            sock, client = listener.accept()
        except OSError as error:
            if error.errno in _SCARCE:
                self._rest(error)
                return False
            if error.errno not in _PASSING:
                raise
            return error.errno in (errno.ECONNABORTED, errno.EINTR)
        self.nr_conns += 1
        kind = PolledConnection if self._polls else TConn
        conn = kind(self.cfg, sock, client, listener.getsockname())
        if isinstance(conn, PolledConnection):
            conn.deadline = time.monotonic() + self.patience_s
            # Most clients have sent their request by now.
            self._receive(conn, sock)
        else:
            sock.setblocking(True)
            self.enqueue_req(conn)
        return True

    def _rest(self, error: OSError) -> None:
        """Accept nobody for a moment, after one that is idle has made room."""
        now = time.monotonic()
        self._rests_until = now + _REST_S
        self.set_accept_enabled(False)
        self._drop_idle()
        if now - self._told_scarce >= _TELL_S:
            self._told_scarce = now
            self.log.warning(
                "No connection is accepted for a moment, with %d open: %s",
                *(self.nr_conns, error.strerror),
            )

    def _receive(self, conn: PolledConnection, _: socket.socket) -> None:
        """Read what has come; wait for more, or hand the request to a thread."""
        if conn.expected is not None:
            wanted = conn.expected - len(conn.received)
        else:
            wanted = MOST_HEAD + 1 - len(conn.received)
        try:
            data = conn.sock.recv(wanted)
        except BlockingIOError:
            self._wait(conn)
            return
        except OSError:
            data = b""
        if not data and conn.head_end is not None:
            # The app says what a body lacks that ends too early.
            self._hand_over(conn)
        elif not data:
            self._drop(conn)
        elif conn.lingering:
            conn.searched += len(data)
            self._wait(conn) if conn.searched < _MOST_LINGERING else self._drop(conn)
        else:
            now = time.monotonic()
            if not conn.received and conn.initialized:
                conn.deadline = now + self.patience_s
            conn.received += data
            self._go_on(conn, now)

    def _go_on(self, conn: PolledConnection, now: float) -> None:
        """Look at what has arrived, and do what it allows."""
        size = len(conn.received)
        if conn.head_end is None:
            end = end_of(conn.received, conn.searched, self.cfg.limit_request_line)
            conn.searched = size
            if (size if end is None else end) > MOST_HEAD:
                # What arrives at once may be over both limits: the line's own is said.
                most = self.cfg.limit_request_line
                is_long = is_long_line(conn.received, most)
                error = LongRequestLine(most) if is_long else LargeHead(MOST_HEAD)
                self._hand_over(conn, error)
                return
            if end is None:
                self._wait(conn)
                return
            conn.head_end, conn.began = end, now
            length = length_of_body(conn.received[:end])
            if length is None or (length > _MOST_GATHERED and end + length > size):
                left = None if length is None else end + length - size
                self._take_turn(conn, left)
                return
            conn.expected = end + length
        assert conn.expected is not None
        if size >= conn.expected:
            self._hand_over(conn)
            return
        grace = (size - conn.head_end) / _LEAST_RATE
        conn.deadline = min(now, conn.began + grace) + self.patience_s
        self._wait(conn)

    def _wait(self, conn: PolledConnection) -> None:
        """Let the poller wait for a connection."""
        if conn not in self._waiting:
            self._waiting[conn] = None
        if not conn.polled:
            conn.polled = True
            self.poller.register(conn.sock, EVENT_READ, partial(self._hear, conn))

    def _hear(self, conn: PolledConnection, sock: socket.socket) -> None:
        if conn in self._waiting:
            self._receive(conn, sock)
        else:
            # It is refused at the next tick, and heard again then.
            self._forget(conn)

    def _forget(self, conn: PolledConnection) -> None:
        self._waiting.pop(conn, None)
        if conn.polled:
            conn.polled = False
            self.poller.unregister(conn.sock)

    def _drop(self, conn: PolledConnection) -> None:
        self._forget(conn)
        self.nr_conns -= 1
        conn.close()

    def _take_turn(self, conn: PolledConnection, left: int | None) -> None:
        """Let a thread read a body where fewer than half do; else it stands in line."""
        conn.expected = left
        if self._turns > 0:
            self._turns -= 1
            conn.turn = True
            self._hand_over(conn, left=left)
        else:
            self._forget(conn)
            conn.deadline = time.monotonic() + _TURN_PATIENCES * self.patience_s
            self._in_line.append(conn)

    def _give_turn_back(self, conn: PolledConnection) -> None:
        if conn.turn:
            conn.turn = False
            self._turns += 1
            if self._in_line:
                following = self._in_line.popleft()
                self._take_turn(following, following.expected)

    def _hand_over(
        self,
        conn: PolledConnection,
        error: Exception | None = None,
        left: int | None = 0,
    ) -> None:
        """Let a thread answer the request, or with it the error."""
        self._waiting.pop(conn, None)
        conn.error = error
        conn.head = bytes(conn.received[: conn.head_end])
        conn.whole = left == 0 and conn.expected == len(conn.received)
        conn.arrived = time.monotonic() if left == 0 else None
        conn.expected = left
        self.enqueue_req(conn)

    def enqueue_req(self, conn: TConn) -> None:
        """Let a thread answer; or wait for one, or for the answer that none will."""
        head = getattr(conn, "head", b"")
        if is_vital(head):
            self._submit(self._vital, conn)
        elif self._backlog.enter():
            self._submit(self.tpool, conn, counted=True)
        elif head in self._known or getattr(conn, "error", None) is not None:
            self._submit(self._quick, conn)
        elif not self._backlog.join(conn, time.monotonic()):
            # The poller keeps its socket: it is soon heard again.
            self._turn_away(conn)
        elif isinstance(conn, PolledConnection):
            self._forget(conn)

    def _submit(self, pool: Executor, conn: TConn, *, counted: bool = False) -> None:
        if isinstance(conn, PolledConnection):
            self._forget(conn)
        conn.counted = counted  # type: ignore[attr-defined]
        done = pool.submit(self.handle, conn)
        done.add_done_callback(
            lambda done: self.method_queue.defer(self.finish_request, conn, done)
        )

    def _turn_away(self, conn: TConn) -> None:
        if isinstance(conn, PolledConnection):
            self._give_turn_back(conn)
            self._turned_away.append((conn, self._backlog.expected_s))
        else:
            # Nobody has read what it asks for: it is closed, as gunicorn would.
            self.nr_conns -= 1
            conn.close()

    def _tick(self) -> None:
        """Refuse those who would wait too long, and hear those refused before."""
        held, self._held = self._held, []
        for conn in held:
            self._go_on(conn, self._ticked) if conn.received else self._wait(conn)
        for late in self._backlog.late(self._ticked):
            self._turn_away(late)
        turned_away, self._turned_away = self._turned_away, []
        for conn, wait_s in turned_away:
            self._dismiss(conn, wait_s)
        self._tell_of(len(turned_away))

    def _dismiss(self, conn: PolledConnection, wait_s: float) -> None:
        """Send the answer that says when to come again."""
        closes = not (self.alive and conn.whole and keeps_open(conn.head))
        told = told_of(conn.head)
        answer = self._refusals.answer(told, wait_s, closes=closes)
        try:
            sent = conn.sock.send(answer)
        except OSError:
            sent = 0
        if sent < len(answer):
            self._drop(conn)
            return
        now = time.monotonic()
        if closes:
            self._linger(conn, now)
        else:
            conn.renew(b"", now + self.cfg.keepalive)
            self._wait(conn)

    def _tell_of(self, count: int) -> None:
        """Count refusals, and say how many there were, once a second at most."""
        if count:
            self._count_turned_away(count)
        self._untold += count
        if self._untold and self._ticked - self._told >= 1.0:
            self._told = self._ticked
            waiting, wait_s = len(self._backlog), self._backlog.expected_s
            self.log.warning(
                "%d requests refused: %d wait for a thread, for %.1f s",
                *(self._untold, waiting, wait_s),
            )
            self._untold = 0

    def finish_request(self, conn: TConn, fs: Future[bool]) -> None:
        """Take a connection back from its thread."""
        now = time.monotonic()
        if conn.counted:  # type: ignore[attr-defined]
            following = self._backlog.leave(now)
            while following is not None and _has_left(following):
                # Nothing is drawn for nobody; who half-closed is told to come again.
                self._turn_away(following)
                following = self._backlog.leave(now)
            if following is not None:
                self._submit(self.tpool, following, counted=True)
        if not isinstance(conn, PolledConnection):
            super().finish_request(conn, fs)
            return
        self._give_turn_back(conn)
        try:
            conn.sock.setblocking(False)
        except OSError:
            # Closed by the thread, because an answer broke off.
            self._drop(conn)
            return
        try:
            goes_on = fs.result()
        except Exception:
            self.log.exception("A request could not be answered")
            goes_on = False
        if goes_on:
            patience = self.cfg.keepalive if self.alive else _LINGER_S
            conn.renew(conn.unreader.take_buffered(), now + patience)
            if conn.refused and self.alive:
                conn.refused = False
                self._held.append(conn)
            elif conn.received:
                # The next request came with the last one.
                conn.deadline = now + self.patience_s
                self._go_on(conn, now)
            else:
                self._wait(conn)
            return
        self._linger(conn, now)

    def _linger(self, conn: PolledConnection, now: float) -> None:
        """Send no more, and give the client a moment to read and to close."""
        conn.renew(b"", now + _LINGER_S)
        conn.lingering = True
        try:
            conn.sock.shutdown(socket.SHUT_WR)
        except OSError:
            self._drop(conn)
        else:
            self._receive(conn, conn.sock)

    def _drop_idle(self) -> bool:
        """Close the connection that has been idle for longest; tell whether one was."""
        idle = next((conn for conn in self._waiting if not conn.received), None)
        if idle is not None:
            self._drop(idle)
        return idle is not None

    def _sweep(self, now: float) -> None:
        """End the waiting of connections whose time is over."""
        for conn in [conn for conn in self._waiting if conn.deadline <= now]:
            # One that has begun nothing expects no answer.
            if conn.received:
                self._hand_over(conn, SlowRequest())
            else:
                self._drop(conn)
        while self._in_line and self._in_line[0].deadline <= now:
            self._hand_over(self._in_line.popleft(), BodiesWait())

    # The threads.

    def load_wsgi(self) -> None:
        """Load the app, and stand before it."""
        super().load_wsgi()
        self._app: Any = self.wsgi
        self.wsgi = self._serve
        # Not above: figures are kept in a folder that is set before they are imported.
        from app.observability import metrics
        from app.pipeline.admission import Busy

        self._count_turned_away = metrics.count_turned_away
        self._refusals = Refusals(partial(self._write, Busy))

    def _serve(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Any:
        """Call the app, and tell it whether this worker is about to end."""
        environ["mimeo.draining"] = self._draining
        conn = self._handled.conn
        if not isinstance(conn, PolledConnection):
            return self._app(environ, start_response)
        environ["mimeo.arrived"] = conn.arrived

        def start(status: str, headers: Any, *given: Any) -> Any:
            conn.refused = status.startswith(("429", "503"))
            self._known.note(conn.head, status, headers)
            if conn.turn:
                # What is sent from here on is no body that is waited for.
                self.method_queue.defer(self._give_turn_back, conn)
                request: Any = conn.parser.mesg  # type: ignore[union-attr]
                if request.body.failed:
                    # Nobody knows where the next one begins: the answer says it ends.
                    request.force_close()
            return start_response(status, headers, *given)

        return self._app(environ, start)

    def handle(self, conn: TConn) -> bool:
        """Answer one request; tell whether the connection can have another."""
        self._handled.conn = conn
        if isinstance(conn, PolledConnection):
            if conn.error is not None:
                conn.sock.setblocking(True)
                self._refuse(conn, conn.error)
                return False
            conn.init()
            finish = partial(self.method_queue.defer, self._give_turn_back, conn)
            conn.unreader.begin(self.patience_s, conn.expected, finish)
        return super().handle(conn)

    def handle_error(
        self, req: Any, client: socket.socket, addr: Any, exc: BaseException
    ) -> None:
        """Answer what gunicorn cannot read, and what the app could not answer."""
        self._refuse(self._handled.conn, _meaning(exc, self.cfg.limit_request_line))

    def _refuse(self, conn: TConn, error: BaseException) -> None:
        """Let the app write an error that it has not come upon itself."""
        method, path, request_id = told_of(getattr(conn, "head", b""))
        environ = self._environ_of(error, method, path, request_id)
        environ["REMOTE_ADDR"] = (
            conn.client[0] if isinstance(conn.client, tuple) else ""
        )
        request: Any = SimpleNamespace(
            method=method, version=(1, 1), headers=[], should_close=lambda: True
        )
        answer = Response(request, conn.sock, self.cfg)
        # Whoever sends and does not read holds no thread by it.
        with suppress(OSError):
            conn.sock.settimeout(_LINGER_S)
            body = self._app(environ, answer.start_response)
            try:
                for block in body:
                    answer.write(block)
                answer.close()
            finally:
                getattr(body, "close", bool)()

    def _write(
        self, busy: type[Exception], path: str, request_id: str, retry_s: int
    ) -> tuple[str, Pairs, bytes]:
        """Let the app write once what many are answered; see Refusals."""
        said: list[Any] = []
        environ = self._environ_of(busy(retry_s), "GET", path, request_id)

        def start(*given: Any) -> Any:
            said.extend(given)

        # Not closed, which would write a line of the log: it is nobody's answer.
        body = b"".join(self._app(environ, start))
        return said[0], said[1], body

    def _environ_of(
        self, error: BaseException, method: str, path: str, request_id: str | None
    ) -> dict[str, Any]:
        environ = {
            **base_environ(self.cfg),
            "REQUEST_METHOD": method,
            "SCRIPT_NAME": "",
            "PATH_INFO": unquote_to_wsgi_str(path),
            "QUERY_STRING": "",
            "SERVER_NAME": "localhost",
            "SERVER_PORT": "80",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "REMOTE_ADDR": "",
            "wsgi.url_scheme": "http",
            "wsgi.input": io.BytesIO(),
            "mimeo.error": error,
        }
        if request_id is not None:
            environ["HTTP_X_REQUEST_ID"] = request_id
        return environ


def _has_left(conn: TConn) -> bool:
    """Tell whether a client has closed its end while it waited."""
    if not isinstance(conn, PolledConnection):
        return False
    try:
        return not conn.sock.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return False
    except OSError:
        return True


def _meaning(error: BaseException, longest_line: int) -> BaseException:
    """Return what an error of gunicorn's parser is here; others are what they are."""
    if isinstance(error, found.LimitRequestLine):
        return LongRequestLine(longest_line)
    if isinstance(error, found.LimitRequestHeaders):
        return LargeHead(MOST_HEAD)
    if isinstance(error, found.UnsupportedTransferCoding):
        return UnknownCoding()
    if isinstance(error, found.ExpectationFailed):
        return UnknownExpectation()
    if isinstance(error, found.ForbiddenProxyRequest):
        return ForbiddenSender()
    # The app's own fault, though gunicorn derives it from what a client does.
    if type(error).__name__.startswith("InvalidResponse"):
        return error
    if isinstance(error, found.ConfigurationProblem):
        return error
    if isinstance(error, (found.ParseException, ssl.SSLError)):
        return BadHead(str(error))
    return error
