"""From an address to an answer: what may be asked, and how its parameters are read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ..errors import UsageError
from .query import Query
from .state import Viewer

Params = Mapping[str, str]
Body = Mapping[str, Any]

_LIMIT = 60
_NEXT = 3
"""Questions that come with an answer: the next one, and those whose pictures may be fetched."""
_MOST_BUDGET = 10_000


def read(viewer: Viewer, path: str, params: Params) -> Any:
    """Answer a request for data; None where there is nothing at this path.

    Raises:
        UsageError: a parameter is not what it must be.
        CurateError: what was asked for cannot be had.
    """
    if path == "/api/about":
        return viewer.about()
    if path == "/api/samples":
        return _samples(viewer, params)
    if path == "/api/pairs":
        query = query_of(params, pairs=True)
        return viewer.pairs(query, _number(params, "start", 0), _number(params, "limit", 20))
    if path == "/api/sample":
        return viewer.sample(_number(params, "id"))
    if path == "/api/questions":
        return viewer.questions(_number(params, "limit", _NEXT))
    return None


def write(viewer: Viewer, path: str, body: Body) -> Any:
    """Do what a request asks to be written; None where there is nothing at this path.

    Raises:
        UsageError: the body is not what it must be.
        CurateError: it cannot be done.
    """
    known: dict[str, Callable[[], Any]] = {
        "/api/answer": lambda: viewer.answer(
            _whole(body, "a"), _whole(body, "b"), str(body.get("answer")), _NEXT
        ),
        "/api/undo": lambda: viewer.undo(_NEXT),
        "/api/ask": lambda: viewer.ask(_whole(body, "budget", _MOST_BUDGET)),
    }
    return known[path]() if path in known else None


def _samples(viewer: Viewer, params: Params) -> Any:
    query, limit = query_of(params), _number(params, "limit", _LIMIT)
    space, text = params.get("space", ""), params.get("text", "").strip()
    if params.get("near"):
        return viewer.near_sample(query, space, _number(params, "near"), limit)
    if text:
        return viewer.near_text(query, space, text, limit)
    return viewer.samples(query, _number(params, "start", 0), limit)


def query_of(params: Params, pairs: bool = False) -> Query:
    """Return the filter that the parameters of an address stand for.

    Raises:
        UsageError: a cluster is not written NAME/NUMBER.
    """
    cluster = None
    if params.get("cluster"):
        name, _, number = params["cluster"].rpartition("/")
        if not name or not number.isdecimal():
            raise UsageError(f"cluster {params['cluster']!r}; write NAME/NUMBER.")
        cluster = name, int(number)
    return Query(
        words=tuple(params.get("q", "").split()),
        split=params.get("split"),
        label=params.get("label") or None,
        cluster=cluster,
        role=params.get("role", ""),
        miner=params.get("miner", ""),
        reason=params.get("reason", ""),
        kind=params.get("kind", ""),
        pairs=pairs,
    )


def _number(params: Params, name: str, otherwise: int | None = None) -> int:
    text = params.get(name, "")
    if not text and otherwise is not None:
        return otherwise
    if not (text.isdecimal() and text.isascii() and len(text) < 19):
        raise UsageError(f"{name} is {text!r}; a whole number is needed.")
    return int(text)


def _whole(body: Body, name: str, most: int = 1 << 62) -> int:
    value = body.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
        raise UsageError(f"{name} is {value!r}; a whole number up to {most} is needed.")
    return value
