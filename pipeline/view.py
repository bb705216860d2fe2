"""What `curate view` opens: a pairset, its index, and the text encoders it was made with."""

from __future__ import annotations

import functools
import getpass
import os
import signal
import sys
import threading
import webbrowser
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..manifests.device import torch_device
from ..manifests.errors import ConfigError, DataError
from ..manifests.pairset import Pairset
from ..manifests.vectors import unit
from ..manifests.view import Search, Server, Viewer, open_server
from ..manifests.view.search import Nearest, nearest_exact
from ..manifests.view.state import Encode
from ..stages import registry
from ..stages.embed.base import Encoder, LoadedEncoder
from .config import Space
from .plan import ARRAY, open_encoder
from .resolve import ENCODERS
from .signals import stopped_by


@dataclass(frozen=True)
class Page:
    """A server that listens, and what to say of it."""

    server: Server
    questions: str
    text: str

    def show(self) -> None:
        """Open the page in a browser, where there is a screen."""
        # Without a screen, the standard library would start a browser in the terminal.
        screen = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
        if screen or sys.platform in ("darwin", "win32"):
            webbrowser.open(self.server.url)

    def run(self) -> None:
        """Answer requests until Ctrl-C or SIGTERM."""
        # A shell starts what runs in its background deaf to Ctrl-C.
        with stopped_by(signal.default_int_handler):
            self.server.run()


def open_page(out: Path, port: int, questions: Path | None, oracle: str | None) -> Page:
    """Open a pairset and listen on the loopback address.

    Raises:
        PairsetError: there is no pairset.
        UsageError: the port is taken.
    """
    pairset = Pairset.open(out)
    search = Search(nearest(pairset), texts(pairset))
    viewer = Viewer(pairset, questions, oracle or _login(), search)
    server = open_server(viewer, port)
    file = str(viewer.desk.path)
    text = f"{server.url}\nanswers go to {file}; Ctrl-C ends this"
    return Page(server, file, text)


def nearest(pairset: Pairset) -> Nearest:
    """Return the search of a pairset: its inverted files where it has them, else all vectors."""
    exact = nearest_exact(pairset)
    opened = functools.lru_cache(maxsize=None)(functools.partial(_open_index, pairset))

    def search(space: str, vector: np.ndarray, count: int) -> np.ndarray:
        entry = pairset.manifest["index"].get(space)
        if entry is None or entry.get("exact", True):
            return exact(space, vector, count)
        return opened(space)(vector, count)

    return search


def _open_index(pairset: Pairset, space: str) -> Any:
    from ..stages.neighbors.published import PublishedIndex

    entry = pairset.manifest["index"][space]
    files = [pairset.root / item["path"] for item in entry["files"]]
    return PublishedIndex.open(files, int(entry["nprobe"])).nearest


def texts(pairset: Pairset) -> dict[str, Encode]:
    """Return what encodes texts for each space whose encoder can; nothing is loaded yet."""
    found: dict[str, Encode] = {}
    for name, entry in pairset.manifest["config"].get("spaces", {}).items():
        space = Space.model_validate(entry)
        # A module that a manifest names is code that a manifest brings: it is not run.
        if space.encoder == ARRAY or ":" in space.encoder or space.encoder not in _known():
            continue
        if "caption" in registry.load(space.encoder, ENCODERS, Encoder).modalities:
            found[name] = _TextEncoder(pairset, name, space).encode
    return found


def _known() -> list[str]:
    return registry.names(ENCODERS)


class _TextEncoder:
    """The encoder of a space, loaded when the first text is looked up; threads may share it."""

    def __init__(self, pairset: Pairset, name: str, space: Space) -> None:
        self._pairset, self._name, self._space = pairset, name, space
        self._lock = threading.Lock()
        self._loaded: LoadedEncoder | None = None

    def encode(self, text: str) -> np.ndarray:
        """Return the vector of a text, float32 [d], unit norm.

        Raises:
            DataError: the weights are not to be had, or are not those of the pairset.
        """
        with self._lock:
            if self._loaded is None:
                self._loaded = self._load()
            vector = unit(self._loaded.encode_texts([text]))[0]
        if not vector.any():
            raise DataError(f"the encoder of {self._name} gave no vector for this text.")
        return vector

    def _load(self) -> LoadedEncoder:
        try:
            encoder = open_encoder(self._name, self._space)
            weights = encoder.weights_digest()
            known = self._pairset.manifest["embeddings"][self._name]["encoder"].get("weights")
            if weights != known:
                raise DataError(
                    f"the weights of {self._name} are not those that made its vectors: {weights} "
                    f"now, {known} then."
                )
            return encoder.load(torch_device())
        except ConfigError as error:
            raise DataError(str(error)) from error


def _login() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        # A container's user may have no name.
        return ""
