"""What a trainer can be asked to minimise: the settings of each kind of loss, without torch.

The `loss` block of a recipe names a kind and its settings; they are checked here when a config is
read, copied whole into manifest.json, and carried out by the module of the same name in
`manifests/consumer/losses/`, whose docstring gives the formula and its source.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from ..errors import UsageError
from .base import Loss, refused
from .modalities import Avid, Clip, Cloob, Cluster, Helip, Soft
from .negatives import Adco, Bcl, Clsp, InfoNce, Moco, Triplet, Unremix
from .neighbours import All4One, Msf, Nnclr
from .views import BarlowTwins, Byol, Cpc, Dino, Simsiam, Swav, Vicreg

DEFAULT = "infonce"
"""The kind of a block that names none."""


KINDS: Mapping[str, type[Loss]] = {
    settings.kind: settings
    for settings in (
        InfoNce, Bcl, Unremix, Moco, Adco, Byol, Simsiam, Msf, Nnclr, All4One, Clsp,
        BarlowTwins, Vicreg, Dino, Swav, Cpc, Triplet, Clip, Helip, Cloob, Avid, Cluster, Soft,
    )
}  # fmt: skip
"""Settings by kind."""


def problems(block: Mapping[str, Any]) -> dict[str, str]:
    """Return what is wrong with a `loss` block, a sentence for each wrong key; empty if nothing is.

    Args:
        block: `kind` (DEFAULT where it is not given) and settings of that kind.
    """
    kind = block.get("kind", DEFAULT)
    if kind not in KINDS:
        return {"kind": f"no loss is called {kind!r}.{_nearest(str(kind), KINDS)}"}
    known = {item.name: item for item in fields(KINDS[kind])}
    wrong: dict[str, str] = {}
    for key, value in block.items():
        if key == "kind":
            continue
        if key not in known:
            wrong[key] = f"loss {kind!r} has no such setting.{_nearest(key, known)}"
        elif text := refused(value, known[key]):
            wrong[key] = f"input should be {text} (got {value!r})"
    return wrong


def parse(block: Mapping[str, Any]) -> Loss:
    """Read a `loss` block of a manifest or of options.

    Raises:
        UsageError: `problems` finds any.
    """
    wrong = problems(block)
    if wrong:
        raise UsageError("; ".join(f"loss.{key}: {text}" for key, text in wrong.items()) + ".")
    settings = {key: value for key, value in block.items() if key != "kind"}
    return KINDS[block.get("kind", DEFAULT)](**settings)


def _nearest(word: str, known: Mapping[str, Any]) -> str:
    close = difflib.get_close_matches(word, known, 1)
    meant = f" Did you mean {close[0]!r}?" if close else ""
    return f"{meant} Known: {', '.join(sorted(known))}"
