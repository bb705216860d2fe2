import glob
import os

import pytest

from curate.manifests import listing
from curate.manifests.errors import DataError


def test_braces_are_those_of_a_shell() -> None:
    cases = {
        "a": ["a"],
        "{000..002}.tar": ["000.tar", "001.tar", "002.tar"],
        "{9..11}": ["9", "10", "11"],
        "{2..0}": ["2", "1", "0"],
        "x{a,b}y{1..2}": ["xay1", "xay2", "xby1", "xby2"],
    }
    for text, names in cases.items():
        assert listing.expand_braces(text) == names


def test_folders_are_listed_in_one_order_and_hidden_names_left_out(tmp_path) -> None:
    for name in ("b/1", "a/2", "a/b/3", "z", ".h", ".d/4", "__MACOSX/5", "a.x"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    found = listing.files_below(str(tmp_path))
    assert [file.path for file in found] == ["a.x", "a/2", "a/b/3", "b/1", "z"]
    assert [file.size for file in found] == [3, 3, 5, 3, 1]
    assert all(os.path.samefile(file.url, tmp_path / file.path) for file in found)


def test_patterns_match_as_glob_does(tmp_path) -> None:
    for name in ("10.tar", "2.tar", "1.tar", "x.txt"):
        (tmp_path / name).write_text("")
    pattern = f"{tmp_path}/*.tar"
    assert [file.url for file in listing.matching(pattern)] == sorted(glob.glob(pattern))
    with pytest.raises(DataError, match="no file matches"):
        listing.matching(f"{tmp_path}/*.png")
    with pytest.raises(DataError, match=r"no \.png file"):
        listing.matching(str(tmp_path), (".png",))


def test_the_digest_follows_names_sizes_and_times(tmp_path) -> None:
    def digest() -> str:
        return listing.content_digest(listing.files_below(str(tmp_path)))

    (tmp_path / "a").write_text("1")
    seen = {digest()}
    (tmp_path / "a").write_text("22")
    seen.add(digest())
    os.utime(tmp_path / "a", (1, 1))
    seen.add(digest())
    (tmp_path / "a").rename(tmp_path / "b")
    seen.add(digest())
    assert len(seen) == 4


def test_joining_and_parents() -> None:
    assert listing.join("s3://bucket/x/", "a/b") == "s3://bucket/x/a/b"
    assert listing.parent("s3://bucket/x/a.csv") == "s3://bucket/x"
    assert listing.parent("/data/a.csv") == "/data"
    assert listing.join("/data", "a/b") == "/data/a/b"


def test_one_place_has_one_spelling(tmp_path, monkeypatch) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "link").symlink_to("a/b")
    monkeypatch.chdir(tmp_path / "a")
    real = os.path.realpath(tmp_path)
    for text in ("b", "./b", "b/", "../a/b", f"{real}/a/b/", f"{real}/a/../a/b"):
        assert listing.absolute(text) == f"{real}/a/b"
    assert listing.absolute("../link/../b") == f"{real}/a/b"
    assert listing.absolute("s3://bucket/../x/") == "s3://bucket/../x/"


def test_pairsets_below_a_corpus_are_not_part_of_it(tmp_path) -> None:
    for name in ("1.png", "out/.store/lock", "out/a.png", "old/samples/p", "old/pairs/p"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    (tmp_path / "old/manifest.json").write_text("{}")
    (tmp_path / "samples/pairs").mkdir(parents=True)
    (tmp_path / "samples/manifest.json").write_text("{}")
    found = [file.path for file in listing.files_below(str(tmp_path))]
    assert found == ["1.png", "samples/manifest.json"]
    assert [file.path for file in listing.files_below(str(tmp_path / "out"))] == ["a.png"]
