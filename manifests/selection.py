"""The table `selection` of pairset/1: its columns, and why a selector dropped a sample."""

from __future__ import annotations

from enum import StrEnum

import pyarrow as pa


class Drop(StrEnum):
    """Why a selector dropped a sample. KEPT (empty) means that it did not."""

    KEPT = ""
    EARLIER = "earlier"
    NO_VECTOR = "no_vector"
    NO_CAPTION = "no_caption"
    BELOW_CUT = "below_cut"
    BELOW_THRESHOLD = "below_threshold"
    OVER_QUOTA = "over_quota"
    SHORT_SIDE = "short_side"
    ASPECT = "aspect"
    FEW_WORDS = "few_words"
    MANY_WORDS = "many_words"
    FEW_CHARACTERS = "few_characters"
    SHARED_CAPTION = "shared_caption"
    MANY_CAPTIONS = "many_captions"
    NO_ENTRY = "no_entry"
    NOT_DRAWN = "not_drawn"
    SEMANTIC_DUPLICATE = "semantic_duplicate"
    PROTOTYPE = "prototype"


DROPS: tuple[Drop, ...] = tuple(Drop)
"""Position = the uint8 code that selectors use; code 0 is KEPT."""
DROP_CODE: dict[Drop, int] = {drop: code for code, drop in enumerate(DROPS)}

SELECTION = pa.schema(
    [
        pa.field("sample_id", pa.int64(), nullable=False),
        pa.field("selector", pa.string(), nullable=False),
        pa.field("score", pa.float32()),
        pa.field("kept", pa.bool_(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),
        pa.field("witness", pa.int64()),
    ]
)
"""`selection`: one row a sample and selector, by sample_id, then in the order of the config; only
where a config selects. `score` is null where the selector has none; `reason` is one of `Drop`, ""
where the sample is kept; `witness` is the sample because of which it was dropped, if there is one.
A sample that not all selectors keep is no anchor and no candidate."""
