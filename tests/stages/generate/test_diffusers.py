"""The diffusers generator on tiny pipelines with random weights; only where it is installed."""

import json

import numpy as np
import pytest
from PIL import Image

from curate.stages.generate.base import Prompt
from curate.stages.generate.diffusers import Diffusers

diffusers = pytest.importorskip("diffusers")
transformers = pytest.importorskip("transformers")


def parts():
    import torch

    torch.manual_seed(0)
    unet = diffusers.UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(4, 8),
        layers_per_block=1,
        cross_attention_dim=32,
        norm_num_groups=2,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
    )
    vae = diffusers.AutoencoderKL(
        block_out_channels=[4, 8],
        norm_num_groups=2,
        down_block_types=["DownEncoderBlock2D"] * 2,
        up_block_types=["UpDecoderBlock2D"] * 2,
    )
    scheduler = diffusers.DDIMScheduler(steps_offset=1)
    return {"unet": unet, "vae": vae, "scheduler": scheduler, "safety_checker": None}


@pytest.fixture(scope="module")
def variation(tmp_path_factory):
    folder = tmp_path_factory.mktemp("variation")
    vision = transformers.CLIPVisionConfig(
        hidden_size=32,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        image_size=32,
        patch_size=16,
        projection_dim=32,
    )
    pipeline = diffusers.StableDiffusionImageVariationPipeline(
        image_encoder=transformers.CLIPVisionModelWithProjection(vision),
        feature_extractor=transformers.CLIPImageProcessor(
            size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}
        ),
        requires_safety_checker=False,
        **parts(),
    )
    pipeline.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def img2img(tmp_path_factory):
    folder = tmp_path_factory.mktemp("img2img")
    text = transformers.CLIPTextConfig(
        hidden_size=32,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        vocab_size=4,
        projection_dim=32,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=1,
    )
    words = folder / "words"
    words.mkdir()
    known = {"<|startoftext|>": 0, "<|endoftext|>": 1, "a": 2, "a</w>": 3}
    (words / "vocab.json").write_text(json.dumps(known))
    (words / "merges.txt").write_text("#version: 0.2\n")
    pipeline = diffusers.StableDiffusionImg2ImgPipeline(
        text_encoder=transformers.CLIPTextModel(text),
        tokenizer=transformers.CLIPTokenizer.from_pretrained(words, model_max_length=77),
        feature_extractor=None,
        requires_safety_checker=False,
        **parts(),
    )
    pipeline.save_pretrained(folder / "pipe")
    return folder / "pipe"


def picture(seed):
    rng = np.random.default_rng(seed)
    return Image.fromarray(rng.integers(0, 255, (6, 8, 3), np.uint8)).resize((48, 40))


@pytest.mark.parametrize("kind", ["variation", "img2img"])
def test_a_seed_decides_a_picture(kind, request):
    folder = request.getfixturevalue(kind)
    generator = Diffusers(path=str(folder), kind=kind, steps=2, strength=0.5, px=16)
    loaded = generator.load("cpu")
    prompts = [Prompt(picture(1), seed, 0.0) for seed in (5, 6, 7)]
    first, again = (loaded.make(picture(0), prompts) for _ in range(2))
    assert [a.image.tobytes() for a in first] == [a.image.tobytes() for a in again]
    assert len({a.image.tobytes() for a in first}) == 3
    assert first[0].recipe["num_inference_steps"] == 2
    assert first[0].recipe["eta"] == 0.1
    assert ("strength" in first[0].recipe) == (kind == "img2img")
    assert len(generator.weights_digest()) == 64
    other = loaded.make(picture(3), prompts)
    assert first[0].image.tobytes() != other[0].image.tobytes()
