"""One column of `samples` as integers, for a loss that needs to know more of a sample."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from torch import Tensor

from ..codes import encode
from ..errors import UsageError
from ..pairset import Pairset
from ..schema import NO_ID, table_schema


def sample_codes(pairset: Pairset, column: str) -> Tensor:
    """Return int64 [N]: integers as they are, codes of texts in the order they are met; null is -1.

    Raises:
        UsageError: no such column, or one of other values.
    """
    schema = table_schema("samples", pairset.manifest)
    if schema is None or column not in schema.names:
        raise UsageError(
            f"samples of {pairset.root} has no column {column!r}. It has: "
            f"{', '.join(schema.names if schema else ())}."
        )
    kind = schema.field(column).type
    if not (pa.types.is_integer(kind) or pa.types.is_string(kind)):
        raise UsageError(f"column {column!r} is of type {kind}; integers or texts are needed.")
    known: dict[str | None, int] = {None: NO_ID}
    parts = [
        pc.fill_null(table[column], NO_ID).to_numpy()
        if pa.types.is_integer(kind)
        else encode(table[column], lambda text: known.setdefault(text, len(known) - 1))
        for table in pairset.tables("samples", [column])
    ]
    return torch.from_numpy(np.concatenate(parts).astype(np.int64))
