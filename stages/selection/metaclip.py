"""Captions balanced over entries: common ones are drawn, rare ones are kept."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from pydantic import Field

from ...manifests import listing, storage
from ...manifests.artifact import Artifact, Output
from ...manifests.errors import DataError
from ...manifests.fingerprint import draw_uniform
from ...manifests.selection import DROP_CODE, Drop
from ..base import Task
from ._entries import MARKS, Entries, Words, name_hashes, once, words_of
from .base import Corpus, Selector, Verdict

_MIX = np.uint64(0xD1B54A32D192ED03)


class Metaclip(Selector):
    """MetaCLIP: a sample is kept if the coin of any entry that its captions hold falls right.

    Xu et al., Demystifying CLIP Data, 2024, Algorithm 1 (facebookresearch/MetaCLIP,
    metaclip/balancing.py): entry e, held by count_e samples, has p_e = min(1, t / count_e). A
    sample tosses one coin for each of its entries and is kept if one of them is below its p_e, so
    with probability 1 - prod (1 - p_e), which is the score. A sample without an entry is dropped.
    Coins are counter-based draws keyed by (sample, entry): they do not depend on parts, workers or
    other entries.

    Entries are the lines of a file, or else the corpus's own words that at least `min_count`
    samples hold. A sample holds the entries of all its captions, each once.

    Fidelity: exact for a file of entries; the paper's 500,000 entries are not shipped.

    Traps: OR of coins, not one coin of the mean probability; upper and lower case differ unless
    `ignore_case`; the paper's t (20,000 for 400 M pairs) keeps a small corpus whole.
    """

    paper = "Xu et al., Demystifying CLIP Data, 2024"
    bytes_a_sample = 64

    t: int = Field(default=20_000, ge=1)
    """Samples of an entry that are expected to be kept, where it stands alone."""
    entries: str | None = None
    """Text file with one entry a line; None for the corpus's own words."""
    min_count: int = Field(default=5, ge=1)
    """Samples that must hold a word of the corpus for it to be an entry."""
    ignore_case: bool = False
    """Whether entries and captions are compared in lower case."""

    @property
    def sources(self) -> Sequence[str]:
        """The entries."""
        return () if self.entries is None else (self.entries,)

    def measure_bytes(self, corpus: Corpus) -> int:
        """The tree of entries: 200 bytes each, at the size of the file."""
        del corpus
        return 0 if self.entries is None else 20 * len(storage.read_bytes(self.entries))

    def measure(self, corpus: Corpus, task: Task) -> Output:
        """Find the entries of a part's samples: places int32 [m] and hashes uint64 [m].

        Raises:
            DataError: the file of entries is not text, or holds no entry.
        """
        column = corpus.table(task.part, ["captions"])["captions"].combine_chunks()
        lengths = np.diff(column.offsets.to_numpy())
        owner = np.repeat(np.arange(len(lengths)), lengths)
        words = words_of(column.flatten(), self.ignore_case)
        texts, names = self._found(words)
        places, names = once(owner[texts], names)
        files = {"places.npy": places.astype(np.int32), "names.npy": names}
        return Output(len(column), files, {"entries": len(names)})

    def _found(self, words: Words) -> tuple[np.ndarray, np.ndarray]:
        if self.entries is None:
            return _own(words)
        content = listing.content_digest(listing.matching(self.entries))
        return _read(self.entries, self.ignore_case, content).find(words)

    def decide(self, corpus: Corpus, measured: Artifact) -> Verdict:
        """Count the entries, then toss the coins part by part.

        Holds 16 bytes an entry of each part that stands in it, and 5 bytes a sample.
        """
        known, counts = self._counts(corpus, measured)
        drops = np.full(corpus.count, np.uint8(DROP_CODE[Drop.NO_ENTRY]))
        scores = np.full(corpus.count, np.nan, np.float32)
        for part in measured.parts:
            places, names = self._of_part(corpus, measured, part)
            at = np.searchsorted(known, names)
            there = at < len(known)
            there[there] &= known[at[there]] == names[there]
            ids = corpus.ids(part)
            chance = np.minimum(1.0, self.t / counts[at[there]])
            self._toss(corpus, ids, places[there], names[there], chance, (drops, scores))
        facts: dict[str, Any] = {
            "entries": len(known),
            "entries_above_t": int((counts > self.t).sum()),
            "tail_share": _tail(counts, self.t),
        }
        return Verdict(drops, scores, facts=facts)

    def _of_part(
        self, corpus: Corpus, measured: Artifact, part: str
    ) -> tuple[np.ndarray, np.ndarray]:
        places = np.asarray(measured.array(part, "places.npy"), np.int64)
        names = np.asarray(measured.array(part, "names.npy"))
        judged = corpus.is_judged(corpus.ids(part))[places]
        return places[judged], names[judged]

    def _counts(self, corpus: Corpus, measured: Artifact) -> tuple[np.ndarray, np.ndarray]:
        """Return the entries of the corpus (uint64, sorted) and how many samples hold each."""
        found = [
            np.unique(self._of_part(corpus, measured, part)[1], return_counts=True)
            for part in measured.parts
        ]
        names = np.concatenate([np.zeros(0, np.uint64), *(item[0] for item in found)])
        each = np.concatenate([np.zeros(0, np.int64), *(item[1] for item in found)])
        known, back = np.unique(names, return_inverse=True)
        counts = np.bincount(back.reshape(-1), weights=each, minlength=len(known)).astype(np.int64)
        enough = counts >= (1 if self.entries else self.min_count)
        return known[enough], counts[enough]

    def _toss(
        self,
        corpus: Corpus,
        ids: np.ndarray,
        places: np.ndarray,
        names: np.ndarray,
        chance: np.ndarray,
        out: tuple[np.ndarray, np.ndarray],
    ) -> None:
        drops, scores = out
        coins = draw_uniform(corpus.seed, coin_keys(ids[places], names), "metaclip")[:, 0]
        falls = np.bincount(places, weights=coins < chance, minlength=len(ids)) > 0
        holds = np.bincount(places, minlength=len(ids)) > 0
        with np.errstate(divide="ignore"):
            missed = np.bincount(places, weights=np.log1p(-chance), minlength=len(ids))
        drops[ids[holds]] = DROP_CODE[Drop.NOT_DRAWN]
        drops[ids[falls]] = DROP_CODE[Drop.KEPT]
        scores[ids[holds]] = -np.expm1(missed[holds])


