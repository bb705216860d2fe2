"""An HTTP server of this machine that serves ranges of bytes, counts them, and fails on demand."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class ByteServer:
    """Serves the files below a folder.

    Attributes:
        requests: (path, first byte, byte behind the last) of each GET, in order.
        heads: paths of the HEAD requests.
        most: GETs that were under way at the same time.
        trouble: asked before each answer with (path, start, number of earlier requests of the
            path); returns "", "fail" (503), "stall", "truncate" (the connection breaks),
            "short" (fewer bytes, said so), "corrupt" (a byte is wrong) or "whole" (no ranges).
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.requests: list[tuple[str, int, int]] = []
        self.heads: list[str] = []
        self.most = self._now = 0
        self.wait_s = 0.0
        self.trouble: Callable[[str, int, int], str] = lambda path, start, earlier: ""
        self.released = threading.Event()
        self._lock = threading.Lock()
        owner = self

        class Handler(_Handler):
            server_of = owner

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def note(self, path: str, start: int, stop: int) -> str:
        with self._lock:
            earlier = sum(path == other for other, _, _ in self.requests)
            self.requests.append((path, start, stop))
            self._now += 1
            self.most = max(self.most, self._now)
        return self.trouble(path, start, earlier)

    def done(self) -> None:
        with self._lock:
            self._now -= 1

    def close(self) -> None:
        self.released.set()
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_of: ByteServer

    def do_HEAD(self) -> None:
        self.server_of.heads.append(self.path)
        data = self._data()
        if data is None:
            return
        self.send_response(200)
        self._headers(len(data))

    def do_GET(self) -> None:
        data = self._data()
        if data is None:
            return
        start, stop = 0, len(data)
        span = self.headers.get("Range")
        if span:
            low, _, high = span.removeprefix("bytes=").partition("-")
            start, stop = int(low), min(int(high or len(data) - 1) + 1, len(data))
        trouble = self.server_of.note(self.path, start, stop)
        time.sleep(self.server_of.wait_s)
        try:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                self._answer(trouble, data, start, stop, bool(span))
        finally:
            self.server_of.done()

    def _answer(self, trouble: str, data: bytes, start: int, stop: int, partial: bool) -> None:
        if trouble == "stall":
            self.server_of.released.wait(60)
            self.close_connection = True
            return
        if trouble == "fail":
            self.send_response(503)
            self._headers(0)
            return
        body = data if trouble == "whole" else data[start:stop]
        if trouble == "corrupt":
            body = bytes([body[0] ^ 1]) + body[1:]
        if trouble == "short":
            body = body[:-1]
        self.send_response(206 if partial and trouble != "whole" else 200)
        if partial:
            self.send_header("Content-Range", f"bytes {start}-{stop - 1}/{len(data)}")
        self._headers(len(body))
        if trouble == "truncate":
            body = body[: len(body) // 2]
            self.close_connection = True
        self.wfile.write(body)

    def _headers(self, length: int) -> None:
        self.send_header("Content-Length", str(length))
        self.send_header("Accept-Ranges", "bytes")
        self.end_headers()

    def _data(self) -> bytes | None:
        path = self.server_of.folder / self.path.lstrip("/")
        if path.is_file():
            return path.read_bytes()
        self.send_response(404)
        self._headers(0)
        return None

    def log_message(self, format: str, *args: object) -> None:
        del format, args


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[ByteServer]:
    """Serve a folder while the body runs."""
    server = ByteServer(folder)
    try:
        yield server
    finally:
        server.close()
