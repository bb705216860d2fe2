import numpy as np
import pytest

from curate.manifests.errors import ConfigError, UsageError
from curate.manifests.losses import InfoNce, Moco
from curate.pipeline.book import book, page
from curate.pipeline.config import load
from curate.pipeline.resolve import Request, encoder_settings, recipe, recipe_names, resolve
from curate.pipeline.yaml_file import Document

FILES = {
    "pu-human": ("positives.0.selections", "false_negatives.0.selections"),
    "oracle": ("positives.0.answers", "negatives.0.answers"),
    "cit": ("selection.0.targets",),
    "cupid": ("selection.0.targets",),
}
"""Settings of recipes that only their user knows: what people said, vectors of a target task."""


@pytest.fixture
def said(tmp_path):
    """Return the --set options that a recipe needs."""
    path = tmp_path / "said.jsonl"
    path.write_text("")
    return lambda name: [f"{key}={path}" for key in FILES.get(name, ())]


@pytest.fixture
def corpus(tmp_path):
    (tmp_path / "photos").mkdir()
    return str(tmp_path / "photos")


@pytest.fixture
def vectors(tmp_path):
    """Return what a recipe that names sounds needs beside the corpus: their vectors."""
    path = tmp_path / "audio.npy"
    np.save(path, np.eye(4, dtype=np.float32))
    needed = {"encoder": "builtin", "embeddings": [f"audio={path}"]}
    return lambda name: needed if "audio" in str(recipe(name).body["run"]) else {}


def miners(config, section):
    return [entry.miner for entry in getattr(config, section)]


def test_a_bare_corpus_gets_the_default_recipe_and_encoder(corpus):
    config = resolve(Request(corpus))
    assert config.recipes == ("default",)
    assert miners(config, "positives") == ["knn"]
    assert miners(config, "negatives") == ["hard"]
    assert miners(config, "false_negatives") == ["topk_threshold"]
    assert list(config.neighbors) == ["image>image"]
    assert {space.encoder for space in config.spaces.values()} == {"open_clip"}


