"""What the pages show, as JSON: samples, rows of pairs, explained anchors, questions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import DataError, UsageError
from ..explain import places_of
from ..lookup import SampleRows, ids_of_keys
from ..pairset import QUESTIONS, Pairset
from ..people import ANSWERS
from ..questions import AskOptions, ask
from ..report.rows import rows_with
from ..schema import NO_ID
from .anchor import anchor_page, shown_on
from .desk import Desk
from .facets import facets
from .pictures import Pictures
from .query import Finder, Query
from .search import Nearest, nearest_exact, ranked

MOST = 200
"""Samples of one answer."""
_RANKED = 1000
"""Samples nearest to a vector that a filter then chooses from."""
_COLUMNS = ("sample_id", "key", "shard", "captions", "labels", "split", "group_id")
_PAIR_LISTS = ("ids", "kinds", "scores", "weights")

Encode = Callable[[str], np.ndarray]
"""A text -> its vector in a space, float32 [d], unit norm; raises DataError where it has none."""


@dataclass(frozen=True)
class Search:
    """How vectors are searched; the floors above know indexes and encoders.

    Attributes:
        nearest: the search; None to compare with every vector.
        texts: for each space that texts can be looked up in, what encodes them.
    """

    nearest: Nearest | None = None
    texts: Mapping[str, Encode] = field(default_factory=dict)


class Viewer:
    """A pairset and a file of questions, as pages see them; threads may share it.

    Args:
        pairset: what is shown.
        questions: the file of questions; OUT/questions.jsonl when None.
        oracle: who answers.
        search: how vectors are searched.
    """

    def __init__(
        self,
        pairset: Pairset,
        questions: Path | None = None,
        oracle: str = "",
        search: Search | None = None,
    ) -> None:
        self.pairset, self.search = pairset, search or Search()
        self.pictures = Pictures(pairset)
        self.desk = Desk(questions or pairset.root / QUESTIONS, oracle)
        self._finder = Finder(pairset)
        self._nearest = self.search.nearest or nearest_exact(pairset)
        self._facets: dict[str, Any] | None = None
        # Keys of questions only: to look one up reads all keys of the corpus.
        self._ids: dict[str, int] = {}

    def about(self) -> dict[str, Any]:
        """What the page's frame and its filters show."""
        if self._facets is None:
            self._facets = facets(self.pairset)
        return {
            **self._facets,
            "text_spaces": sorted(self.search.texts),
            "questions": self.desk.facts(),
        }

    def samples(self, query: Query, start: int, limit: int) -> dict[str, Any]:
        """A page of samples in the order of their ids: items, next."""
        found = self._finder.page(query, start, min(limit, MOST))
        cards = self.cards(found.ids)
        return {"items": [cards[row] for row in found.ids], "next": found.next}

    def near_sample(self, query: Query, space: str, sample: int, limit: int) -> dict[str, Any]:
        """The samples most similar to one, itself left out: items, each with its similarity.

        Raises:
            DataError: it has no vector in the space.
        """
        row = SampleRows(self.pairset, ["sample_id", "key"]).row(sample)
        vector = self.pairset.vectors(space).rows(np.array([sample]))[0]
        if not vector.any():
            raise DataError(f"{row['key']} has no vector in space {space}.")
        return self._ranked(query, space, vector, limit, leave_out=sample)

    def near_text(self, query: Query, space: str, text: str, limit: int) -> dict[str, Any]:
        """The samples most similar to a text: items, each with its similarity.

        Raises:
            UsageError: texts cannot be looked up in this space.
            DataError: the encoder cannot be had.
        """
        if space not in self.search.texts:
            known = ", ".join(sorted(self.search.texts)) or "none"
            raise UsageError(f"no texts can be looked up in {space!r}; in: {known}.")
        return self._ranked(query, space, self.search.texts[space](text), limit)

    def _ranked(
        self, query: Query, space: str, vector: np.ndarray, limit: int, leave_out: int = -1
    ) -> dict[str, Any]:
        near = self._nearest(space, vector.astype(np.float32), _RANKED)
        order = ranked(self.pairset, space, vector.astype(np.float32), near)
        order = [(row, similar) for row, similar in order if row != leave_out]
        kept = set(self._finder.among(query, [row for row, _ in order]))
        shown = [item for item in order if item[0] in kept][: min(limit, MOST)]
        cards = self.cards([row for row, _ in shown])
        return {
            "items": [{**cards[row], "similarity": similar} for row, similar in shown],
            "next": None,
        }

    def pairs(self, query: Query, start: int, limit: int) -> dict[str, Any]:
        """A page of rows of `pairs`: items (anchor, places), next, samples by id."""
        found = self._finder.page(query, start, min(limit, MOST))
        columns = [f"{role}_{what}" for role in ("positive", "negative") for what in _PAIR_LISTS]
        columns += ["pair_id", "false_negative_ids", "soft_ids", "soft_targets", "rule", "weight"]
        asked = np.array(found.ids, np.int64)
        rows = rows_with(self.pairset, "pairs", "anchor_id", asked, columns).to_pylist()
        items = [
            {"anchor": row["anchor_id"], "places": places_of(self.pairset, row)}
            | {name: row[name] for name in ("pair_id", "rule", "weight")}
            for row in rows
        ]
        named = [place["sample_id"] for item in items for place in item["places"]]
        return {"items": items, "next": found.next, "samples": self.cards([*found.ids, *named])}

    def sample(self, sample: int) -> dict[str, Any]:
        """One anchor explained (see `anchor.anchor_page`), and the samples on its page by id.

        Raises:
            DataError: there is no such sample.
        """
        page = anchor_page(self.pairset, sample, len(self.about()["labels"]) > 1)
        return {**page, "samples": self.cards([sample, *shown_on(page)])}

    def cards(self, ids: Sequence[int]) -> dict[int, dict[str, Any]]:
        """Return what a small picture of each sample has written under it."""
        if not len(ids):
            return {}
        asked = np.array(ids, np.int64)
        rows = rows_with(self.pairset, "samples", "sample_id", asked, _COLUMNS).to_pylist()
        return {
            row["sample_id"]: {
                "id": row["sample_id"],
                "key": row["key"],
                "captions": row["captions"],
                "labels": row["labels"],
                "split": row["split"],
                "group_id": row["group_id"],
                "picture": bool(row["shard"]),
            }
            for row in rows
        }

    def questions(self, count: int) -> dict[str, Any]:
        """The next questions: items (a and b as cards, score, similarity, round), and counts."""
        waiting = self.desk.waiting(min(count, MOST))
        keys = [line[name] for line in waiting for name in ("key_a", "key_b")]
        cards = self._cards_of_keys(keys)
        numbers = ("score", "similarity", "round")
        items = [
            {"a": cards[line["key_a"]], "b": cards[line["key_b"]]}
            | {name: line.get(name) for name in numbers}
            for line in waiting
            if line["key_a"] in cards and line["key_b"] in cards
        ]
        return {"items": items, **self.desk.facts()}

    def answer(self, a: int, b: int, said: str, count: int) -> dict[str, Any]:
        """Note what was said of two samples; return the next `count` questions and the counts.

        Raises:
            UsageError: it is no answer, or a sample is asked about with itself.
            DataError: there is no such sample.
        """
        if said not in ANSWERS:
            raise UsageError(f"answer {said!r}; allowed are {', '.join(ANSWERS)}.")
        if a == b:
            raise UsageError("two different samples are needed.")
        rows = SampleRows(self.pairset, ["sample_id", "key"])
        self.desk.answer((rows.row(a)["key"], rows.row(b)["key"]), said)
        return self.questions(count)

    def undo(self, count: int) -> dict[str, Any]:
        """Take the latest answer back; return its pair (or None) and what `answer` returns."""
        pair = self.desk.undo()
        cards = self._cards_of_keys(pair or ())
        undone = [cards[key] for key in pair or () if key in cards]
        return {"undone": undone or None, **self.questions(count)}

    def ask(self, budget: int) -> dict[str, Any]:
        """Choose a further round of questions; return its facts."""
        options = AskOptions(budget=budget)
        asked = self.desk.alone(lambda: ask(self.pairset, self.desk.path, options))
        return {**asked.facts, "questions": self.desk.facts()}

    def _cards_of_keys(self, keys: Sequence[str]) -> dict[str, dict[str, Any]]:
        new = [key for key in keys if key not in self._ids]
        self._ids |= zip(new, ids_of_keys(self.pairset, new).tolist(), strict=True)
        ids = [self._ids[key] for key in keys if self._ids[key] != NO_ID]
        return {card["key"]: card for card in self.cards(ids).values()}
