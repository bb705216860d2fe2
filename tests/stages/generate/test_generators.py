"""Generators: recognisable variations, decided by their prompts; errors that say what to do."""

import importlib.util
import json

import numpy as np
import pytest
from PIL import Image

from curate.manifests.errors import ConfigError, DataError
from curate.stages import registry
from curate.stages.generate import train as training
from curate.stages.generate._autoencoder import Autoencoder, Codec
from curate.stages.generate.base import Generator, Prompt
from curate.stages.generate.diffusers import Diffusers
from curate.stages.generate.latent import Latent
from curate.stages.generate.offset import Offset

from .conftest import PX, encoded

PACKAGE = "curate.stages.generate"


def image(pixels) -> Image.Image:
    return Image.fromarray(pixels)


def prompts(scenes, count=8, first=0):
    steps = np.linspace(0, 1, count)
    return [Prompt(image(scenes[20 + c]), 1000 + first + c, float(steps[c])) for c in range(count)]


def error(left, right) -> float:
    return float(np.abs(np.asarray(left, float) - np.asarray(right, float)).mean())


def test_every_generator_is_found_and_names_its_paper():
    assert registry.names(PACKAGE) == ["diffusers", "latent", "offset"]
    for name in registry.names(PACKAGE):
        found = registry.load(name, PACKAGE, Generator)
        assert found.paper
        assert found.fidelity == "surrogate"