def test_options_win_over_the_file_and_the_file_over_recipes(corpus, tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text(f"corpus: {{source: '{corpus}'}}\noutput: {{negatives: 2}}\n")
    request = Request(str(path), recipes=["nv-retriever"], sets=["output.false_negatives=3"])
    config = resolve(request)
    assert config.output.negatives == 2
    assert config.output.false_negatives == 3
    assert resolve(Request(str(path), sets=["output.negatives=7"])).output.negatives == 7


def test_recipes_combine(corpus):
    with pytest.raises(ConfigError, match="different losses: kind is 'nnclr' and 'infonce'"):
        resolve(Request(corpus, recipes=["nnclr", "nv-retriever"]))
    config = resolve(Request(corpus, recipes=["nnclr", "nv-retriever"], sets=["loss.kind=infonce"]))
    assert config.loss.block() == InfoNce(t=0.1).block()
    assert miners(config, "positives") == ["knn", "knn"]
    assert miners(config, "negatives") == ["hard"]
    assert config.output.positives is None
    with pytest.raises(ConfigError, match=r"simclr and supcon want different losses: pos_in_denom"):
        resolve(Request(corpus, recipes=["simclr", "supcon"]))
    config = resolve(Request(corpus, recipes=["simclr", "supcon"], sets=["loss.pos_in_denom=all"]))
    assert config.loss.block()["pos_in_denom"] == "all"


def test_a_loss_is_whole_or_refused(corpus):
    config = resolve(Request(corpus, recipes=["moco"], sets=["loss.queue=99"]))
    assert config.loss.block() == Moco(t=0.2, queue=99).block()
    for sets, text in [
        (["loss.queue=0"], "loss.queue: input should be greater than or equal to 1 (got 0)"),
        (["loss.kind=mocco"], "loss.kind: no loss is called 'mocco'. Did you mean 'moco'?"),
        (["loss.beta=1"], "loss.beta: loss 'moco' has no such setting."),
        (["loss.t=true"], "loss.t: input should be a number (got True)"),
    ]:
        with pytest.raises(ConfigError) as refused:
            resolve(Request(corpus, recipes=["moco"], sets=sets))
        assert text in str(refused.value)


@pytest.mark.parametrize("name", recipe_names())
def test_a_recipe_resolves_and_its_loss_is_one(corpus, name, said, vectors):
    request = Request(corpus, recipes=[name], sets=said(name), **vectors(name))
    config = resolve(request)
    assert set(recipe(name).body["run"]["loss"]) <= set(config.loss.block())


def test_what_would_be_ignored_is_refused(corpus, tmp_path):
    with pytest.raises(ConfigError, match="choose recipes with --recipe"):
        resolve(Request(corpus, sets=["recipes=[nnclr]"]))
    with pytest.raises(ConfigError, match=r"image=.*given twice"):
        resolve(Request(corpus, embeddings=["image=a.npy", "image=b.npy"]))
    path = tmp_path / "c.yaml"
    path.write_text(f"corpus: {{source: '{corpus}'}}\nrecipes: nnclr\n")
    with pytest.raises(ConfigError, match=r"c.yaml:2:10: recipes: a list of names is expected"):
        resolve(Request(str(path)))


def test_encoder_and_embeddings(corpus):
    config = resolve(Request(corpus, encoder="builtin"))
    assert {space.encoder for space in config.spaces.values()} == {"builtin"}
    config = resolve(Request(corpus, embeddings=["image=x.npy"]))
    assert set(config.spaces) == {"image"}
    assert config.spaces["image"].encoder == "array"
    config = resolve(Request(corpus, encoder="builtin", embeddings=["image=x.npy"]))
    assert config.spaces["caption"].encoder == "builtin"
    assert config.spaces["image"].encoder == "array"


@pytest.mark.parametrize(
    ("text", "settings"),
    [
        ("builtin", {"encoder": "builtin"}),
        (
            "open_clip:ViT-B-16/openai",
            {"encoder": "open_clip", "model": "ViT-B-16", "pretrained": "openai"},
        ),
        (
            "open_clip:local-dir:/models/clip",
            {"encoder": "open_clip", "model": "local-dir:/models/clip"},
        ),
        ("onnx:e.onnx", {"encoder": "onnx", "path": "e.onnx"}),
        ("checkpoint:out/train", {"encoder": "checkpoint", "path": "out/train"}),
    ],
)
def test_encoders_as_typed(text, settings):
    assert encoder_settings(text) == settings


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"recipes": ["nnclrr"]}, ConfigError, "Did you mean 'nnclr'"),
        ({"sets": ["output.negatives"]}, ConfigError, "write KEY.KEY=VALUE"),
        ({"sets": ["positives.7.k=1"]}, ConfigError, "not a position in a list"),
        ({"embeddings": ["image"]}, ConfigError, "write SPACE=FILE"),
        ({"sets": ["output.negativs=1"]}, ConfigError, "Did you mean 'negatives'"),
        ({"target": "/no/such/folder"}, UsageError, "no such folder"),
        ({"target": "/no/such.yaml"}, UsageError, "cannot be read"),
    ],
)
def test_wrong_requests_say_what_to_do(corpus, change, error, message):
    with pytest.raises(error, match=message):
        resolve(Request(**{"target": corpus, **change}))


def test_an_encoder_of_images_makes_no_caption_space(corpus):
    assert set(resolve(Request(corpus, encoder="onnx:e.onnx")).spaces) == {"image"}


