"""Training and evaluation pictures for the built-in encoder, rendered in memory."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context

import numpy as np
from numpy.typing import NDArray
from open_clip.tokenizer import SimpleTokenizer

from ...sample_corpus.captions import captions_for
from ...sample_corpus.render import render
from ...sample_corpus.scene import Scene, scene_at
from ...sample_corpus.world import KINDS
from .model import CONTEXT

_CHUNK = 500


@dataclass(frozen=True, slots=True)
class Pictures:
    """Images and their captions.

    Attributes:
        images: uint8 [n, px, px, 3].
        tokens: int32 [m, 40], the captions of all images one after the other.
        first: int64 [n + 1]; the captions of image i are rows first[i] .. first[i + 1] - 1.
        labels: int64 [n], the kind of the primary group as its place in `world.KINDS`.
    """

    images: NDArray[np.uint8]
    tokens: NDArray[np.int32]
    first: NDArray[np.int64]
    labels: NDArray[np.int64]


def distinct_scenes(seed: int, start: int, stop: int) -> Iterator[tuple[Scene, list[str]]]:
    """The first frame of every scene of rows start .. stop - 1 that has captions."""
    for row in range(start, stop):
        scene = scene_at(seed, row)
        if scene.frame:
            continue
        captions = captions_for(seed, row, scene)
        if captions:
            yield scene, captions


def _chunk(
    job: tuple[int, int, int, int],
) -> tuple[NDArray[np.uint8], list[list[str]], list[int]]:
    seed, start, stop, px = job
    found = list(distinct_scenes(seed, start, stop))
    images = np.stack([np.asarray(render(scene, px)) for scene, _ in found])
    labels = [KINDS.index(scene.label) for scene, _ in found]
    return images, [captions for _, captions in found], labels


def training_pictures(seed: int, rows: int, px: int, workers: int) -> Pictures:
    """Render the distinct scenes among `rows` rows of one seed.

    Args:
        seed: the seed of the corpus; the product's own corpus is seed 0.
        rows: how many rows to look at; about half of them begin a scene.
        px: side of the pictures in pixels.
        workers: processes; 1 renders in this one.

    Returns:
        The pictures, in row order for any number of workers.
    """
    jobs = [(seed, i, min(i + _CHUNK, rows), px) for i in range(0, rows, _CHUNK)]
    if workers == 1:
        chunks = [_chunk(job) for job in jobs]
    else:
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
            chunks = list(pool.map(_chunk, jobs))
    captions = [own for _, found, _ in chunks for own in found]
    tokenizer = SimpleTokenizer(context_length=CONTEXT)
    flat = [caption for own in captions for caption in own]
    tokens = np.concatenate(
        [tokenizer(flat[i : i + 4096]).numpy().astype(np.int32) for i in range(0, len(flat), 4096)]
    )
    first = np.concatenate([[0], np.cumsum([len(own) for own in captions])]).astype(np.int64)
    return Pictures(
        images=np.concatenate([images for images, _, _ in chunks]),
        tokens=tokens,
        first=first,
        labels=np.array([label for _, _, own in chunks for label in own], dtype=np.int64),
    )
