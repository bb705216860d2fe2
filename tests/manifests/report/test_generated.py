"""Generated pictures and plans on the page: whose they are, how made, taken or refused; escaped."""

import io
import json
import re
import tarfile

import pyarrow as pa
import pytest
from PIL import Image
from tiny_pairset import add_plan, edit, edit_manifest, write_tiny_pairset

from curate.manifests import tables
from curate.manifests.pairset import Pairset
from curate.manifests.report import write_report
from curate.manifests.report.data import collect
from curate.manifests.schema_assets import ASSETS

NASTY = "<img src=x onerror=alert(1)>{{ 7*7 }}"
EACH = 10
"""Pictures of an anchor, all of even anchors; every third is taken."""


def edge(anchor, key, at):
    taken = at % 3 == 0
    return {
        "anchor_id": anchor,
        "other_id": None,
        "text": None,
        "asset": key,
        "role": "positive" if taken else "refused",
        "miner": "synthetic",
        "space": "image>image",
        "rank": at,
        "similarity": 0.9 - at / 100,
        "corrected_similarity": None,
        "positive_similarity": None,
        "weight": 1.0,
        "action": None,
        "valid_from": 0.0,
        "reason": "" if taken else "nearer_other",
        "round": 0,
    }


def add_assets(root, anchors):
    """Write a table, a tar and the edges of generated pictures; one picture cannot be decoded."""
    (root / "assets").mkdir()
    rows, edges = [], []
    with tarfile.open(root / "assets/new-part-00000.tar", "w") as tar:
        for number, (anchor, at) in enumerate((a, i) for a in anchors for i in range(EACH)):
            out = io.BytesIO()
            Image.new("RGB", (20, 20), (anchor % 256, 20 * at, 90)).save(out, "PNG")
            data = b"no picture" if number == 1 else out.getvalue()
            info = tarfile.TarInfo(f"{number}.png")
            info.size = len(data)
            offset = tar.offset + 512
            tar.addfile(info, io.BytesIO(data))
            key = f"new/{anchor}-{at}"
            place = {"shard": "assets/new-part-00000.tar", "offset": offset, "size": len(data)}
            recipe = json.dumps({"w": at, "note": NASTY}) if number else f"no JSON {NASTY}"
            rows.append(
                {"asset_id": number, "key": key, "anchor_id": anchor, **place, "sha256": "0"}
                | {"width": 20, "height": 20, "generator": "latent", "recipe": recipe}
                | {"similarity": 0.9 - at / 100, "hardness": None, "nearest_id": None}
                | {"nearest_similarity": None}
            )
            edges.append(edge(anchor, key, at))
    path = root / "assets/new-part-00000.parquet"
    tables.write_parquet(pa.Table.from_pylist(rows, ASSETS), path)
    with edit(root, "edges") as known:
        known += edges
        known.sort(key=lambda item: item["anchor_id"])
    with edit_manifest(root) as manifest:
        manifest["tables"]["assets"] = [{"path": "assets/new-part-00000.parquet"}]
        manifest["assets"] = {
            "new": {"generator": {"class": "curate.stages.generate.latent:Latent"}}
            | {"fidelity": "approximate", "paper": NASTY, "assets": len(rows), "count": EACH}
        }
        manifest["miners"].append(
            {"id": "synthetic", "role": "positive", "miner": "synthetic", "fidelity": "exact"}
            | {"paper": "", "settings": {"assets": "new"}, "space": "image>image"}
            | {"facts": {"taken": 4 * len(anchors)}}
        )
    return {row["key"]: row for row in rows}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    tiny = write_tiny_pairset(tmp_path_factory.mktemp("made") / "out", samples=120)
    known = add_assets(tiny.root, range(0, 120, 2))
    members = [[0, 1, 2, 3], [4, 5, 6, 8]]
    facts = {"judged": 2, "hardest": 0.8125, "hardest_random": 0.5, "masked_rate": 0.0}
    facts |= {"false_negative_rate": None, "false_negative_rate_random": 0.25}
    add_plan(tiny.root, members, facts=facts, paper=NASTY, settings={"note": NASTY})
    add_plan(tiny.root, members, name="bare", pairs_left_out=1234)
    return tiny, known, collect(Pairset.open(tiny.root), 24, 0)