def test_set_reaches_into_lists(corpus, tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text(f"corpus: {{source: '{corpus}'}}\npositives: [{{miner: knn, k: 3}}]\n")
    assert resolve(Request(str(path), sets=["positives.0.k=9"])).positives[0].settings["k"] == 9


@pytest.mark.parametrize("name", FILES)
def test_a_recipe_that_needs_a_file_says_which_set_gives_it(name, corpus, tmp_path):
    with pytest.raises(ConfigError) as told:
        resolve(Request(corpus, recipes=[name]))
    for key in FILES[name]:
        assert f"--set {key}=VALUE" in str(told.value)
    sets = [f"{key}={tmp_path / 'none.jsonl'}" for key in FILES[name]]
    with pytest.raises(ConfigError, match="there is no such file"):
        resolve(Request(corpus, recipes=[name], sets=sets))


def test_recipes_bring_mask_groups_unless_the_config_has_its_own(corpus, tmp_path):
    made = resolve(Request(corpus, recipes=["geography"]))
    assert made.mask_groups == ("group_id", "attr_location")
    path = tmp_path / "c.yaml"
    path.write_text(f"corpus: {{source: '{corpus}'}}\nmask_groups: [group_id, label]\n")
    made = resolve(Request(str(path), recipes=["geography"]))
    assert made.mask_groups == ("group_id", "label")


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_is_complete_and_runs_through_the_config(name, corpus, said, vectors):
    entry = page(name)
    for key in ("name", "title", "paper", "fidelity", "offline", "trainer", "run"):
        assert entry[key]
    assert entry["name"] == name
    assert entry["fidelity"] in {"exact", "exact+hook", "frozen-detector", "surrogate"}
    assert "loss" in entry["run"]
    request = Request(corpus, recipes=[name], sets=said(name), **vectors(name))
    config = resolve(request)
    again = load(Document("again", config.model_dump(mode="json")))
    assert again == config


def test_the_book_lists_all():
    assert [entry["name"] for entry in book()] == recipe_names()


def test_views_of_a_miner_become_spaces_and_graphs(corpus):
    request = Request(
        corpus,
        recipes=["fnc-eliminate"],
        sets=["false_negatives.0.views=2", "false_negatives.0.k=12"],
        encoder="builtin",
    )
    config = resolve(request)
    assert [(name, config.spaces[name].view) for name in config.spaces] == [
        *(("image", None), ("caption", None), ("image-view1", 1), ("image-view2", 2)),
    ]
    assert {name: graph.k for name, graph in config.neighbors.items()} == {
        "image>image": 64,
        "image-view1>image": 12,
        "image-view2>image": 12,
    }


def test_a_named_view_is_made_of_its_space_and_keeps_its_crop(corpus, tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text(
        f"corpus: {{source: '{corpus}'}}\n"
        "spaces: {image: {of: image, encoder: onnx, path: a.onnx},\n"
        "         image-view2: {of: image, encoder: onnx, path: a.onnx, view: 5}}\n"
        "neighbors: {'image-view1>image-view1': {k: 8}, 'image-view2>image': {k: 8}}\n"
        "positives: [{miner: self_aug}]\n"
    )
    config = resolve(Request(str(path)))
    assert config.spaces["image-view1"].settings == {"path": "a.onnx"}
    assert config.spaces["image-view1"].view == 1
    assert config.spaces["image-view2"].view == 5
    config = resolve(Request(str(path), encoder="builtin"))
    assert {name: space.encoder for name, space in config.spaces.items()} == dict.fromkeys(
        ("image", "image-view1", "image-view2"), "builtin"
    )
    assert config.spaces["image-view2"].view == 5


def test_views_of_given_vectors_must_be_given_too(corpus, tmp_path):
    np.save(tmp_path / "v.npy", np.eye(4, dtype=np.float32))
    request = Request(
        corpus,
        recipes=["fnc-eliminate"],
        sets=["false_negatives.0.views=1"],
        embeddings=[f"image={tmp_path / 'v.npy'}"],
    )
    with pytest.raises(ConfigError, match="--embeddings image-view1=FILE"):
        resolve(request)
    given = [*request.embeddings, f"image-view1={tmp_path / 'v.npy'}"]
    config = resolve(Request(corpus, recipes=request.recipes, sets=request.sets, embeddings=given))
    assert config.spaces["image-view1"].encoder == "array"
