"""The server of the pages: the standard library's, on the loopback address only.

A path names one of a few static files, a picture by sample id, or a request for JSON; no path
from an address is ever joined to a folder.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pyarrow as pa

from .. import report
from ..errors import CurateError, DataError, PairsetError, UsageError
from . import api
from .guard import HEADERS, Forbidden, Guard, check_bind
from .pictures import SIDES
from .state import Viewer

_HERE = Path(__file__).parent
_HTML, _CSS, _JS = (f"text/{kind}; charset=utf-8" for kind in ("html", "css", "javascript"))
_SCRIPTS = ("main", "net", "dom", "cards", "filters", "browse", "sample", "label")
STATIC = {
    "/": (_HERE / "index.html", _HTML),
    "/base.css": (Path(report.__file__).parent / "style.css", _CSS),
    "/view.css": (_HERE / "view.css", _CSS),
    **{f"/{name}.js": (_HERE / f"{name}.js", _JS) for name in _SCRIPTS},
}
"""Every file that is served, by its address; nothing of them depends on the corpus."""
_JSON = "application/json; charset=utf-8"
_MOST_BYTES = 4096
"""Of the body of a request."""
_IDLE_S = 60


@dataclass(frozen=True)
class Server:
    """A server that listens; `run` answers until it is stopped.

    Attributes:
        http: the server itself.
        guard: its token.
    """

    http: ThreadingHTTPServer
    guard: Guard

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return int(self.http.server_address[1])

    @property
    def address(self) -> str:
        """The address without the token."""
        return f"http://{self.http.server_address[0]}:{self.port}/"

    @property
    def url(self) -> str:
        """The address to open: the token stands behind "#", so a browser sends it nowhere."""
        return f"{self.address}#token={self.guard.token}"

    def run(self) -> None:
        """Answer requests until `stop` or an interrupt from the keyboard."""
        try:
            self.http.serve_forever(poll_interval=0.1)
        except KeyboardInterrupt:
            pass
        finally:
            self.http.server_close()

    def stop(self) -> None:
        """End `run`, from another thread."""
        self.http.shutdown()


def open_server(viewer: Viewer, port: int = 0, host: str = "127.0.0.1") -> Server:
    """Start to listen.

    Args:
        viewer: what is shown.
        port: 0 for one that is free.
        host: a loopback address.

    Raises:
        UsageError: the address is none of this machine's own, or the port is taken.
        DataError: the file of questions cannot be read.
    """
    check_bind(host)
    viewer.desk.check()
    guard = Guard()

    class Handler(_Handler):
        pass

    Handler.viewer, Handler.guard = viewer, guard
    try:
        http = _Threads((host, port), Handler)
    except (OSError, OverflowError) as error:
        raise UsageError(
            f"port {port}: {getattr(error, 'strerror', None) or error}. Give another --port, or "
            "none for one that is free."
        ) from error
    return Server(http, guard)


class _Threads(ThreadingHTTPServer):
    daemon_threads = True
    # A second server must not share a port with the first, as it would on some systems.
    allow_reuse_port = False


class _Handler(BaseHTTPRequestHandler):
    viewer: Viewer
    guard: Guard
    protocol_version = "HTTP/1.1"
    server_version = "curate"
    sys_version = ""
    timeout = _IDLE_S

    def do_GET(self) -> None:
        self._guarded(self._get)

    def do_HEAD(self) -> None:
        self._guarded(self._get)

    def do_POST(self) -> None:
        self._guarded(self._post)

    def log_message(self, format: str, *args: Any) -> None:
        """Print nothing: a request names what somebody looks at."""
        del format, args

    def _guarded(self, work: Any) -> None:
        try:
            self.guard.check_host(self.headers)
            work()
        except Forbidden as error:
            self._refuse(403, str(error))
        except UsageError as error:
            self._refuse(400, str(error))
        except (DataError, PairsetError) as error:
            self._refuse(404, str(error))
        except (BrokenPipeError, ConnectionResetError, TimeoutError):
            # The page was closed; there is nobody to tell.
            self.close_connection = True
        except (CurateError, OSError, pa.ArrowException) as error:
            # A run may have replaced the files meanwhile.
            self._refuse(500, f"{error} If the pairset was made anew, start `curate view` again.")

    def _get(self) -> None:
        parts = urlsplit(self.path)
        params = dict(parse_qsl(parts.query, keep_blank_values=True, max_num_fields=50))
        if parts.path in STATIC:
            file, kind = STATIC[parts.path]
            self._send(200, kind, file.read_bytes(), "no-cache")
            return
        if parts.path.startswith("/picture/"):
            self.guard.check_picture(params.get("key", ""))
            self._send(200, "image/webp", self._picture(parts.path), "private, max-age=86400")
            return
        self.guard.check_token(self.headers)
        self._answer(api.read(self.viewer, parts.path, params))

    def _picture(self, path: str) -> bytes:
        _, _, side, number = path.split("/", 3)
        if side not in SIDES or not (number.isdecimal() and number.isascii() and len(number) < 19):
            raise DataError("a picture is /picture/small/ID or /picture/large/ID.")
        return self.viewer.pictures.read(int(number), side)

    def _post(self) -> None:
        self.guard.check_token(self.headers)
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or int(length) > _MOST_BYTES:
            raise UsageError(f"a body of at most {_MOST_BYTES} bytes is needed.")
        if self.headers.get_content_type() != "application/json":
            raise UsageError("the body must be application/json.")
        try:
            body = json.loads(self.rfile.read(int(length)))
        except ValueError as error:
            raise UsageError(f"the body is not JSON: {error}.") from error
        if not isinstance(body, dict):
            raise UsageError("the body must be a JSON object.")
        self._answer(api.write(self.viewer, urlsplit(self.path).path, body))

    def _answer(self, value: Any) -> None:
        if value is None:
            raise DataError("there is nothing at this address.")
        if urlsplit(self.path).path == "/api/about":
            value = {**value, "picture_key": self.guard.picture_key}
        text = json.dumps(_plain(value), ensure_ascii=False, allow_nan=False)
        self._send(200, _JSON, text.encode(), "no-store")

    def _refuse(self, status: int, why: str) -> None:
        # What is left of a refused request's body must not be read as the next request.
        self.close_connection = True
        self._send(status, _JSON, json.dumps({"error": why}).encode(), "no-store")

    def _send(self, status: int, kind: str, data: bytes, cache: str) -> None:
        self.send_response(status)
        own = {"Content-Type": kind, "Content-Length": str(len(data)), "Cache-Control": cache}
        if self.close_connection:
            own["Connection"] = "close"
        for name, value in (HEADERS | own).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)


def _plain(value: Any) -> Any:
    """Return what JSON can hold: NaN becomes null, times become texts."""
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, bool | int | str) else str(value)