def test_each_anchor_shows_its_own_pictures_with_what_became_of_them(made):
    tiny, known, data = made
    assert len(data.generated) == 6
    for row in data.generated:
        anchor = tiny.keys.index(row.anchor.key)
        assert anchor % 2 == 0
        assert (len(row.pictures), row.more) == (8, EACH - 8)
        for at, picture in enumerate(row.pictures):
            assert known[picture.key]["anchor_id"] == anchor
            assert picture.taken == (at % 3 == 0)
            ((miner, why),) = picture.verdicts
            assert miner == f"synthetic #{at}"
            assert why == ("taken" if at % 3 == 0 else "nearer to another sample")
            assert picture.similarity == pytest.approx(0.9 - at / 100)
            assert picture.provenance.startswith("latent: ")


def test_cards_show_every_generated_positive_as_a_tile_of_its_own(made):
    """They have no other_id: without their keys they would all be one tile."""
    tiny, known, data = made
    for card in data.cards:
        anchor = tiny.keys.index(card.key)
        positives = next(row for row in card.rows if row.role == "positive")
        mine = [tile for tile in positives.tiles if tile.key in known]
        count = len(positives.tiles) + positives.more
        assert count == sum(item["anchor_id"] == anchor and item["asset_id"] % EACH % 3 == 0
                            for item in known.values()) + mined(tiny, anchor)  # fmt: skip
        assert all(known[tile.key]["anchor_id"] == anchor for tile in mine)
        assert all(tile.thumbnail.uri or tile.thumbnail.note for tile in mine)


def mined(tiny, anchor):
    rows = tables.read_parquet(tiny.root / "edges/part-00000.parquet").to_pylist()
    return sum(
        row["role"] == "positive" and row["other_id"] is not None
        for row in rows
        if row["anchor_id"] == anchor
    )


def test_sections_count_what_was_made_and_taken(made):
    _, known, data = made
    (section,) = data.generators
    assert (section.name, section.generator, section.fidelity) == ("new", "Latent", "approximate")
    assert (section.made, section.taken) == (len(known), 4 * 60)


def test_the_page_shows_them_and_escapes_recipes(made, page, tmp_path):
    tiny, _, _ = made
    whole = type(page)(write_report(tiny.root, tmp_path / "a.html").read_text())
    assert [a["id"] for a in whole.all("section")][3:6] == ["plans", "gallery", "generated"]
    assert {"#plans", "#generated"} <= {a["href"] for a in whole.all("a")}
    assert "onerror" in whole.text
    assert not [a for _, a in whole.elements if "onerror" in a]
    assert NASTY not in whole.source
    assert re.search(r"new Latent approximate 600 240", whole.text)


def test_plans_stand_beside_random_batches_and_say_what_is_unknown(made, page, tmp_path):
    tiny, _, _ = made
    text = type(page)(write_report(tiny.root, tmp_path / "a.html").read_text()).text
    assert "random random, exact train 2 × 4" in text
    assert re.search(r"2 × 4 \d+ 0\.812 0\.500 unknown 25\.0", text)
    assert "bare random, exact train 2 × 4 1,234 unknown unknown unknown unknown" in text


def test_a_picture_that_cannot_be_decoded_is_told(tmp_path):
    tiny = write_tiny_pairset(tmp_path / "out", samples=30)
    add_assets(tiny.root, [0])
    data = collect(Pairset.open(tiny.root), 30, 0)
    (row,) = data.generated
    notes = [picture.thumbnail.note for picture in row.pictures]
    assert notes[1] == "not readable: ImageError"
    assert row.pictures[0].provenance == f"latent: no JSON {NASTY}"
    assert [bool(picture.thumbnail.uri) for picture in row.pictures] == [True, False, *[True] * 6]


def test_nothing_is_said_where_nothing_was_generated_or_planned(page):
    assert "Generated pictures" not in page.text
    assert "Plans of batches" not in page.text
