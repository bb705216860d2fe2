import re

import pytest

from curate.manifests.errors import ConfigError
from curate.pipeline.config import Loss, load
from curate.pipeline.yaml_file import parse

GOOD = """\
corpus: {source: photos}
spaces:
  image: {of: image, encoder: array, path: x.npy}
neighbors: {"image>image": {k: 32}}
positives: [{miner: knn, space: "image>image", k: 5}]
output: {negatives: 2, shards: {size: 64MB}}
"""


def test_a_good_file_loads_with_defaults():
    config = load(parse(GOOD, "c.yaml"))
    assert config.neighbors["image>image"].k == 32
    assert config.output.shards.size == 64_000_000
    assert config.corpus.max_reject_fraction == 0.05
    assert config.loss == Loss()
    assert config.spaces["image"].settings == {"path": "x.npy"}


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("k: 32", "k: 0", "c.yaml:4:32: neighbors.image>image.k: input should be greater than or"),
        ("k: 32", "kk: 3", "neighbors.image>image.kk: unknown key. Did you mean 'k'?"),
        ("source:", "sourze:", "corpus.sourze: unknown key. Did you mean 'source'?"),
        ("corpus:", "corpse:", "corpse: unknown key. Did you mean 'corpus'?"),
        ("of: image, ", "", "spaces.image.of: this key is needed"),
        (
            "miner: knn",
            "miner: knnn",
            "c.yaml:5:21: positives[0].miner: no miner is called 'knnn'.",
        ),
        ("miner: knn", "miner: knnn", "Did you mean 'knn'?"),
        ("k: 5", "k: -5", "c.yaml:5:51: positives[0].k: input should be greater"),
        ("k: 5", "kay: 5", "positives[0].kay: unknown key"),
        ("k: 5", "k: many", "positives[0].k: input should be a valid integer"),
        ("64MB", "64 parsecs", "output.shards.size"),
        ("negatives: 2", "negatives: two", "(got 'two')"),
        ('"image>image": {', '"image>imag": {', "no space is called 'imag'. Did you mean 'image'?"),
        ('"image>image": {', '"image": {', "write QUERY>BANK"),
        ("output:", "loss: {t: -1}\noutput:", "loss.t: input should be greater than 0"),
        ('[{miner: knn, space: "image>image", k: 5}]', "3", "positives: input should be a list"),
        ("output:", "seed: x\noutput:", "seed: input should be a valid integer"),
        ("image: {of", "../x: {of", "c.yaml:3:9: spaces.../x: string should match pattern"),
        ("k: 5", "min_similarity: 9", "positives[0].min_similarity: input should be less than"),
        (
            "output: {negatives: 2, shards: {size: 64MB}}",
            "output: 4",
            "output: input should be",
        ),
    ],
)
def test_a_wrong_value_names_file_key_value_and_what_is_allowed(old, new, message):
    with pytest.raises(ConfigError, match=re.escape(message)):
        load(parse(GOOD.replace(old, new), "c.yaml"))


def test_all_wrong_values_are_named_at_once():
    text = GOOD.replace("k: 32", "k: 0").replace("negatives: 2", "negatives: -2")
    with pytest.raises(ConfigError) as caught:
        load(parse(text, "c.yaml"))
    assert len(str(caught.value).splitlines()) == 2
