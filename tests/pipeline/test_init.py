import pytest
from PIL import Image

from curate.manifests.errors import UsageError
from curate.pipeline.init import write_config
from curate.pipeline.resolve import Request, resolve


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(3):
        Image.new("RGB", (8, 8), (number * 80, 0, 0)).save(folder / f"{number}.png")
        (folder / f"{number}.txt").write_text(f"a red square\nsquare {number}\n")
    return folder


def test_it_says_what_it_saw_and_the_config_is_valid(photos, tmp_path):
    out = tmp_path / "c.yaml"
    said = write_config(str(photos), out, "auto", force=False)
    assert "folder" in said
    assert "3 inputs" in said
    assert "2.0 captions a sample" in said
    config = resolve(Request(str(out)))
    assert config.corpus.format == "folder"
    assert set(config.spaces) == {"image", "caption"}
    assert config.false_negatives[0].settings["threshold"] == "calibrated"


def test_without_captions_nothing_is_calibrated(tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    out = tmp_path / "conf" / "c.yaml"
    write_config(str(tmp_path), out, "auto", force=False)
    config = resolve(Request(str(out)))
    assert set(config.spaces) == {"image"}
    assert config.false_negatives == ()


def test_an_existing_file_is_kept(photos, tmp_path):
    out = tmp_path / "c.yaml"
    out.write_text("mine")
    with pytest.raises(UsageError, match="--force"):
        write_config(str(photos), out, "auto", force=False)
    assert out.read_text() == "mine"
    write_config(str(photos), out, "auto", force=True)
    assert "corpus:" in out.read_text()
