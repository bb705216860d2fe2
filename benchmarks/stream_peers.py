"""The pairs of a pairset in the formats of others, and the plainest loop over each.

Every loop yields the pairs that it has made a tensor [6, 3, H, W] of: anchor, positive, four
negatives, each decoded and transformed as everywhere else.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from PIL import Image

from curate.manifests.pairset import Pairset

PLACES = ("anchor", "pos0", "neg0", "neg1", "neg2", "neg3")
Decode = Callable[[bytes], torch.Tensor]
Pair = dict[str, bytes]


class PairBytes:
    """Encoded images of each pair of a pairset, held in memory while formats are written."""

    def __init__(self, root: Path) -> None:
        pairset = Pairset.open(root)
        columns = ["shard", "offset", "size"]
        table = pairset.table("samples", columns)
        files = {
            s: Path(pairset.shard_url(s)).read_bytes() for s in set(table["shard"].to_pylist())
        }
        places = zip(*(table[name].to_pylist() for name in columns), strict=True)
        self.images = [files[shard][at : at + size] for shard, at, size in places]
        rows = pairset.table("pairs", ["anchor_id", "positive_ids", "negative_ids"]).to_pylist()
        self.ids = [[r["anchor_id"], *r["positive_ids"], *r["negative_ids"]] for r in rows]

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, pair: int) -> Pair:
        return {name: self.images[i] for name, i in zip(PLACES, self.ids[pair], strict=True)}


def stacked(row: Pair, decode: Decode) -> torch.Tensor:
    """Decode the images of one pair."""
    return torch.stack([decode(row[name]) for name in PLACES])


def webdataset_loop(folder: Path, decode: Decode) -> Iterator[torch.Tensor]:
    """Read what `curate export --to webdataset` wrote."""
    import webdataset as wds

    tars = [str(path) for path in sorted(folder.glob("*.tar"))]
    for row in wds.WebDataset(tars, shardshuffle=False):
        images = {k.removesuffix(".jpg").replace("jpg", "anchor"): v for k, v in row.items()}
        yield stacked(images, decode)


def write_mds(pairs: PairBytes, folder: Path) -> None:
    """Write MosaicML's shards, one row a pair."""
    from streaming import MDSWriter

    with MDSWriter(out=str(folder), columns=dict.fromkeys(PLACES, "bytes")) as out:
        for pair in range(len(pairs)):
            out.write(pairs[pair])


def mds_loop(folder: Path, decode: Decode, batch: int) -> Iterator[torch.Tensor]:
    """Read them shuffled, with a batch size, without which predownload is tiny."""
    from streaming import StreamingDataset
    from streaming.base.util import clean_stale_shared_memory

    clean_stale_shared_memory()
    rows = StreamingDataset(local=str(folder), batch_size=batch, shuffle=True)
    for row in rows:
        yield stacked(row, decode)


def write_litdata(pairs: PairBytes, folder: Path) -> None:
    """Write litdata's chunks, one row a pair."""
    from litdata.streaming.writer import BinaryWriter

    folder.mkdir()
    out = BinaryWriter(cache_dir=str(folder), chunk_bytes="64MB")
    for pair in range(len(pairs)):
        out[pair] = pairs[pair]
    out.done()
    out.merge()


def litdata_loop(folder: Path, decode: Decode) -> Iterator[torch.Tensor]:
    """Read them shuffled."""
    from litdata import StreamingDataset

    rows = StreamingDataset(str(folder), shuffle=True, drop_last=False)
    for row in rows:
        yield stacked(row, decode)


def write_rows(pairs: PairBytes, folder: Path) -> None:
    """Write Parquet with the bytes of the six images, one row a pair, row groups of 100 rows."""
    folder.mkdir()
    rows = [pairs[pair] for pair in range(len(pairs))]
    table = pa.table({name: [row[name] for row in rows] for name in PLACES})
    pq.write_table(table, folder / "pairs.parquet", row_group_size=100, compression="none")


def datasets_loop(folder: Path, decode: Decode) -> Iterator[torch.Tensor]:
    """Stream the Parquet with Hugging Face datasets."""
    from datasets import load_dataset

    cache = folder / hashlib.sha256(str(folder).encode()).hexdigest()[:8]
    rows = load_dataset("parquet", data_files=str(folder / "pairs.parquet"), split="train",
                        streaming=True, cache_dir=str(cache))  # fmt: skip
    for row in rows:
        yield stacked(row, decode)


def decoder(transform: Callable[[Image.Image], torch.Tensor]) -> Decode:
    """Return the decoder that every peer uses: Pillow, RGB, the transform."""
    return lambda data: transform(Image.open(io.BytesIO(data)).convert("RGB"))
