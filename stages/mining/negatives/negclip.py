"""Hard captions: the anchor's own caption with one edit that makes it wrong."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import combinations, islice
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from ....manifests.fingerprint import draw_uniform
from ....manifests.schema import NO_ID, Reason, Role
from ..base import TAKEN, Block, Decisions, Miner, refuse
from ._words import ADJECTIVES, BOUNDARIES, DETERMINERS, PARTNERS, SYMMETRIC

EDITS_LOOKED_AT = 64
"""Edits of one anchor's captions from which is drawn; long captions have more."""

Edit = Literal["swap_words", "swap_nouns", "replace"]
_TOKEN = re.compile(r"\w+(?:['’-]\w+)*|[^\w\s]")
_PUNCTUATION = re.compile(r"\s+([.,;:!?])")


class Negclip(Miner):
    """Captions that one edit of words made false.

    Yuksekgonul et al., When and Why Vision-Language Models Behave like Bags-of-Words (NegCLIP),
    2023, §4: hard negative captions by exchanging words of one kind. Their tagger is a neural
    model; here the rules stand on closed lists of words, so they need no model and can be checked:

        swap_words   two words of one kind change places: "a red cup on a blue box" gives
                     "a blue cup on a red box"
        swap_nouns   two noun phrases change places: "a cup on a box" gives "a box on a cup"
        replace      one word gives way to one that excludes it: "two" to "five", "above" to
                     "below"

    `count` of all feasible edits of all captions of the anchor are drawn, each equally likely.
    Refused: what equals a caption of the image or of a near-duplicate (letter case, spaces and
    punctuation aside). Two things that "and", "with" or "next to" join are never exchanged: the
    caption would stay true.

    Fidelity: exact with a hook: the trainer contrasts pictures with these captions, never captions
    with pictures they do not have.

    Traps: hard negatives without hard positives make a model over-sensitive to wording; English
    only; nouns are found by their articles, so some captions have no feasible swap. No encoder
    judges how near an edit stays to its source.
    """

    role = Role.NEGATIVE
    fidelity = "exact+hook"
    paper = (
        "Yuksekgonul et al., When and Why Vision-Language Models Behave like Bags-of-Words, 2023"
    )
    makes_texts: ClassVar[bool] = True
    reads_captions: ClassVar[bool] = True

    count: int = Field(default=1, ge=1, le=64)
    """Hard captions an anchor."""
    edits: tuple[Edit, ...] = ("swap_words", "swap_nouns", "replace")
    """Which kinds of edit are made."""

    @property
    def capacity(self) -> int:
        """As many as are drawn."""
        return self.count

    def mine(self, block: Block) -> Decisions:
        """Draw edits of every anchor's captions."""
        size = len(block.anchors)
        draws = draw_uniform(block.seed, block.anchors, "negclip", EDITS_LOOKED_AT)
        texts = np.full((size, self.count + EDITS_LOOKED_AT), None, object)
        refused = np.zeros(texts.shape, bool)
        width = 0
        for row in range(size):
            true = {plain(text) for text in block.captions[row]}
            true |= {plain(text) for text in block.twin_captions[row]}
            found = list(islice(self._edits(block.captions[row]), EDITS_LOOKED_AT))
            taken = place = 0
            for at in np.argsort(draws[row, : len(found)], kind="stable"):
                if taken == self.count:
                    break
                texts[row, place] = found[at]
                refused[row, place] = plain(found[at]) in true
                taken += not refused[row, place]
                place += 1
            width = max(width, place)
        texts, refused = texts[:, :width], refused[:, :width]
        ids = np.full(texts.shape, NO_ID, np.int64)
        reasons = np.full(texts.shape, TAKEN)
        refuse(reasons, refused, Reason.TRUE_CAPTION)
        return Decisions(
            ids=ids,
            reasons=reasons,
            similarities=np.full(texts.shape, np.nan, np.float32),
            ranks=np.broadcast_to(np.arange(width, dtype=np.int32), texts.shape),
            texts=texts,
        )

    def _edits(self, captions: Sequence[str]) -> Iterator[str]:
        """Yield all edits of some captions, each text once."""
        makers = {"swap_words": _swap_words, "swap_nouns": _swap_nouns, "replace": _replace}
        seen: set[str] = set()
        for caption in captions:
            tokens = _TOKEN.findall(caption)
            for edit in self.edits:
                for changed in makers[edit](tokens):
                    text = _joined(changed)
                    if text not in seen:
                        seen.add(text)
                        yield text


def plain(text: str) -> str:
    """Return a caption without letter case, punctuation and repeated spaces."""
    return " ".join(re.findall(r"\w+", text.casefold()))


def _joined(tokens: Sequence[str]) -> str:
    text = _PUNCTUATION.sub(r"\1", " ".join(tokens))
    return text[:1].upper() + text[1:] if tokens and tokens[0][:1].isupper() else text


def _like(word: str, pattern: str) -> str:
    return word.capitalize() if pattern[:1].isupper() else word


def _replace(tokens: Sequence[str]) -> Iterator[list[str]]:
    for at, token in enumerate(tokens):
        for _, partner in PARTNERS.get(token.lower(), ()):
            yield [*tokens[:at], _like(partner, token), *tokens[at + 1 :]]


def _swap_words(tokens: Sequence[str]) -> Iterator[list[str]]:
    known = [(at, token.lower()) for at, token in enumerate(tokens) if token.lower() in PARTNERS]
    for (a, left), (b, right) in combinations(known, 2):
        if (right in {word for _, word in PARTNERS[left]}) and not _joins(tokens[a + 1 : b]):
            changed = list(tokens)
            changed[a], changed[b] = _like(right, tokens[a]), _like(left, tokens[b])
            yield changed


def _swap_nouns(tokens: Sequence[str]) -> Iterator[list[str]]:
    for (a, a_end), (b, b_end) in combinations(_phrases(tokens), 2):
        left, right = (list(tokens[start:end]) for start, end in ((a, a_end), (b, b_end)))
        if _lower(left[-1:]) == _lower(right[-1:]) or _joins(tokens[a_end : b - 1]):
            continue
        # Articles stay where they are, so the words behind them change places.
        yield [*tokens[:a], *right, *tokens[a_end:b], *left, *tokens[b_end:]]


def _phrases(tokens: Sequence[str]) -> list[tuple[int, int]]:
    """Return [start, end) of noun phrases: adjectives of the lists and one noun, no article."""
    found = []
    for at, token in enumerate(tokens):
        if token.lower() not in DETERMINERS:
            continue
        end = at + 1
        while end < len(tokens) and tokens[end].lower() in ADJECTIVES:
            end += 1
        if end < len(tokens) and _is_noun(tokens, end):
            found.append((at + 1, end + 1))
    return found


def _is_noun(tokens: Sequence[str], at: int) -> bool:
    word = tokens[at].lower()
    if not word[0].isalpha() or word in BOUNDARIES or word in DETERMINERS:
        return False
    following = tokens[at + 1].lower() if at + 1 < len(tokens) else "."
    ends = following in BOUNDARIES or not following[0].isalpha()
    return ends or following.endswith(("ing", "ed"))


def _joins(between: Sequence[str]) -> bool:
    """Say whether what stands between two things joins them either way round."""
    words = [t.lower() for t in between if t[0].isalpha()]
    return all(word in SYMMETRIC or word in DETERMINERS or word in ADJECTIVES for word in words)


def _lower(tokens: Sequence[str]) -> list[str]:
    return [token.lower() for token in tokens]
