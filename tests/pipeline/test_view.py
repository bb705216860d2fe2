"""What `curate view` gives to its page: which texts can be looked up, by what, in which index."""

import sys
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch

from curate.manifests.errors import DataError
from curate.manifests.pairset import Pairset
from curate.pipeline.view import nearest, open_page, texts
from curate.stages.embed.builtin import WEIGHTS, Builtin


def pairset_with(spaces, weights="", **manifest):
    embeddings = {name: {"of": "image", "encoder": {"weights": weights}} for name in spaces}
    body = {"config": {"spaces": spaces}, "embeddings": embeddings, **manifest}
    return Pairset(Path("/nowhere"), body)


def test_texts_are_looked_up_where_an_encoder_knows_them():
    found = texts(
        pairset_with(
            {
                "image": {"of": "image", "encoder": "builtin"},
                "other": {"of": "image", "encoder": "array", "path": "x.npy"},
                "graph": {"of": "image", "encoder": "onnx", "path": "x.onnx"},
                "clip": {"of": "caption", "encoder": "open_clip", "model": "ViT-B-32"},
                "gone": {"of": "image", "encoder": "no_such_encoder"},
            }
        )
    )
    assert sorted(found) == ["clip", "image"]


def test_no_module_that_a_manifest_names_is_imported(tmp_path, monkeypatch):
    (tmp_path / "evil_module.py").write_text("raise SystemExit('ran')")
    monkeypatch.syspath_prepend(str(tmp_path))
    spaces = {"image": {"of": "image", "encoder": "evil_module:Encoder"}}
    assert texts(pairset_with(spaces)) == {}
    assert "evil_module" not in sys.modules


def test_a_text_gets_the_vector_that_open_clip_gives():
    spaces = {"image": {"of": "image", "encoder": "builtin"}}
    encode = texts(pairset_with(spaces, Builtin().weights_digest()))["image"]
    model = open_clip.create_model(f"local-dir:{WEIGHTS}").eval()
    tokens = open_clip.get_tokenizer(f"local-dir:{WEIGHTS}")(["two red balls on a farm"])
    with torch.inference_mode():
        expected = torch.nn.functional.normalize(model.encode_text(tokens), dim=1)[0].numpy()
    np.testing.assert_allclose(encode("two red balls on a farm"), expected, atol=1e-5)


def test_other_weights_than_those_of_the_run_are_told():
    spaces = {"image": {"of": "image", "encoder": "builtin"}}
    with pytest.raises(DataError, match="not those that made its vectors"):
        texts(pairset_with(spaces, "0" * 64))["image"]("a cat")
    lost = {"image": {"of": "image", "encoder": "open_clip", "model": "local-dir:/nowhere"}}
    with pytest.raises(DataError, match="local-dir"):
        texts(pairset_with(lost))["image"]("a cat")


def test_an_inverted_file_is_searched_and_small_spaces_are_compared(tmp_path, monkeypatch):
    rows = np.eye(8, dtype=np.float16)
    np.save(tmp_path / "v.npy", rows)
    files = [{"path": "v.npy", "rows": 8}]
    index = {"exact": False, "nprobe": 3, "files": [{"path": "i.faiss"}]}
    manifest = {
        "embeddings": {name: {"files": files} for name in ("big", "small", "none")},
        "index": {"big": index, "small": {**index, "exact": True}},
    }
    opened = []

    class Fake:
        def nearest(self, vector, count):
            return np.array([5])

        @classmethod
        def open(cls, paths, nprobe):
            opened.append((paths, nprobe))
            return cls()

    monkeypatch.setattr("curate.stages.neighbors.published.PublishedIndex", Fake)
    search = nearest(Pairset(tmp_path, manifest))
    for _ in range(2):
        assert search("big", rows[1].astype(np.float32), 2).tolist() == [5]
    assert opened == [([tmp_path / "i.faiss"], 3)]
    for space in ("small", "none"):
        assert search(space, rows[1].astype(np.float32), 1).tolist() == [1]


def test_the_page_says_where_answers_go(tmp_path):
    from tiny_pairset import write_tiny_pairset

    tiny = write_tiny_pairset(tmp_path / "out", samples=40)
    page = open_page(tiny.root, 0, tmp_path / "mine.jsonl", "me")
    try:
        first, second = page.text.splitlines()
        assert first == page.server.url
        assert first.startswith(f"http://127.0.0.1:{page.server.port}/#token=")
        assert str(tmp_path / "mine.jsonl") in second
        assert page.questions == str(tmp_path / "mine.jsonl")
    finally:
        page.server.http.server_close()
