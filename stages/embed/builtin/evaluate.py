"""How good the built-in encoder is on pictures it has never seen: the sample corpus of seed 0."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import torch
from numpy.typing import NDArray
from PIL import Image

from ...sample_corpus.render import jpeg_bytes, render
from ...sample_corpus.scene import Scene
from .model import CONTEXT
from .pictures import distinct_scenes

HELD_OUT_SEED = 0
METHOD = (
    "Sample corpus of seed 0 (training uses other seeds), first frame of each scene, one image a "
    "scene, rows without captions left out. Images are rendered at 128 px, written as JPEG, read "
    "back and preprocessed by the transform open_clip builds from the config. Retrieval: the first "
    "1000 scenes. 'first_caption': the pool is the first (richest) caption of each image, 1000 "
    "texts; a hit is the image's own caption, or for text to image the caption's own image. "
    "'all_captions': the pool is every caption of the 1000 images, also the short ones that fit "
    "many images; image to text hits when one of the image's own captions is among the first k; "
    "text to image asks with each caption for its own image. label_knn: 2000 scenes, leave one "
    "out, majority of the 10 nearest by cosine (ties to the nearer), classes are the 24 kinds of "
    "the primary group."
)


def _hits(scores: NDArray[np.float32], own: NDArray[np.bool_], k: int) -> float:
    """Share of rows of `scores` [n, m] with a true entry of `own` [n, m] among the best k."""
    best = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return float(np.take_along_axis(own, best, axis=1).any(axis=1).mean())


def _retrieval(
    images: NDArray[np.float32], texts: NDArray[np.float32], owner: NDArray[np.int64]
) -> dict[str, float]:
    scores = images @ texts.T
    own = owner[None, :] == np.arange(len(images))[:, None]
    found: dict[str, float] = {}
    for k in (1, 5):
        found[f"image_to_text_r{k}"] = _hits(scores, own, k)
        found[f"text_to_image_r{k}"] = _hits(scores.T, own.T, k)
    return {name: round(value, 4) for name, value in found.items()}


def _knn(vectors: NDArray[np.float32], labels: NDArray[np.int64], k: int) -> float:
    scores = vectors @ vectors.T
    np.fill_diagonal(scores, -np.inf)
    near = labels[np.argsort(-scores, axis=1, kind="stable")[:, :k]]
    # A vote is worth 1; the small share for rank only breaks ties.
    votes = np.zeros((len(labels), labels.max() + 1))
    for rank in range(k):
        np.add.at(votes, (np.arange(len(labels)), near[:, rank]), 1.0 + 1e-3 * (k - rank))
    return round(float((votes.argmax(axis=1) == labels).mean()), 4)


def _as_read(scene: Scene) -> Image.Image:
    return Image.open(io.BytesIO(jpeg_bytes(render(scene, 128)))).convert("RGB")


@torch.inference_mode()
def _encode_images(model: Any, transform: Any, scenes: list[Scene]) -> NDArray[np.float32]:
    rows = []
    for start in range(0, len(scenes), 250):
        batch = torch.stack([transform(_as_read(s)) for s in scenes[start : start + 250]])
        rows.append(model.encode_image(batch, normalize=True).float().numpy())
    return np.concatenate(rows)


@torch.inference_mode()
def _encode_texts(model: Any, texts: list[str]) -> NDArray[np.float32]:
    tokenizer = open_clip.SimpleTokenizer(context_length=CONTEXT)
    rows = [
        model.encode_text(tokenizer(texts[i : i + 250]), normalize=True).float().numpy()
        for i in range(0, len(texts), 250)
    ]
    return np.concatenate(rows)


def evaluate(folder: Path, pairs: int = 1000, images: int = 2000) -> dict[str, Any]:
    """Measure the weights in a folder, loaded as any open_clip checkpoint.

    Args:
        folder: holds `open_clip_config.json` and the weights.
        pairs: images in the retrieval test.
        images: images in the kNN test, at least `pairs`.

    Returns:
        The figures, their chance levels and a text that says how they were measured.

    Raises:
        RuntimeError: open_clip found no weights there.
    """
    loaded: Any = open_clip.create_model_from_pretrained(f"local-dir:{folder}")
    model, transform = loaded
    model.eval()
    found = list(distinct_scenes(HELD_OUT_SEED, 0, 4 * images))[:images]
    vectors = _encode_images(model, transform, [scene for scene, _ in found])
    kinds = sorted({scene.label for scene, _ in found})
    labels = np.array([kinds.index(scene.label) for scene, _ in found])
    captions = [own for _, own in found[:pairs]]
    owner = np.array([i for i, own in enumerate(captions) for _ in own])
    firsts = _encode_texts(model, [own[0] for own in captions])
    texts = _encode_texts(model, [caption for own in captions for caption in own])
    return {
        "method": METHOD,
        "pairs": pairs,
        "first_caption": _retrieval(vectors[:pairs], firsts, np.arange(pairs)),
        "all_captions": _retrieval(vectors[:pairs], texts, owner) | {"pool": len(texts)},
        "chance_r1": 1 / pairs,
        "chance_r5": 5 / pairs,
        "label_knn": _knn(vectors, labels, 10),
        "label_knn_images": images,
        "label_knn_chance": round(float(np.bincount(labels).max() / len(labels)), 4),
    }
