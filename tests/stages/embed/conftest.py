"""A tiny open_clip model with random weights, saved as a local-dir; a corpus of pictures."""

from __future__ import annotations

import io
import json
import logging
import tarfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image
from vector_corpus import Corpus

from curate.manifests.artifact import Output

MODEL_CFG = {
    "embed_dim": 24,
    "vision_cfg": {"image_size": 32, "layers": 2, "width": 32, "patch_size": 16, "head_width": 16},
    "text_cfg": {"context_length": 16, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
}
PREPROCESS_CFG = {"size": 32, "mean": [0.4, 0.5, 0.6], "std": [0.2, 0.25, 0.3]}


@pytest.fixture(scope="session")
def tiny(tmp_path_factory) -> Path:
    logging.getLogger().addHandler(logging.NullHandler())
    import torch
    from open_clip.model import CLIP
    from safetensors.torch import save_file

    folder = tmp_path_factory.mktemp("tiny")
    torch.manual_seed(0)
    model = CLIP(**MODEL_CFG)
    config = {"model_cfg": MODEL_CFG, "preprocess_cfg": PREPROCESS_CFG}
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    state = {name: value.clone().contiguous() for name, value in model.state_dict().items()}
    save_file(state, folder / "open_clip_model.safetensors")
    return folder


def picture(seed: int, size: tuple[int, int] = (40, 34)) -> bytes:
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 255, (4, 4, 3), np.uint8)).resize(size)
    out = io.BytesIO()
    coarse.save(out, "PNG")
    return out.getvalue()


class Pictures(Corpus):
    """Samples whose images stand in one tar a scan part."""

    def make(self, images: list[bytes | None], captions: list[list[str]] | None = None):
        n = len(images)
        captions = captions or [[] for _ in range(n)]
        path, places, outputs = "", [], []
        for part, low in enumerate(range(0, n, self.part_rows)):
            tar = io.BytesIO()
            with tarfile.open(fileobj=tar, mode="w", format=tarfile.USTAR_FORMAT) as file:
                for row in range(low, min(low + self.part_rows, n)):
                    data = images[row]
                    if data is None:
                        places.append(("", -1, 0))
                        continue
                    member = tarfile.TarInfo(f"{row}.png")
                    member.size = len(data)
                    places.append((f"images/part-{part:05d}.tar", tar.tell() + 512, len(data)))
                    file.addfile(member, io.BytesIO(data))
            held = tar.getvalue()
            outputs.append(Output(1, {"tar": lambda path, held=held: path.write_bytes(held)}))
        del path
        scan = self.write("scan", outputs)
        columns = dict(zip(("shard", "offset", "size"), zip(*places, strict=True), strict=True))
        table = pa.table(
            {
                "key": [f"key{row}" for row in range(n)],
                **{name: list(values) for name, values in columns.items()},
                "captions": pa.array(captions, pa.list_(pa.string())),
            }
        )
        return self.samples_of(table), scan

    def samples_of(self, table: pa.Table):
        parts = [table.slice(at.start, at.stop - at.start) for at in self._parts(len(table))]
        return self.write("samples", [Output.of(part) for part in parts])


@pytest.fixture
def pictures(tmp_path: Path) -> Pictures:
    return Pictures(tmp_path, part_rows=10)
