"""Plain filters on pictures and captions: size, shape, words, and captions seen everywhere."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from ...manifests.artifact import Artifact, Output
from ...manifests.fingerprint import key_hashes
from ...manifests.selection import DROP_CODE, Drop
from ..base import Task
from .base import KEPT, Corpus, Selector, Verdict

_COLUMNS = ("width", "height", "caption", "captions")


class Filters(Selector):
    """The filters of ALIGN and of DataComp's basic filtering; the first that fails is the reason.

    Jia et al., Scaling Up Visual and Vision-Language Representation Learning With Noisy Text
    Supervision (ALIGN), 2021, §3: short side, aspect ratio, 3 to 20 words, captions shared by more
    than 10 images, images with more than 1000 captions. Gadre et al., DataComp, 2023, §5.2: more
    than two words, more than five characters. In this order: `short_side`, `aspect`,
    `no_caption`, `few_words`, `many_words`, `few_characters`, `many_captions`, `shared_caption`.
    None switches a filter off.

    What is looked at is the first caption, without spaces around it; words are what spaces part.
    A picture whose size is not known passes the filters of size. Counts are over the whole corpus,
    whatever else is dropped.

    Fidelity: exact, without ALIGN's filter of rare tokens and its removal of test pictures
    (near-duplicates are `duplicates` here).

    Trap: a caption in a script without spaces is one word; raise no `min_words` there.
    """

    paper = "Jia et al., ALIGN, 2021; Gadre et al., DataComp, 2023"
    bytes_a_sample = 80

    min_side: int | None = Field(default=200, ge=1)
    """Pixels of the shorter side."""
    max_aspect: float | None = Field(default=3.0, ge=1)
    """Longer side by shorter side."""
    min_words: int | None = Field(default=3, ge=1)
    """Words of the caption."""
    max_words: int | None = Field(default=20, ge=1)
    """Words of the caption."""
    min_characters: int | None = Field(default=None, ge=1)
    """Characters of the caption."""
    max_captions: int | None = Field(default=1000, ge=1)
    """Captions of one sample."""
    max_shared: int | None = Field(default=10, ge=1)
    """Samples that may have one and the same caption."""

    def measure(self, corpus: Corpus, task: Task) -> Output:
        """Apply what a row alone decides; count the captions of a part."""
        table = corpus.table(task.part, _COLUMNS)
        text = _call("utf8_trim_whitespace", pc.fill_null(table["caption"], "").combine_chunks())
        failed = self._failed(table, text)
        drops = np.full(table.num_rows, KEPT)
        for drop, wrong in reversed(failed):
            drops[wrong] = DROP_CODE[drop]
        files: dict[str, Any] = {"drops.npy": drops}
        if self.max_shared is not None:
            coded = text.dictionary_encode()
            codes = coded.indices.to_numpy()
            texts = coded.dictionary.to_pylist()
            files["codes.npy"] = codes
            files["hashes.npy"] = key_hashes(texts)
            files["counts.npy"] = np.bincount(codes, minlength=len(texts))
        unsized = int(table["width"].null_count)
        return Output(len(drops), files, {"without_size": unsized})

    def _failed(self, table: pa.Table, text: pa.Array) -> list[tuple[Drop, np.ndarray]]:
        """Return which rows fail each filter that a row alone decides, in order."""
        width, height = (_numbers(table[name]) for name in ("width", "height"))
        short, long = np.minimum(width, height), np.maximum(width, height)
        characters = _call("utf8_length", text).to_numpy(zero_copy_only=False)
        words = np.where(characters > 0, _lengths(_call("utf8_split_whitespace", text)), 0)
        captions = _lengths(table["captions"].combine_chunks())
        limits = (self.min_words, self.max_words, self.min_characters, self.max_shared)
        read = any(limit is not None for limit in limits)
        return [
            (Drop.SHORT_SIDE, short < (self.min_side or 0)),
            (Drop.ASPECT, long > short * (self.max_aspect or np.inf)),
            (Drop.NO_CAPTION, (characters == 0) & read),
            (Drop.FEW_WORDS, words < (self.min_words or 0)),
            (Drop.MANY_WORDS, words > (self.max_words or np.inf)),
            (Drop.FEW_CHARACTERS, characters < (self.min_characters or 0)),
            (Drop.MANY_CAPTIONS, captions > (self.max_captions or np.inf)),
        ]

    def decide(self, corpus: Corpus, measured: Artifact) -> Verdict:
        """Add the captions that too many samples share."""
        drops = np.concatenate(
            [np.zeros(0, np.uint8), *(measured.array(p, "drops.npy") for p in measured.parts)]
        )
        facts = {"without_size": sum(r.facts["without_size"] for r in measured.receipts)}
        if self.max_shared is not None:
            shared = _shared(measured) > self.max_shared
            drops[shared & (drops == KEPT)] = DROP_CODE[Drop.SHARED_CAPTION]
        return Verdict(drops, facts=facts)


def _call(function: str, values: pa.Array) -> Any:
    """Call a function that pyarrow makes at import, which type checkers cannot see."""
    return pc.call_function(function, [values])


def _lengths(lists: pa.Array) -> np.ndarray:
    return _call("list_value_length", lists).to_numpy(zero_copy_only=False)


def _numbers(column: pa.ChunkedArray) -> np.ndarray:
    """Return a column of pixels as float64, NaN where unknown: it fails no comparison."""
    return pc.fill_null(pc.cast(column, pa.float64()), float("nan")).to_numpy()


def _shared(measured: Artifact) -> np.ndarray:
    """Return int64 [N], the samples of the corpus that have a sample's caption, itself included.

    Holds 24 bytes a different caption of each part and 8 a sample.
    """
    parts = measured.parts
    if not parts:
        return np.zeros(0, np.int64)
    hashes = np.concatenate([measured.array(part, "hashes.npy") for part in parts])
    counts = np.concatenate([measured.array(part, "counts.npy") for part in parts])
    order = np.lexsort((hashes[:, 1], hashes[:, 0]))
    ordered = hashes[order]
    new = np.ones(len(order), bool)
    new[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    name = np.empty(len(order), np.int64)
    name[order] = np.cumsum(new) - 1
    total = np.bincount(name, weights=counts).astype(np.int64)[name]
    starts = np.cumsum([0, *(len(measured.array(part, "hashes.npy")) for part in parts)])
    return np.concatenate(
        [
            total[start + measured.array(part, "codes.npy")]
            for part, start in zip(parts, starts, strict=False)
        ]
    )
