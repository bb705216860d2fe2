"""Closed lists of English words that the rules of `negclip` exchange."""

from __future__ import annotations

KINDS: dict[str, tuple[tuple[str, ...], ...]] = {
    "colour": (
        (
            *("black", "white", "red", "green", "blue", "yellow", "orange", "purple", "pink"),
            *("brown", "grey", "gray", "beige", "turquoise", "violet", "silver", "golden"),
        ),
    ),
    "number": (("two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"),),
    "size": (
        ("big", "small"),
        ("large", "tiny"),
        ("tall", "short"),
        ("long", "short"),
        ("wide", "narrow"),
        ("thick", "thin"),
        ("huge", "little"),
    ),
    "quality": (
        ("old", "young"),
        ("new", "old"),
        ("open", "closed"),
        ("wet", "dry"),
        ("clean", "dirty"),
        ("empty", "full"),
        ("bright", "dark"),
        ("sunny", "rainy"),
        ("round", "square"),
        ("striped", "plain"),
        ("wooden", "metal"),
        ("smooth", "rough"),
        ("happy", "sad"),
        ("hot", "cold"),
    ),
    "place": (
        ("above", "below"),
        ("over", "under"),
        ("inside", "outside"),
        ("left", "right"),
        ("indoors", "outdoors"),
        ("top", "bottom"),
        ("front", "back"),
        ("foreground", "background"),
        ("up", "down"),
    ),
    "person": (
        ("man", "woman"),
        ("men", "women"),
        ("boy", "girl"),
        ("boys", "girls"),
        ("male", "female"),
        ("adult", "child"),
    ),
    "action": (
        ("sitting", "standing"),
        ("running", "lying"),
        ("walking", "sleeping"),
        ("sits", "stands"),
        ("runs", "lies"),
        ("walks", "sleeps"),
        ("opening", "closing"),
        ("pushing", "pulling"),
    ),
    "time": (("day", "night"), ("morning", "evening"), ("summer", "winter")),
}
"""By kind: groups of words that exclude each other, so that one for another makes a caption false.

A word may stand in several groups of a kind; any partner will do. Synonyms never share a group
(grey and gray do: exchanging them is refused, see `SAME`).
"""

SAME = (frozenset({"grey", "gray"}), frozenset({"purple", "violet"}))
"""Words that mean the same: never exchanged for each other."""

PARTNERS: dict[str, tuple[tuple[str, str], ...]] = {}
"""By word: (kind, partner) pairs, in a fixed order."""

for _kind, _groups in KINDS.items():
    for _group in _groups:
        for _word in _group:
            _others = tuple(
                (_kind, other)
                for other in _group
                if other != _word and frozenset({other, _word}) not in SAME
            )
            PARTNERS[_word] = PARTNERS.get(_word, ()) + _others

ADJECTIVES = frozenset(
    word
    for kind in ("colour", "number", "size", "quality")
    for group in KINDS[kind]
    for word in group
) | frozenset({"one", "several", "beautiful", "plastic", "glass", "brick", "stone", "green"})

DETERMINERS = frozenset({"a", "an", "the", "one", "two", "three", "four", "five", "his", "her"})

BOUNDARIES = frozenset(
    {
        *("in", "on", "at", "of", "with", "and", "or", "to", "from", "by", "near", "beside"),
        *("behind", "above", "below", "over", "under", "between", "into", "onto", "through"),
        *("across", "around", "against", "along", "next", "while", "that", "which", "who", "is"),
        *("are", "was", "were", "has", "have", "inside", "outside", "for", "as", "during"),
        *("holding", "wearing", "carrying", "standing", "sitting", "lying", "running", "walking"),
        *("playing", "jumping", "looking", "riding", "eating", "watching", "chasing", "facing"),
    }
)
"""Words behind which no noun phrase goes on."""

SYMMETRIC = frozenset(
    {
        *("and", "or", "with", "next", "to", "beside", "near", "by", "together", "alongside"),
        *("along", "touching", "adjacent", "close"),
    }
)
"""Words that join two things either way round: exchanging the two leaves the caption true."""
