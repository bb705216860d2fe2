"""Scenes, places, times, captions and duplicates: what a row says and what is true of it."""

from __future__ import annotations

import json
from collections import Counter
from datetime import datetime
from itertools import pairwise

import pytest

from curate.stages.sample_corpus import captions_for, origin_of, record_at, scene_at, split_of
from curate.stages.sample_corpus.captions import plural
from curate.stages.sample_corpus.draws import Draws
from curate.stages.sample_corpus.world import COLOURS, KINDS, LIGHTINGS, SETTINGS, VIEWPOINTS

SCENES = [scene_at(0, row) for row in range(3000)]


def _when(scene):
    return datetime.fromisoformat(scene.time)


def test_draws_are_a_function_of_their_address():
    assert len({Draws(1, "a", 2).bits() for _ in range(3)}) == 1
    assert Draws(1, "a", 2).bits() != Draws(1, "a", 3).bits() != Draws(2, "a", 3).bits()
    assert Draws(0, "known").bits() == 12870339435672375290
    draws = Draws(0, "weights")
    counts = Counter(draws.weighted({"x": 3.0, "y": 1.0}) for _ in range(4000))
    assert 0.71 < counts["x"] / 4000 < 0.79


def test_rows_can_be_made_in_any_order():
    backwards = [scene_at(0, row) for row in reversed(range(100))]
    assert backwards[::-1] == SCENES[:100]
    assert scene_at(7, 50) != SCENES[50]


def test_labels_are_balanced_and_every_word_of_the_world_is_used():
    firsts = [scene for scene in SCENES if scene.frame == 0]
    labels = Counter(scene.label for scene in firsts)
    expected = len(firsts) / len(KINDS)
    assert set(labels) == set(KINDS)
    assert min(labels.values()) > 0.6 * expected
    assert max(labels.values()) < 1.5 * expected
    assert {scene.place.setting for scene in firsts} == set(SETTINGS)
    assert {scene.lighting for scene in firsts} == set(LIGHTINGS)
    assert {scene.viewpoint for scene in firsts} == set(VIEWPOINTS)
    assert {group.colour for scene in firsts for group in scene.groups} == set(COLOURS)


def test_a_scene_has_one_to_five_things_and_its_label_is_its_first_kind():
    for scene in SCENES:
        assert 1 <= len(scene.items) <= 5
        assert len(scene.items) == sum(group.count for group in scene.groups)
        assert scene.labels[0] == scene.label
        assert len(set(scene.labels)) == len(scene.labels)
        assert all(0 < item.x < 1 and 0 < item.side <= 0.8 for item in scene.items)


def test_frames_of_a_burst_share_the_scene_and_are_seconds_apart():
    bursts = [(a, b) for a, b in pairwise(SCENES) if b.frame]
    assert len(bursts) > 500
    for before, after in bursts:
        assert after.scene_id == before.scene_id
        assert (after.camera, after.place, after.groups) == (
            before.camera,
            before.place,
            before.groups,
        )
        assert 2 <= (_when(after) - _when(before)).total_seconds() <= 7
        assert after.items != before.items
    assert len({scene.scene_id for scene in SCENES}) == sum(s.frame == 0 for s in SCENES)


def test_cameras_come_back_to_places_on_other_days():
    visits: dict[tuple[str, int], set[str]] = {}
    for scene in SCENES:
        visits.setdefault((scene.camera, scene.place.place_id), set()).add(scene.time[:10])
        assert abs(scene.lat - scene.place.lat) <= 2e-4
        assert abs(scene.lon - scene.place.lon) <= 2e-4
        assert scene.time.endswith("Z")
    assert sum(len(days) > 1 for days in visits.values()) > 0.8 * len(visits)
    assert {scene.place.place_id for scene in SCENES} == set(range(120))


def test_captions_name_what_is_drawn():
    missing = 0
    for row, scene in enumerate(SCENES):
        captions = captions_for(0, row, scene)
        if not captions:
            missing += 1
            continue
        assert 3 <= len(captions) <= 5
        assert len(set(captions)) == len(captions)
        group = scene.groups[0]
        noun = group.kind if group.count == 1 else plural(group.kind)
        full = [c for c in captions if noun in c.lower() and group.colour in c.lower()]
        assert all(noun in caption.lower() for caption in captions)
        assert len(full) >= len(captions) - 1
        assert captions[0] in full
    assert 0.01 < missing / len(SCENES) < 0.035


def test_captions_are_varied():
    found = [c for row, s in enumerate(SCENES[:1000]) for c in captions_for(0, row, s)]
    assert len(set(found)) > 0.75 * len(found)
    assert min(len(c.split()) for c in found) <= 3
    assert max(len(c.split()) for c in found) >= 20


def test_duplicates_point_at_earlier_originals_and_keep_their_split():
    origins = [origin_of(0, row) for row in range(6000)]
    kinds = Counter(origin.duplicate for origin in origins)
    assert 0.014 < kinds["exact"] / 6000 < 0.027
    assert 0.022 < kinds["near"] / 6000 < 0.038
    for row, origin in enumerate(origins):
        assert (origin.row == row) == (origin.duplicate is None)
        assert origin.row <= row
        assert origins[origin.row].duplicate is None
        assert split_of(0, row) == split_of(0, origin.row)
    splits = Counter(split_of(0, row) for row in range(6000))
    assert 0.86 < splits["train"] / 6000 < 0.94
    assert min(splits["val"], splits["test"]) > 0.025 * 6000


def test_frames_of_a_scene_share_a_split():
    for row in range(1, 1000):
        plain = origin_of(0, row).duplicate is None and origin_of(0, row - 1).duplicate is None
        if plain and SCENES[row].frame:
            assert split_of(0, row) == split_of(0, row - 1)


@pytest.mark.parametrize("row", [0, 1, 777])
def test_a_record_is_plain_json(row):
    record = record_at(0, row, 64)
    assert json.loads(json.dumps(record.metadata)) == record.metadata
    assert record.key == f"scene-{row:08d}" == record.truth["key"]
    assert record.metadata["label"] == record.truth["label"] == record.metadata["labels"][0]
