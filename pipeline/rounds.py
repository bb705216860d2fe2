"""Rounds of mining: mine, train, mine again in the trained space.

Round 0 has no parent. A round's parent is the pairset that its encoder was trained on; what the
manifest says of it (`parents`, `round`) is settled before any work.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..manifests.errors import ConfigError, PairsetError
from ..manifests.pairset import Pairset
from ..stages.embed.checkpoint import Checkpoint
from .config import Config
from .plan import ARRAY, open_encoder


@dataclass(frozen=True)
class Round:
    """Which round a run is.

    Attributes:
        number: 0 for the first; column `round` of the edges.
        parents: manifest_id of the pairset of the round before; empty in round 0.
    """

    number: int = 0
    parents: tuple[str, ...] = ()


def of(config: Config) -> Round:
    """Return which round a config asks for.

    Raises:
        ConfigError: `round_of` names no pairset, or a checkpoint was trained on another one.
    """
    if config.round_of is None:
        return Round()
    try:
        parent = Pairset.open(config.round_of)
    except PairsetError as error:
        raise ConfigError(f"round_of: {error}") from error
    for name, space in config.spaces.items():
        encoder = None
        if space.encoder != ARRAY:
            encoder = open_encoder(name, space, config.document)
        if isinstance(encoder, Checkpoint) and encoder.trained_on() != parent.manifest_id:
            raise ConfigError(
                f"round_of: {config.round_of} is {parent.manifest_id}, but {encoder.path} was "
                f"trained on {encoder.trained_on()}. Name the pairset that it was trained on, or "
                "train on this one: curate train "
                f"{config.round_of} -d FOLDER."
            )
    return Round(int(parent.manifest.get("round", 0)) + 1, (parent.manifest_id,))
