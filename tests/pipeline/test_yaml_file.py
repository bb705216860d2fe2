import pytest

from curate.manifests.errors import ConfigError
from curate.pipeline.yaml_file import parse, scalar


def test_values_are_what_they_look_like():
    text = "a: 1e-4\nb: on\nc: 010\nd: 1_000\ne: .5\nf: no\ng: true\nh: 2020-01-01\ni: ~\nj: 1:30\n"
    assert parse(text, "x").body == {
        "a": 1e-4,
        "b": "on",
        "c": 10,
        "d": 1000,
        "e": 0.5,
        "f": "no",
        "g": True,
        "h": "2020-01-01",
        "i": None,
        "j": "1:30",
    }


def test_places_are_line_and_column():
    document = parse("corpus:\n  source: x\npositives:\n  - {miner: knn, k: 0}\n", "c.yaml")
    assert document.place(("corpus", "source")) == "c.yaml:2:11"
    assert document.place(("positives", 0, "k")) == "c.yaml:4:21"
    assert document.place(("positives", 0, "unknown")) == "c.yaml:4:5"
    assert document.place(("nothing",)) == "c.yaml:1:1"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\na: 2\n", "c.yaml:2: 'a' stands twice"),
        ("a: {b: 1, b: 2}\n", "'b' stands twice"),
        ("- 1\n", "a mapping is expected"),
        ("a: [1\n", "not valid YAML"),
        ("a: !!python/object:os.system x\n", "not valid YAML"),
    ],
)
def test_a_wrong_file_says_where(text, message):
    with pytest.raises(ConfigError, match=message.replace("(", r"\(")):
        parse(text, "c.yaml")


def test_scalars():
    assert scalar("[1, 2]") == [1, 2]
    assert scalar("0.5") == 0.5
    assert scalar("yes") == "yes"
