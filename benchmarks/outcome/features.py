"""Features of a frozen encoder: of each picture as it is, and of random views of it, made once.

The pictures as they are go through `curate run` (space "image"); the views are made of the same
pictures with `consumer/augment.py` and the same encoder. So "two views of one picture" means what
it means in image space, while a step of training costs milliseconds.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from curate.manifests import PairStream, storage
from curate.manifests.consumer.augment import Augmentation, view_draws
from curate.manifests.pairset import Pairset
from curate.manifests.schema import list_matrix
from curate.manifests.stream.budget import FailureBudget
from curate.manifests.stream.transform import ImageTransform
from curate.manifests.vectors import unit
from curate.pipeline.job import Options, run_job
from curate.pipeline.resolve import ENCODERS, Request
from curate.stages import registry
from curate.stages.embed.base import Encoder

VIEW_PX = 224
"""Side of the pictures that views are cut from, pixels."""
_CHUNK = 256


def encoder_settings(name: str) -> dict[str, Any]:
    """Return the settings of a space: "builtin", or a graph that takes 0..255 (MobileNetV2)."""
    if not name.endswith(".onnx"):
        return {"encoder": name}
    path = str(Path(name).absolute())
    return {"encoder": "onnx", "path": path, "output": "embedding", "scale": 255}


def mine(
    config: Path,
    out: Path,
    recipes: Sequence[str],
    sets: Sequence[str],
    ray: str = "off",
    **more: Any,
) -> None:
    """Run `curate run CONFIG -o OUT --recipe ... --set ...` in this process."""
    request = Request(str(config), recipes=list(recipes), sets=list(sets), **more)
    run_job(request, Options(out=str(out), ray=ray, report=False, quiet=True))


def labels_of(pairset: Pairset) -> tuple[np.ndarray, np.ndarray]:
    """Return int64 [N] codes of labels, and bool [N], whether a sample is of the training split."""
    table = pairset.table("samples", ["label", "split"])
    codes: dict[str, int] = {}
    labels = [codes.setdefault(label, len(codes)) for label in table["label"].to_pylist()]
    return np.array(labels, np.int64), np.array(table["split"].to_pylist()) == "train"


def agreement(pairset: Pairset) -> dict[str, float]:
    """Return the share of positives, mined negatives and masked ones that have the anchor's label.

    Of training anchors. A picture's own views are no evidence and are left out; so are random
    negatives. A role that the pairs do not have is missing; `..._each` is how many an anchor has.
    """
    labels, train = labels_of(pairset)
    wanted = [f"{role}_ids" for role in ("positive", "negative", "false_negative")]
    found = pairset.table("pairs", ["anchor_id", *wanted])
    kept = train[found["anchor_id"].to_numpy()]
    anchors = found["anchor_id"].to_numpy()[kept, None]
    mined = bool(pairset.manifest["config"]["negatives"])
    facts: dict[str, float] = {}
    for name, column, length in zip(("positives", "negatives", "masked"), wanted, "PKF",
                                    strict=True):  # fmt: skip
        ids = list_matrix(found[column], pairset.counts[length])[kept]
        there = (ids >= 0) & (ids != anchors)
        if there.any() and (name != "negatives" or mined):
            facts[name] = float((labels[ids] == labels[anchors])[there].mean())
            facts[f"{name}_each"] = float(there.sum() / len(ids))
    return facts


@dataclass(frozen=True)
class Bank:
    """Features of all samples of a corpus, by sample id.

    Attributes:
        plain: float16 [N, d], unit rows: the pictures as they are.
        views: float16 [V, N, d], unit rows: random views; zeros outside the training split.
        labels: int64 [N].
        train: int64 [n] sample ids of the training split.
        test: int64 [m] sample ids of the test split.
    """

    plain: Tensor
    views: Tensor
    labels: Tensor
    train: Tensor
    test: Tensor

    @classmethod
    def of(cls, out: Path, encoder: str, views: int, folder: Path) -> Bank:
        """Read the features of a pairset; the views are embedded, unless they are there.

        Args:
            out: the pairset, with space "image".
            encoder: as for `encoder_settings`.
            views: V.
            folder: where views are kept, chunk by chunk, so that a stopped run goes on.
        """
        pairset = Pairset.open(out)
        rows = np.arange(pairset.counts["samples"])
        plain = pairset.vectors("image").rows(rows)
        train = np.flatnonzero(labels_of(pairset)[1])
        seen = np.zeros((views, len(rows), plain.shape[1]), np.float16)
        for start in range(0, len(train), _CHUNK):
            ids = train[start : start + _CHUNK]
            path = folder / f"views-{views}-{start:06d}.npy"
            if not path.exists():
                made = _embedded(PairStream(out, 2), encoder, ids, views)
                storage.write_atomically(path, lambda scratch, made=made: _save(scratch, made))
            seen[:, ids] = np.load(path)
        plain = torch.from_numpy(plain.astype(np.float16))
        return replace(cls.plainly(out, plain), views=torch.from_numpy(seen))

    @classmethod
    def plainly(cls, out: Path, plain: Tensor) -> Bank:
        """Return a bank without views, of features [N, d] in the order of a pairset's samples."""
        labels, train = labels_of(Pairset.open(out))
        ids = torch.arange(len(labels))
        kept = torch.from_numpy(train)
        return cls(plain, plain[None, :0], torch.from_numpy(labels), ids[kept], ids[~kept])

    def mean_views(self) -> np.ndarray:
        """Return float32 [N, d]: the mean of a sample's views, its plain vector without any."""
        mean = self.views.float().mean(0)
        return torch.where(mean.any(1, keepdim=True), mean, self.plain.float()).numpy()


def _save(path: Path, rows: np.ndarray) -> None:
    with path.open("wb") as file:
        np.save(file, rows)


@functools.lru_cache(maxsize=1)
def _loaded(encoder: str) -> Any:
    settings = encoder_settings(encoder)
    kind: Any = registry.load(settings.pop("encoder"), ENCODERS, Encoder)
    return kind(**settings).load("cpu")


def _embedded(stream: PairStream, encoder: str, ids: np.ndarray, views: int) -> np.ndarray:
    """Return float16 [V, n, d]: unit vectors of V random views of each picture."""
    stream.transform = ImageTransform(VIEW_PX)
    loaded = stream.images.load(ids, 0, FailureBudget(0.0, goes_on=False))
    images = torch.stack([image for image in loaded if image is not None])
    return np.stack([_view(images, ids, view, _loaded(encoder)) for view in range(views)])


def _view(images: Tensor, ids: np.ndarray, view: int, loaded: Any) -> np.ndarray:
    shown = Augmentation()(images, view_draws(0, view, torch.from_numpy(ids), "outcome"))
    pixels = (shown * 255).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
    prepared = [loaded.prepare_image(Image.fromarray(picture)) for picture in pixels]
    made = [loaded.encode_images(prepared[at : at + 16]) for at in range(0, len(prepared), 16)]
    return unit(np.concatenate(made)).astype(np.float16)