def coin_keys(ids: np.ndarray, names: np.ndarray) -> np.ndarray:
    """Return uint64 [n], the counter of the coin of (sample, entry)."""
    with np.errstate(over="ignore"):
        return ids.astype(np.uint64) * _MIX + names


def _own(words: Words) -> tuple[np.ndarray, np.ndarray]:
    """Return the words of texts as their entries; punctuation is none."""
    names = name_hashes(words.vocabulary)
    real = np.array([word not in MARKS for word in words.vocabulary], bool)
    kept = real[words.codes]
    return once(words.texts[kept], names[words.codes[kept]])


def _tail(counts: np.ndarray, t: int) -> float:
    """Return the share of all matches that belong to entries with fewer than t samples."""
    total = int(counts.sum())
    return round(float(counts[counts < t].sum()) / total, 6) if total else 0.0


@lru_cache(maxsize=1)
def _read(path: str, ignore_case: bool, content: str) -> Entries:
    """Read the entries once a process; `content` names what the file holds."""
    del content
    try:
        lines = storage.read_bytes(path).decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise DataError(f"entries: {path} must be UTF-8 text ({error}).") from error
    if not any(line.strip() for line in lines):
        raise DataError(f"entries: {path} holds no entry; write one a line.")
    return Entries.of(lines, ignore_case)
