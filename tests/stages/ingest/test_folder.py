import csv
import os

import pytest
from ingest_helpers import picture, write_lines

from curate.manifests.errors import ConfigError, DataError
from curate.stages.ingest.base import Fields
from curate.stages.ingest.folder import FolderReader


@pytest.fixture
def photos(tmp_path):
    root = tmp_path / "photos"
    for number, name in enumerate(["b/2.jpg", "a/1.JPG", "a/0.png", "top.webp"]):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture(number, {"png": "PNG", "ebp": "WEBP"}.get(name[-3:], "JPEG")))
    return root


def test_images_are_sorted_and_keyed_by_their_path(photos, ingest) -> None:
    (photos / ".hidden.jpg").write_bytes(picture(9))
    (photos / ".cache").mkdir()
    (photos / ".cache" / "x.jpg").write_bytes(picture(9))
    done = ingest(photos)
    assert [row["key"] for row in done.rows] == ["a/0", "a/1", "b/2", "top"]
    assert [row["ext"] for row in done.rows] == ["png", "jpg", "jpg", "webp"]
    for row, name in zip(done.rows, ["a/0.png", "a/1.JPG", "b/2.jpg", "top.webp"], strict=True):
        assert done.bytes_of(row) == (photos / name).read_bytes()
    assert all(row["captions"] == [] and row["label"] is None for row in done.rows)


def test_texts_beside_images_hold_one_caption_a_line(photos, ingest) -> None:
    (photos / "a/1.txt").write_text("one\n\n  two  \r\nthree")
    (photos / "notes.txt").write_text("not a caption of any image")
    found = ingest(photos).by_key()
    assert found["a/1"]["captions"] == ["one", "two", "three"]
    assert found["a/1"]["caption"] == "one"
    assert found["b/2"]["captions"] == []


def test_the_parent_folder_is_the_class_when_asked(photos, ingest) -> None:
    done = ingest(photos, {"label": "parent"})
    assert [row["label"] for row in done.rows] == ["a", "a", "b", None]


def test_flickr_tokens_set_the_order_and_the_rest_follows(photos, ingest) -> None:
    (photos / "captions.token").write_text(
        "2.jpg#0\tbee one\n2.jpg#1\tbee two\n0.png#0\tzero\ngone.jpg#0\tlost\n2.jpg#2\tbee three\n"
        "no tab here\n"
    )
    write_lines(
        photos / "splits.jsonl",
        [
            {"image": "2.jpg", "split": "test"},
            {"image": "1.JPG", "split": "train"},
            {"image": "x", "split": "y"},
        ],
    )
    done = ingest(photos)
    assert [row["key"] for row in done.rows] == ["b/2", "a/0", "a/1", "top"]
    assert [row["captions"] for row in done.rows] == [
        ["bee one", "bee two", "bee three"], ["zero"], [], [],
    ]  # fmt: skip
    assert [row["split"] for row in done.rows] == ["test", "", "train", ""]
    assert [(r["key"], r["code"]) for r in done.rejects] == [
        ("gone", "missing_file"),
        ("", "bad_record"),
    ]
    assert [row["position"] for row in done.rows] == [0, 1, 4, 5]
    assert [row["caption_position"] for row in done.rows] == [0, 3, 5, 5]


@pytest.mark.parametrize("ending", ["csv", "tsv", "jsonl", "txt"])
def test_caption_tables(photos, ingest, ending) -> None:
    rows = [
        {"image": "a/0.png", "caption": "first, with comma", "label": "z"},
        {"image": "b/2.jpg", "caption": "second", "label": "y"},
        {"image": "a/0.png", "caption": "third", "label": "z"},
    ]
    path = photos / f"captions.{ending}"
    if ending == "jsonl":
        write_lines(path, rows)
    else:
        with path.open("w", newline="") as file:
            sign = "\t" if ending == "tsv" else ","
            writer = csv.DictWriter(file, list(rows[0]), delimiter=sign)
            writer.writeheader()
            writer.writerows(rows)
    done = ingest(photos, slice_rows=1)
    assert [row["key"] for row in done.rows] == ["a/0", "b/2", "a/1", "top"]
    assert done.rows[0]["captions"] == ["first, with comma", "third"]
    assert done.rows[0]["labels"] == ["z"]
    assert len(done.scan.parts) == 4


def test_fields_may_name_a_table(photos, ingest) -> None:
    write_lines(photos / "mine.jsonl", [{"file": "a/0.png", "kind": "k", "meta": {"cam": "c1"}}])
    done = ingest(
        photos, {"label": "mine.jsonl:kind", "attributes": {"cam": "mine.jsonl:meta.cam"}}
    )
    assert done.by_key()["a/0"]["label"] == "k"
    assert done.by_key()["a/0"]["attr_cam"] == "c1"
    with pytest.raises(ConfigError, match=r"mine\.jsonl has no column 'kinds'.*mean 'kind'"):
        FolderReader(
            source=str(photos), fields=Fields(label="mine.jsonl:kinds", split="mine.jsonl:kind")
        ).slices()


def test_top_folders_called_train_and_test_are_splits(tmp_path, ingest) -> None:
    for name in ("train/cat/1.jpg", "test/cat/2.jpg", "other/3.jpg"):
        (tmp_path / "c" / name).parent.mkdir(parents=True)
        (tmp_path / "c" / name).write_bytes(picture(len(name)))
    done = ingest(tmp_path / "c", {"label": "parent"})
    assert {row["key"]: (row["split"], row["label"]) for row in done.rows} == {
        "train/cat/1": ("train", "cat"), "test/cat/2": ("test", "cat"), "other/3": ("", "other"),
    }  # fmt: skip


def test_links_and_pipes_are_refused(photos, tmp_path, ingest) -> None:
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "s.jpg").write_bytes(picture(7))
    (photos / "out.jpg").symlink_to(secret / "s.jpg")
    (photos / "inside.jpg").symlink_to(photos / "a/0.png")
    (photos / "folder").symlink_to(secret)
    (photos / "dangling.jpg").symlink_to(photos / "nothing.jpg")
    os.mkfifo(photos / "pipe.jpg")
    (photos / "captions.token").write_text("out.jpg#0\tx\n../secret/s.jpg#0\ty\n")
    done = ingest(photos)
    assert "inside" in done.by_key()
    assert {r["where"]: r["code"] for r in done.rejects} == {
        "captions.token:1": "unsafe_path", "captions.token:2": "unsafe_path",
        "folder": "unsafe_path", "pipe.jpg": "unsafe_path", "dangling.jpg": "missing_file",
    }  # fmt: skip


def test_slices_keep_their_size(photos) -> None:
    sizes = FolderReader(source=str(photos), shard_bytes=1).slices()
    assert len(sizes) == 4
    assert len(FolderReader(source=str(photos)).slices()) == 1


def test_an_empty_folder_is_an_error(tmp_path) -> None:
    with pytest.raises(DataError, match="no image file"):
        FolderReader(source=str(tmp_path)).slices()
    with pytest.raises(DataError, match="no such folder"):
        FolderReader(source=str(tmp_path / "none")).slices()


def test_a_changed_file_changes_the_identity(photos) -> None:
    before = FolderReader(source=str(photos)).identity()
    assert FolderReader(source=str(photos)).identity() == before
    (photos / "a/0.png").write_bytes(picture(5))
    assert FolderReader(source=str(photos)).identity() != before
