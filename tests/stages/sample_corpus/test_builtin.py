"""The shipped weights: small, whole, loadable by open_clip alone, and far above chance."""

from __future__ import annotations

import json

import open_clip
import pytest
import torch

from curate.stages.embed.builtin import WEIGHTS
from curate.stages.sample_corpus import captions_for, render, scene_at


@pytest.fixture(scope="module")
def loaded():
    torch.set_num_threads(1)
    return open_clip.create_model_from_pretrained(f"local-dir:{WEIGHTS}")


def test_the_folder_is_at_most_ten_megabytes_and_holds_no_pickle():
    names = {path.name for path in WEIGHTS.iterdir()}
    assert {"open_clip_config.json", "open_clip_model.safetensors", "metrics.json"} <= names
    assert not [name for name in names if name.endswith((".pt", ".pth", ".bin", ".pkl"))]
    assert sum(path.stat().st_size for path in WEIGHTS.iterdir() if path.is_file()) <= 10_000_000


def test_it_beats_chance_by_far_on_pictures_it_has_not_seen(loaded):
    model, transform = loaded
    model.eval()
    rows, used = [], set()
    for row in range(5000, 5400):
        scene = scene_at(0, row)
        if scene.frame == 0 and captions_for(0, row, scene) and len(rows) < 64:
            rows.append(row)
            used.add(scene.scene_id)
    scenes = [scene_at(0, row) for row in rows]
    images = torch.stack([transform(render(scene, 128)) for scene in scenes])
    tokenizer = open_clip.get_tokenizer(f"local-dir:{WEIGHTS}")
    texts = tokenizer([captions_for(0, r, s)[0] for r, s in zip(rows, scenes, strict=True)])
    with torch.inference_mode():
        seen = model.encode_image(images, normalize=True)
        read = model.encode_text(texts, normalize=True)
    best = (seen @ read.T).argmax(dim=1)
    hits = (best == torch.arange(len(rows))).float().mean().item()
    assert len(used) == len(rows) == 64
    assert hits >= 0.5  # chance is 1 / 64


def test_the_figures_say_how_they_were_measured():
    figures = json.loads((WEIGHTS / "metrics.json").read_text(encoding="utf-8"))
    assert figures["first_caption"]["image_to_text_r1"] >= 0.3
    assert figures["label_knn"] >= 0.85
    assert figures["chance_r1"] == pytest.approx(0.001)
    assert "seed 0" in figures["method"]
    assert figures["bytes"] <= 10_000_000
