"""Lines of a log, written by a thread of its own."""

import atexit
import os
import threading
import time
from collections import deque
from queue import SimpleQueue

# Lines wait so long for others to be written with them.
_GATHER_S = 0.02
# Whoever finds so many lines that wait writes them itself: the reader is slow.
_MOST_WAITING = 10_000
# POSIX: a write of so many bytes into a pipe is one, whoever else writes there.
_WHOLE = 4096


class LineWriter:
    """Writes lines to a descriptor, those of 20 ms together; shared by threads.

    A write lets go of the interpreter: whoever has answered a request would wait until
    another thread gives it back, which takes longer than all the rest of the line.
    Lines stand in order, also those that are left when the process exits, and those
    of several processes do not mix within a line of up to 4,096 bytes.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._begin()
        # A fork has neither the thread nor a right to the lines of its parent.
        os.register_at_fork(after_in_child=self._begin)
        atexit.register(self.flush)

    def _begin(self) -> None:
        self._lines: deque[bytes] = deque()
        self._calls: SimpleQueue[bool] = SimpleQueue()
        self._called = False
        self._writes = threading.Lock()
        self._starts = threading.Lock()
        self._thread: threading.Thread | None = None

    def write(self, line: bytes) -> None:
        """Have a line written, its line feed included."""
        # In this order: whoever finds that the thread was called was in time.
        self._lines.append(line)
        if not self._called:
            self._called = True
            self._start()
            self._calls.put(True)
        elif len(self._lines) > _MOST_WAITING:
            self.flush()

    def flush(self) -> None:
        """Write all lines that wait; return when they are written."""
        with self._writes:
            block = b""
            while self._lines:
                line = self._lines.popleft()
                if block and len(block) + len(line) > _WHOLE:
                    self._send(block)
                    block = b""
                block += line
            self._send(block)

    def _start(self) -> None:
        with self._starts:
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._run, name="mimeo-log", daemon=True
                )
                self._thread.start()

    def _run(self) -> None:
        while self._calls.get():
            time.sleep(_GATHER_S)
            self._called = False
            self.flush()

    def _send(self, data: bytes) -> None:
        while data:
            data = data[os.write(self._descriptor, data) :]
