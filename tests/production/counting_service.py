"""A service that makes another image at each call, and keeps account of its calls."""

import io
import json
import threading
import time
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from PIL import Image


class CountingService:
    """A running service; `sold` are the prompts of all images, in order."""

    def __init__(self, pause_s: float) -> None:
        self.pause_s = pause_s
        self.sold: list[str] = []
        self.url = ""
        self._guard = threading.Lock()

    def make(self, prompt: str, count: int) -> bytes:
        with self._guard:
            first = len(self.sold)
            self.sold += [prompt] * count
        time.sleep(self.pause_s)
        images = [{"b64_json": _picture(first + n)} for n in range(count)]
        return json.dumps({"created": 1, "data": images}).encode()


def _picture(number: int) -> str:
    buffer = io.BytesIO()
    color = (number >> 8 & 255, number & 255, 90)
    Image.new("RGB", (16, 16), color).save(buffer, "PNG")
    return b64encode(buffer.getvalue()).decode()


@contextmanager
def counting(pause_s: float = 0.0) -> Iterator[CountingService]:
    """Run a service that takes `pause_s` for each call."""
    service = CountingService(pause_s)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            body = service.make(asked["prompt"], asked.get("n", 1))
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        service.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield service
        server.shutdown()
        thread.join()
