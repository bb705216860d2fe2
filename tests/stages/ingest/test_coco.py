import json

import pytest
from ingest_helpers import picture

from curate.manifests.errors import DataError
from curate.stages.ingest.coco import CocoReader


@pytest.fixture
def coco(tmp_path):
    root = tmp_path / "coco"
    (root / "annotations").mkdir(parents=True)
    number = 0
    for split, ids in (("train2017", [5, 3, 9]), ("val2017", [4])):
        (root / split).mkdir()
        images = [{"id": n, "file_name": f"{n:06d}.jpg", "license": n % 2} for n in ids]
        for image in images:
            number += 1
            if image["id"] != 9:
                (root / split / image["file_name"]).write_bytes(picture(number))
        captions = [
            {"image_id": n, "id": k, "caption": f"c{k} of {n} "} for k in range(2) for n in ids
        ]
        things = [
            {"image_id": n, "category_id": 1 + n % 2, "segmentation": [[1, 2]]} for n in ids * 2
        ]
        if split == "train2017":
            things.append({"image_id": 3, "category_id": 1, "bbox": [1, 2, 3, 4]})
            things.append({"image_id": 777, "category_id": 1})
        (root / "annotations" / f"captions_{split}.json").write_text(
            json.dumps({"images": images, "annotations": captions})
        )
        categories = [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}]
        (root / "annotations" / f"instances_{split}.json").write_text(
            json.dumps({"images": images, "annotations": things, "categories": categories})
        )
    return root


def test_captions_labels_and_splits_of_both_files(coco, ingest) -> None:
    done = ingest(coco, {"attributes": {"license": "license"}}, slice_rows=2)
    assert [row["key"] for row in done.rows] == [
        "train2017/000005", "train2017/000003", "val2017/000004",
    ]  # fmt: skip
    assert [row["captions"] for row in done.rows] == [
        [f"c0 of {n}", f"c1 of {n}"] for n in (5, 3, 4)
    ]
    assert [row["labels"] for row in done.rows] == [["dog"], ["dog", "cat"], ["cat"]]
    assert [row["split"] for row in done.rows] == ["train", "train", "val"]
    assert [row["attr_license"] for row in done.rows] == [1.0, 1.0, 0.0]
    assert [(r["key"], r["code"]) for r in done.rejects] == [
        ("000009", "missing_file"), ("777", "bad_record"),
    ]  # fmt: skip


def test_one_file_alone_and_a_key_column(coco, ingest) -> None:
    done = ingest(coco / "annotations" / "captions_val2017.json", {"key": "id"})
    assert [(row["key"], row["labels"], row["split"]) for row in done.rows] == [("4", [], "val")]


def test_another_json_is_an_error(coco) -> None:
    path = coco / "annotations" / "captions_val2017.json"
    path.write_text('{"images": 3}')
    with pytest.raises(DataError, match="not a COCO annotation file"):
        CocoReader(source=str(coco)).slices()
