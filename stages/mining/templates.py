"""Which samples have captions of a template that many share: "image of #", "photo by _"."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from ...manifests.artifact import Output
from ...manifests.fingerprint import key_hashes
from ..base import Inputs, Resources, Task, Worker
from .prepare import Preparation, PreparedRows

RARE = 3
"""A word that at most so many samples use is what fills a template's gaps, not part of it."""
COMMON = 2
"""Words that a template must have beside its gaps."""
_STEP = np.uint64(0x9E3779B97F4A7C15)
_GAP = np.uint64(0x5851F42D4C957F2D)
_NOT_WORDS = r"[^\p{L}\p{N}]+"


class Templates(Preparation):
    """Flags samples all of whose captions are of templates with more than `limit` samples.

    The template of a caption is its words in lower case, where a word with a digit, or one that at
    most `RARE` samples use, is a gap; gaps beside each other are one. Captions that are equal so
    have one template. One with gaps counts only if it has at least `COMMON` words besides, and as
    many as gaps: what is left must say more than what was taken out.

    Input: samples. One part: "flags.npy" uint8 [N, 1]. Facts: templates (over the limit), flagged
    (samples), largest (samples of the largest template). Memory: 40 bytes a caption, 16 a
    different word, and one part's words.
    """

    suffixes = ("flags.npy",)

    limit: int = Field(ge=1)
    """Samples that may share a template."""

    @property
    def needs(self) -> Sequence[str]:
        """The captions."""
        return ("samples",)

    def plan(self, inputs: Inputs) -> list[Task]:
        """Plan one task: how many share a template is a global fact."""
        del inputs
        return [Task("part-00000")]

    def resources(self, inputs: Inputs) -> Resources:
        """Two captions a sample, and words of one part."""
        return Resources(memory_bytes=(700 << 20) + 80 * inputs["samples"].rows)

    def open(self, inputs: Inputs) -> Worker:
        """Read the captions, part by part, twice."""
        samples = inputs["samples"]

        def flag(task: Task) -> Output:
            del task
            flags, facts = self.flags(
                [lambda p=p: samples.table(p, ["captions"])["captions"] for p in samples.parts]
            )
            return Output(len(flags), {"flags.npy": flags[:, None]}, facts)

        return flag

    def flags(self, parts: Sequence[Any]) -> tuple[np.ndarray, dict[str, int]]:
        """Return uint8 [N] and the facts; each of `parts` gives the captions of a part, anew."""
        known = _words_of_all(parts)
        found = [_templates(Words.of(part()), known) for part in parts]
        owners = [owner for owner, _, _ in found]
        names = np.concatenate([np.zeros(0, np.uint64), *(name for _, name, _ in found)])
        sizes = [size for _, _, size in found]
        firsts = np.cumsum([0, *sizes])
        sample = np.concatenate(
            [np.zeros(0, np.int64), *(o + f for o, f in zip(owners, firsts, strict=False))]
        )
        # A sample that has a template twice is one sample; 0 is no template.
        order = np.lexsort((sample, names))
        new = np.ones(len(order), bool)
        ranked, of = names[order], sample[order]
        new[1:] = (ranked[1:] != ranked[:-1]) | (of[1:] != of[:-1])
        values, counts = np.unique(ranked[new & (ranked != 0)], return_counts=True)
        over = values[counts > self.limit]
        common = np.isin(names, over)
        total = np.bincount(sample, minlength=firsts[-1])
        flags = (total > 0) & (np.bincount(sample[common], minlength=firsts[-1]) == total)
        facts = {
            "templates": len(over),
            "flagged": int(flags.sum()),
            "largest": int(counts.max(initial=0)),
        }
        return flags.astype(np.uint8), facts

    def computed(
        self, graphs: Mapping[str, Any], vectors: Mapping[str, Any], count: int
    ) -> PreparedRows:
        """Return flags without captions, which graphs and vectors do not hold: none is set."""
        del graphs, vectors
        return _Flags(np.zeros((count, 1), np.uint8))