def test_codes_are_whitened_principal_components(scenes):
    model = Autoencoder(PX)
    model.fit(scenes)
    import torch

    codes = model.encode(torch.from_numpy(scenes).permute(0, 3, 1, 2) / 255)
    rows = codes.permute(0, 2, 3, 1).reshape(-1, 48).double().numpy()
    assert codes.shape == (48, 48, PX // 8, PX // 8)
    np.testing.assert_allclose(rows.mean(0), 0, atol=2e-3)
    np.testing.assert_allclose(np.cov(rows.T, bias=True), np.eye(48), atol=2e-2)
    # Against a singular value decomposition of the patches: the same subspace.
    patches = scenes.reshape(48, PX // 8, 8, PX // 8, 8, 3).transpose(0, 1, 3, 5, 2, 4)
    patches = patches.reshape(-1, 192) / 255
    _, _, known = np.linalg.svd(patches - patches.mean(0), full_matrices=False)
    basis = model.basis.double().numpy()
    overlap = np.linalg.svd(basis @ known[:48].T, compute_uv=False)
    np.testing.assert_allclose(overlap, 1, atol=1e-3)


def test_an_untrained_decoder_is_the_inverse(scenes):
    model = Autoencoder(PX)
    model.fit(scenes)
    codec = Codec(model, "cpu")
    back = codec.decode(codec.encode([image(scenes[3])]))[0]
    assert error(back, scenes[3]) < 0.4 * error(scenes[4], scenes[3])


@pytest.mark.parametrize("kind", [Latent, Offset])
def test_variations_are_near_the_anchor_and_differ(kind, weights, scenes):
    loaded = kind(path=str(weights)).load("cpu")
    made = loaded.make(image(scenes[0]), prompts(scenes))
    errors = [error(item.image, scenes[0]) for item in made]
    to_others = [error(item.image, scenes[20 + c]) for c, item in enumerate(made)]
    assert len({item.image.tobytes() for item in made}) == 8
    assert errors[0] < min(to_others)
    assert all(json.loads(json.dumps(item.recipe)) == item.recipe for item in made)


@pytest.mark.parametrize("kind", [Latent, Offset])
def test_a_prompt_decides_its_variation(kind, weights, scenes):
    loaded = kind(path=str(weights)).load("cpu")
    anchor = image(scenes[0])
    first, again = (loaded.make(anchor, prompts(scenes)) for _ in range(2))
    assert [a.image.tobytes() for a in first] == [a.image.tobytes() for a in again]
    other = loaded.make(anchor, prompts(scenes, first=50))
    assert first[0].image.tobytes() != other[0].image.tobytes()


def test_latent_mixes_the_codes_as_it_says(weights, scenes):
    codec = Codec.load(str(weights), "cpu")
    anchor, other = image(scenes[0]), image(scenes[9])
    plain = Latent(path=str(weights), w=0.25, noise=0).load("cpu")
    made = plain.make(anchor, [Prompt(other, 1, 0.0)])[0]
    a, b = codec.encode([anchor, other])
    wanted = codec.decode((0.25 * b + 0.75 * a)[None])[0]
    assert made.image.tobytes() == wanted.tobytes()
    assert made.recipe == {"w": 0.25, "noise": 0.0, "seed": 1}


def test_offsets_grow_in_equal_steps(weights, scenes):
    loaded = Offset(path=str(weights), near=0.2, far=1.0).load("cpu")
    anchor = image(scenes[0])
    made = loaded.make(anchor, [Prompt(anchor, 5, c / 4) for c in range(5)])
    assert [item.recipe["delta"] for item in made] == [0.2, 0.4, 0.6, 0.8, 1.0]
    errors = [error(item.image, scenes[0]) for item in made]
    assert errors == sorted(errors)
    with pytest.raises(ValueError, match="near 2 must not be beyond far 1"):
        Offset(near=2, far=1)


def test_weights_name_a_generator_and_their_place_does_not(weights, tmp_path, scenes):
    copy = tmp_path / "elsewhere.safetensors"
    copy.write_bytes(weights.read_bytes())
    one, two = Latent(path=str(weights)), Latent(path=str(copy))
    assert one.identity() == two.identity()
    assert "path" not in one.identity()
    model, _ = training.train(scenes, training.Plan(px=PX, steps=1, batch=4, seed=5), "cpu")
    training.save(model, copy, {})
    assert one.identity() != two.identity()


def test_missing_weights_say_how_to_make_some(tmp_path):
    with pytest.raises(ConfigError, match=r"generate\.train CORPUS -o .*generate\.NAME\.path"):
        Latent().weights_digest()
    with pytest.raises(ConfigError, match=r"nothing\.safetensors is not a file"):
        Offset(path=str(tmp_path / "nothing.safetensors")).weights_digest()
    (tmp_path / "junk").write_bytes(b"junk")
    with pytest.raises(ConfigError, match="no weights of a generator"):
        Latent(path=str(tmp_path / "junk")).load("cpu")


def test_the_command_reads_pictures_out_of_folders_and_tars(tmp_path, scenes, capsys):
    import io
    import tarfile

    (tmp_path / "c/deep").mkdir(parents=True)
    (tmp_path / "c/deep/a.png").write_bytes(encoded(scenes[0]))
    (tmp_path / "c/broken.jpg").write_bytes(b"no picture")
    (tmp_path / "c/note.txt").write_text("none")
    with tarfile.open(tmp_path / "c/b.tar", "w") as tar:
        for name in ("x.png", "x.txt"):
            member = tarfile.TarInfo(name)
            member.size = len(encoded(scenes[1]))
            tar.addfile(member, io.BytesIO(encoded(scenes[1])))
    found = training.read_pictures(tmp_path / "c", PX, 10)
    assert {item.tobytes() for item in found} == {scenes[0].tobytes(), scenes[1].tobytes()}
    out = tmp_path / "w.safetensors"
    options = ["--px", str(PX), "--steps", "2", "--batch", "2"]
    training.main([str(tmp_path / "c"), "-o", str(out), *options])
    assert "mean absolute error" in capsys.readouterr().err
    first = out.read_bytes()
    training.main([str(tmp_path / "c"), "-o", str(out), *options])
    assert out.read_bytes() == first
    Codec.load(str(out), "cpu")
    with pytest.raises(DataError, match="no picture that can be read"):
        training.read_pictures(tmp_path / "c/note.txt", PX, 10)


def test_diffusers_says_what_is_missing(tmp_path):
    with pytest.raises(ConfigError, match="needs `path`"):
        Diffusers().weights_digest()
    with pytest.raises(ConfigError, match="40 hex digits"):
        Diffusers(path="org/model").weights_digest()
    one = Diffusers(path="org/model", revision="0" * 40).weights_digest()
    assert one != Diffusers(path="org/model", revision="1" * 40).weights_digest()
    with pytest.raises(ConfigError, match=r"no model_index\.json"):
        Diffusers(path=str(tmp_path)).weights_digest()


@pytest.mark.skipif(importlib.util.find_spec("diffusers") is not None, reason="it is installed")
def test_diffusers_that_is_not_installed_names_the_extra(tmp_path):
    (tmp_path / "model_index.json").write_text("{}")
    with pytest.raises(ConfigError, match=r'pip install "curate-pairs\[diffusers\]"'):
        Diffusers(path=str(tmp_path)).load("cpu")
