"""Rounds of mining: mine, train, mine again in the trained space.

Round 0 has no parent. A round's parent is the pairset that its encoder was trained on; what the
manifest says of it (`parents`, `round`) is settled before any work.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..manifests.errors import ConfigError, PairsetError
from ..manifests.pairset import Pairset
from ..stages.embed.checkpoint import Checkpoint
from ..stages.embed.stage import Embed
from .runner import Node

FROZEN = "frozen"
"""Name of the space that near-duplicates are still found in once `image` is a trained one."""


@dataclass(frozen=True)
class Round:
    """Which round a run is.

    Attributes:
        number: 0 for the first; column `round` of the edges.
        parents: manifest_id of the pairset of the round before; empty in round 0.
    """

    number: int = 0
    parents: tuple[str, ...] = ()

    @classmethod
    def after(cls, folder: str | None) -> Round:
        """Return the round after the one whose pairset stands in a folder; round 0 after None.

        Raises:
            ConfigError: the folder holds no pairset.
        """
        if folder is None:
            return cls()
        parent = _parent(folder)
        return cls(int(parent.manifest.get("round", 0)) + 1, (parent.manifest_id,))

    def check(self, nodes: Sequence[Node]) -> None:
        """Hold the checkpoints of a run against its parent.

        Raises:
            ConfigError: one was trained on another pairset.
        """
        for node in nodes:
            encoder = node.stage.encoder if isinstance(node.stage, Embed) else None
            if not (self.parents and isinstance(encoder, Checkpoint)):
                continue
            if encoder.trained_on() != self.parents[0]:
                raise ConfigError(
                    f"round_of: the pairset there is {self.parents[0]}, but {encoder.path} was "
                    f"trained on {encoder.trained_on()}. Name the pairset that it was trained on, "
                    "or train on this one: curate train OUT1 -d FOLDER."
                )


def keep_groups(body: dict[str, Any]) -> None:
    """Let a config with `round_of` find near-duplicates where its parent did; changes `body`.

    Which samples are one picture is a fact of the pictures. In a trained space it would move with
    every round, and early in training, when all features are alike, most of the corpus would be
    one group: so the parent's space and threshold stay, beside the trained space, as `frozen`.
    A config that names another space than its parent did gets what it says.

    Raises:
        ConfigError: `round_of` names no pairset.
    """
    folder, chosen = body.get("round_of"), body.get("duplicates") or {}
    spaces, graphs = body.get("spaces"), body.get("neighbors")
    if not (isinstance(folder, str) and isinstance(spaces, dict) and isinstance(graphs, dict)):
        return
    if not isinstance(chosen, dict):
        return
    before = _parent(folder).manifest["config"]
    images = [name for name, space in before["spaces"].items() if space["of"] == "image"]
    name = before["duplicates"]["space"] or next(iter(images), None)
    graph = before["neighbors"].get(f"{name}>{name}")
    if graph is None or chosen.get("space") not in (None, name):
        return
    own = name if spaces.get(name) == before["spaces"][name] else FROZEN
    spaces.setdefault(own, copy.deepcopy(before["spaces"][name]))
    graphs.setdefault(f"{own}>{own}", dict(graph))
    body["duplicates"] = {**before["duplicates"], **chosen, "space": own}


def _parent(folder: str) -> Pairset:
    try:
        return Pairset.open(folder)
    except PairsetError as error:
        raise ConfigError(f"round_of: {error}") from error
