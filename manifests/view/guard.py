"""Who may ask the server for what: a page of this machine that knows the token, and nobody else.

Another site's script can reach a server on the loopback address in two ways: by sending requests
across origins, and by letting its own name point to 127.0.0.1 (DNS rebinding). The first is seen
by `Origin` and `Sec-Fetch-Site`, the second by `Host`; and both lack the token.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import secrets
from dataclasses import dataclass, field
from typing import Any, Protocol

from ..errors import UsageError

TOKEN_HEADER = "X-Curate-Token"
"""Carries the token of every request for data; a form or an image of another site cannot set it."""
_OWN = frozenset({"same-origin", "none"})

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
"""Sent with every answer: nothing runs but our own files, nothing is fetched from elsewhere, and
no other page may embed or read what is here."""


class Headers(Protocol):
    """The headers of a request; names in any case."""

    def get(self, name: str, otherwise: Any = None, /) -> Any:
        """Return the value of a header."""
        ...


class Forbidden(Exception):
    """A request that is refused, and why."""


@dataclass(frozen=True)
class Guard:
    """The token of one server.

    Attributes:
        token: 256 random bits as text.
    """

    token: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)

    @property
    def picture_key(self) -> str:
        """What the addresses of pictures carry: lets read pictures, and tells nothing of the token.

        A picture's address cannot have a header, and addresses are kept in a browser's history.
        """
        return hmac.new(self.token.encode(), b"pictures", hashlib.sha256).hexdigest()[:32]

    def check_host(self, headers: Headers) -> None:
        """Refuse a request that was sent to another name, or by another site's page.

        Raises:
            Forbidden: `Host` is no loopback name, or `Origin` is not that host.
        """
        host = headers.get("Host") or ""
        if not is_loopback(_name(host)):
            raise Forbidden("this server answers to 127.0.0.1 and localhost only")
        origin = headers.get("Origin")
        if origin is not None and origin != f"http://{host}":
            raise Forbidden("this request comes from another page")
        if headers.get("Sec-Fetch-Site", "none") not in _OWN:
            raise Forbidden("this request comes from another site")

    def check_token(self, headers: Headers) -> None:
        """Refuse a request without the token in its header.

        Raises:
            Forbidden: the token is missing or wrong.
        """
        _check(headers.get(TOKEN_HEADER) or "", self.token)

    def check_picture(self, key: str) -> None:
        """Refuse a picture to whoever does not know its key.

        Raises:
            Forbidden: the key is missing or wrong.
        """
        _check(key, self.picture_key)


def check_bind(host: str) -> None:
    """Refuse to listen where other machines could reach.

    Raises:
        UsageError: the address is not a loopback address.
    """
    if not is_loopback(host):
        raise UsageError(
            f"{host}: the viewer listens on this machine only (127.0.0.1). To see it from "
            "another one, forward the port: ssh -L 8765:127.0.0.1:8765 HOST"
        )


def is_loopback(name: str) -> bool:
    """Say whether a host name or address is this machine's loopback."""
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _check(given: str, wanted: str) -> None:
    if not hmac.compare_digest(given.encode(), wanted.encode()):
        raise Forbidden("wrong or missing token: open the address that `curate view` printed")


def _name(host: str) -> str:
    """Return the name of a `Host` header, its port and the brackets of IPv6 left out."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]
