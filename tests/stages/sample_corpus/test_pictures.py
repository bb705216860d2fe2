"""The pictures: they decode, they show something, and duplicates are what they say they are."""

from __future__ import annotations

import hashlib
import io
from collections import defaultdict

import numpy as np
import pytest
from PIL import Image

from curate.stages.sample_corpus import origin_of, record_at, render, scene_at

FIRSTS = [scene for row in range(400) if (scene := scene_at(0, row)).frame == 0]


def _pixels(jpeg):
    with Image.open(io.BytesIO(jpeg)) as image:
        assert image.format == "JPEG"
        return np.asarray(image.convert("RGB"), dtype=np.float64)


@pytest.mark.parametrize("px", [16, 64, 129, 256])
def test_a_picture_has_the_size_that_was_asked(px):
    image = render(FIRSTS[0], px)
    assert image.size == (px, px)
    assert image.mode == "RGB"


@pytest.mark.parametrize("px", [8, 513])
def test_other_sizes_are_refused(px):
    with pytest.raises(ValueError, match="pixels wide"):
        render(FIRSTS[0], px)


def test_the_same_scene_at_another_size_is_the_same_picture():
    for scene in FIRSTS[:8]:
        small = np.asarray(render(scene, 64), dtype=np.float64)
        large = np.asarray(render(scene, 192).resize((64, 64), Image.Resampling.BOX), float)
        assert np.abs(small - large).mean() < 9


def test_pictures_are_smooth_not_noise():
    for scene in FIRSTS[:60]:
        pixels = np.asarray(render(scene, 64), dtype=np.float64)
        steps = np.abs(np.diff(pixels, axis=1)).mean()
        assert pixels.std() > 12
        assert steps < 0.6 * pixels.std()


def test_places_and_hours_have_colours_of_their_own():
    means: dict[tuple[str, str], list[np.ndarray]] = defaultdict(list)
    for scene in FIRSTS:
        if scene.lighting in ("day", "night"):
            pixels = np.asarray(render(scene, 32), dtype=np.float64)
            means[scene.place.setting, scene.lighting].append(pixels[-8:].mean(axis=(0, 1)))
    day = {place: np.mean(v, axis=0) for (place, light), v in means.items() if light == "day"}
    night = {place: np.mean(v, axis=0) for (place, light), v in means.items() if light == "night"}
    ground = [day[place] for place in ("beach", "sea", "meadow", "street", "snow", "desert")]
    gaps = [np.abs(a - b).max() for i, a in enumerate(ground) for b in ground[:i]]
    assert min(gaps) > 15
    both = [place for place in day if place in night]
    assert len(both) >= 8
    assert np.mean([day[place] - night[place] for place in both]) > 30


def test_colours_are_seen():
    """A lone plain thing paints its own colour near its middle."""
    seen = 0
    for row in range(3000):
        scene = scene_at(0, row)
        group = scene.groups[0]
        wanted = group.kind in ("ball", "balloon", "apple", "bus") and group.texture == "plain"
        if len(scene.items) > 1 or not wanted or scene.lighting != "day":
            continue
        if group.colour not in ("red", "green", "blue") or scene.viewpoint in ("left", "right"):
            continue
        item = scene.items[0]
        pixels = np.asarray(render(scene, 128), dtype=np.float64)
        x, y, half = item.x * 128, (item.base - 0.5 * item.side) * 128, item.side * 40
        top, left = max(0, int(y - half)), max(0, int(x - half))
        patch = pixels[top : int(y + half), left : int(x + half)]
        channel = ("red", "green", "blue").index(group.colour)
        assert (patch.argmax(axis=2) == channel).mean() > 0.5
        seen += 1
    assert seen >= 5


def test_exact_copies_have_the_same_bytes_and_near_ones_almost_the_same_pixels():
    near, exact = 0, 0
    for row in range(400):
        origin = origin_of(0, row)
        if origin.duplicate is None:
            continue
        copy, first = record_at(0, row, 64), record_at(0, origin.row, 64)
        same = hashlib.sha256(copy.image).digest() == hashlib.sha256(first.image).digest()
        assert same == (origin.duplicate == "exact")
        assert copy.truth["duplicate_of"] == first.key != copy.key
        assert copy.truth["duplicate_kind"] == origin.duplicate
        assert copy.truth["scene_id"] == first.truth["scene_id"]
        exact += same
        if not same:
            near += 1
            small, large = _pixels(copy.image), _pixels(first.image)
            assert origin.edit != "resized" or small.shape == (48, 48, 3)
            image = Image.fromarray(small.astype(np.uint8)).resize((64, 64))
            assert np.corrcoef(np.asarray(image, float).ravel(), large.ravel())[0, 1] > 0.6
    assert near >= 5
    assert exact >= 3
