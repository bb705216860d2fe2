"""Which entries of a list the captions of a part hold, all captions at once.

A caption is cut into words where it has spaces, with punctuation marks as words of their own; an
entry is found where its words stand in a row, which is what MetaCLIP's search for " entry " in the
spaced text finds. Entries are held as a tree of words: a step from a node by a word is one search
in a sorted array, so a part costs as many array operations as the longest entry has words.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ...manifests.fingerprint import key_hashes

MARKS = ",.;:?!`"
"""Punctuation that is set apart, as in MetaCLIP's code."""


@dataclass(frozen=True)
class Words:
    """The words of texts, one after the other.

    Attributes:
        texts: int64 [n], the text that each word stands in, ascending.
        codes: int64 [n], position in `vocabulary`.
        vocabulary: the different words.
    """

    texts: np.ndarray
    codes: np.ndarray
    vocabulary: list[str]


def words_of(texts: pa.Array, ignore_case: bool) -> Words:
    """Cut texts (strings, none of them null) into words."""
    spaced = pc.call_function(
        "replace_substring_regex",
        [texts],
        pc.ReplaceSubstringOptions(f"([{MARKS}])", r" \1 "),
    )
    if ignore_case:
        spaced = pc.call_function("utf8_lower", [spaced])
    lists = pc.call_function("utf8_split_whitespace", [spaced])
    lengths = pc.call_function("list_value_length", [lists]).to_numpy(zero_copy_only=False)
    coded = lists.flatten().dictionary_encode()
    vocabulary = coded.dictionary.to_pylist()
    codes = coded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
    rows = np.repeat(np.arange(len(lengths)), lengths.astype(np.int64))
    real = np.array([word != "" for word in vocabulary], bool)[codes]
    return Words(rows[real], codes[real], vocabulary)


@dataclass(frozen=True)
class Entries:
    """Entries as a tree of words.

    Attributes:
        words: number of each word that an entry holds.
        steps: int64 [E], sorted: node * words + word, of every step of the tree.
        nodes: int64 [E], the node that each step leads to.
        names: uint64 [nodes], the hash of the entry that ends in a node; 0 for none.
        depth: words of the longest entry.
    """

    words: dict[str, int]
    steps: np.ndarray
    nodes: np.ndarray
    names: np.ndarray
    depth: int

    @classmethod
    def of(cls, texts: Sequence[str], ignore_case: bool) -> Entries:
        """Build the tree; empty entries are passed over, equal ones are one."""
        found = words_of(pa.array(texts, pa.string()), ignore_case)
        sizes = np.bincount(found.texts, minlength=len(texts))
        starts = np.cumsum(sizes) - sizes
        count, depth = max(len(found.vocabulary), 1), int(sizes.max(initial=0))
        at = np.zeros(len(texts), np.int64)
        steps, nodes, total = [], [], 1
        for place in range(depth):
            rows = np.flatnonzero(sizes > place)
            keys, back = np.unique(
                at[rows] * count + found.codes[starts[rows] + place], return_inverse=True
            )
            at[rows] = total + back.reshape(-1)
            steps.append(keys)
            nodes.append(total + np.arange(len(keys)))
            total += len(keys)
        names = np.zeros(total, np.uint64)
        full = np.flatnonzero(sizes > 0)
        joined = _joined(found, starts[full], sizes[full])
        names[at[full]] = name_hashes(joined)
        # A node's number grows with its depth, so the steps are sorted already.
        none = np.zeros(0, np.int64)
        numbers = {word: code for code, word in enumerate(found.vocabulary)}
        return cls(
            numbers,
            np.concatenate([none, *steps]),
            np.concatenate([none, *nodes]),
            names,
            depth,
        )

    def find(self, words: Words) -> tuple[np.ndarray, np.ndarray]:
        """Return text int64 [m] and hash uint64 [m] of each entry that a text holds, each once."""
        known = np.array([self.words.get(word, -1) for word in words.vocabulary], np.int64)
        codes = known[words.codes] if len(known) else words.codes
        count = max(len(self.words), 1)
        # All words take the first step, so that one is looked up once a different word.
        first = self._step(np.append(known, -1))
        at, node = np.arange(len(codes)), np.zeros(len(codes), np.int64)
        texts, names = [np.zeros(0, np.int64)], [np.zeros(0, np.uint64)]
        for place in range(self.depth):
            here = at + place
            inside = here < len(codes)
            at, node, here = at[inside], node[inside], here[inside]
            same = (words.texts[here] == words.texts[at]) & (codes[here] >= 0)
            at, here, node = at[same], here[same], node[same]
            node = self._step(node * count + codes[here]) if place else first[words.codes[here]]
            at, node = at[node > 0], node[node > 0]
            ends = self.names[node] != 0
            texts.append(words.texts[at[ends]])
            names.append(self.names[node[ends]])
        return once(np.concatenate(texts), np.concatenate(names))

    def _step(self, keys: np.ndarray) -> np.ndarray:
        """Return the nodes that steps lead to, int64; 0 (the root) where there is no such step."""
        if not len(self.steps):
            return np.zeros(len(keys), np.int64)
        place = np.minimum(np.searchsorted(self.steps, keys), len(self.steps) - 1)
        return np.where(self.steps[place] == keys, self.nodes[place], 0)


def once(texts: np.ndarray, names: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return different pairs, sorted by text, then by name."""
    order = np.lexsort((names, texts))
    texts, names = texts[order], names[order]
    new = np.ones(len(texts), bool)
    new[1:] = (texts[1:] != texts[:-1]) | (names[1:] != names[:-1])
    return texts[new], names[new]


def name_hashes(texts: Sequence[str]) -> np.ndarray:
    """Return uint64 [n]: 64-bit names of entries, never 0."""
    return np.maximum(key_hashes(texts)[:, 0], np.uint64(1)) if texts else np.zeros(0, np.uint64)


def _joined(words: Words, starts: np.ndarray, sizes: np.ndarray) -> list[str]:
    codes: list[int] = words.codes.tolist()
    return [
        " ".join(map(words.vocabulary.__getitem__, codes[start : start + size]))
        for start, size in zip(starts.tolist(), sizes.tolist(), strict=True)
    ]