@dataclass(frozen=True)
class _Flags:
    flags: np.ndarray

    def rows(self, ids: np.ndarray) -> tuple[np.ndarray, ...]:
        return (self.flags[ids],)


@dataclass(frozen=True)
class Words:
    """The words of the captions of a part, one after the other.

    Attributes:
        names: uint64 [W], what names each word.
        numbers: bool [W], whether it has a digit.
        caption: int64 [W], the caption that it is of.
        owner: int64 [captions], the sample of each caption.
        samples: of the part.
    """

    names: np.ndarray
    numbers: np.ndarray
    caption: np.ndarray
    owner: np.ndarray
    samples: int

    @classmethod
    def of(cls, captions: pa.ChunkedArray) -> Words:
        """Cut a column of lists of captions into words."""
        column = captions.combine_chunks()
        sizes = pc.call_function("list_value_length", [column]).to_numpy(zero_copy_only=False)
        owner = np.repeat(np.arange(len(column)), sizes.astype(np.int64))
        lower = pc.call_function("utf8_lower", [column.flatten()])
        options = pc.ReplaceSubstringOptions(_NOT_WORDS, " ")
        plain = pc.call_function("replace_substring_regex", [lower], options)
        lists = pc.call_function("utf8_split_whitespace", [plain])
        counts = pc.call_function("list_value_length", [lists]).to_numpy(zero_copy_only=False)
        caption = np.repeat(np.arange(len(lists)), counts.astype(np.int64))
        words = lists.flatten().dictionary_encode()
        texts, at = words.dictionary, words.indices.to_numpy()
        names = key_hashes(texts.to_pylist())[:, 0]
        digits = pc.MatchSubstringOptions(r"\p{N}")
        numbers = pc.call_function("match_substring_regex", [texts], digits).to_numpy(
            zero_copy_only=False
        )
        kept = np.array([text != "" for text in texts.to_pylist()], bool)[at]
        at, caption = at[kept], caption[kept]
        return cls(names[at], numbers[at].astype(bool), caption, owner, len(column))


def _words_of_all(parts: Sequence[Any]) -> np.ndarray:
    """Return the names of words that more than RARE samples use, ascending uint64."""
    names, counts = np.zeros(0, np.uint64), np.zeros(0, np.int64)
    for part in parts:
        words = Words.of(part())
        sample = words.owner[words.caption]
        order = np.lexsort((sample, words.names))
        ranked, of = words.names[order], sample[order]
        new = np.ones(len(order), bool)
        new[1:] = (ranked[1:] != ranked[:-1]) | (of[1:] != of[:-1])
        own, many = np.unique(ranked[new], return_counts=True)
        names, which = np.unique(np.concatenate([names, own]), return_inverse=True)
        counts = np.bincount(which, np.concatenate([counts, many]), len(names)).astype(np.int64)
    return names[counts > RARE]


def _templates(words: Words, known: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
    """Return owner and template name (0 for none) of each caption of a part, and its samples."""
    count = len(words.owner)
    gap = words.numbers | ~np.isin(words.names, known)
    first = np.ones(len(gap), bool)
    first[1:] = words.caption[1:] != words.caption[:-1]
    kept = ~gap | first
    kept[1:] |= ~gap[:-1]
    caption, gap, names = words.caption[kept], gap[kept], words.names[kept]
    starts = np.searchsorted(caption, np.arange(count))
    place = np.arange(len(caption)) - starts[caption]
    with np.errstate(over="ignore"):
        each = np.where(gap, _GAP, names) ^ ((place + 1).astype(np.uint64) * _STEP)
        each = (each ^ (each >> np.uint64(31))) * _STEP
        total = np.zeros(count, np.uint64)
        np.add.at(total, caption, each ^ (each >> np.uint64(29)))
    gaps = np.bincount(caption, gap, count)
    rest = np.bincount(caption, ~gap, count)
    counts = (gaps == 0) | ((rest >= COMMON) & (rest >= gaps))
    # What has no word at all (empty, or signs only) is one caption for all.
    return words.owner, np.where(counts, total | np.uint64(1), np.uint64(0)), words.samples
