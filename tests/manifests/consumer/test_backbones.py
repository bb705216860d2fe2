import pytest
import torch

from curate.manifests.consumer.backbones import build_encoder
from curate.manifests.consumer.open_clip import Adapted, OpenClipText
from curate.manifests.consumer.shown import Told
from curate.manifests.errors import UsageError

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@pytest.mark.parametrize(
    ("name", "px", "width"),
    [
        ("conv", 32, 256),
        ("resnet18", 32, 512),
        ("vit_b_32", 64, 768),
        ("timm:convnext_atto", 64, 320),
        ("timm:mobilenetv3_small_050", 64, 1024),
        ("timm:vit_tiny_patch16_224", 48, 192),
    ],
)
def test_an_encoder_makes_rows_of_its_width(name, px, width):
    encoder, found = build_encoder(name, px)
    assert found == width
    assert encoder.training
    with torch.no_grad():
        assert encoder.eval()(torch.rand(2, 3, px, px)).shape == (2, width)


@pytest.mark.parametrize(
    ("name", "px", "text"),
    [
        ("resnet51", 64, "Did you mean 'resnet50'"),
        ("vgg16", 64, r"'vgg16' is not known.*timm:NAME"),
        ("vit_b_32", 80, "multiple is needed, such as 64"),
        ("timm:resnet_none", 64, "timm has no model 'resnet_none'. It has: "),
        ("timm:convnext_atto@nowhere.pt", 64, "neither 'pretrained' nor a file"),
        ("open_clip:ViT-None", 64, "ViT-None"),
        ("open_clip:RN50@no_tag", 64, "neither a file nor a tag of RN50; its tags: openai"),
    ],
)
def test_what_cannot_be_made_is_refused(name, px, text):
    with pytest.raises(UsageError, match=text):
        build_encoder(name, px)


def test_weights_of_a_file_are_taken_and_their_pixels(tmp_path):
    import timm

    learnt = timm.create_model("vit_tiny_patch16_224", num_classes=0, img_size=32).eval()
    torch.save(learnt.state_dict(), tmp_path / "w.pt")
    name = f"timm:vit_tiny_patch16_224@{tmp_path / 'w.pt'}"
    encoder, _ = build_encoder(name, 32)
    pixels = torch.rand(2, 3, 32, 32)
    mean, std = (torch.tensor(values)[:, None, None] for values in (MEAN, STD))
    with torch.no_grad():
        found = encoder.eval()((pixels - mean) / std)
        # This model was learnt with mean and deviation 1/2.
        assert torch.allclose(found, learnt((pixels - 0.5) / 0.5), atol=1e-4)
        other, _ = build_encoder(name, 32, pretrained=False)
        assert not torch.allclose(other.eval()(pixels), learnt(pixels), atol=1e-2)


def test_pixels_are_adapted():
    pixels = torch.rand(2, 3, 4, 4)
    mean, std = (torch.tensor(values)[:, None, None] for values in (MEAN, STD))
    found = Adapted(torch.nn.Identity(), (0.1, 0.2, 0.3), (0.4, 0.5, 0.6))((pixels - mean) / std)
    expected = (pixels - torch.tensor([0.1, 0.2, 0.3])[:, None, None]) / torch.tensor(
        [0.4, 0.5, 0.6]
    )[:, None, None]
    assert torch.allclose(found, expected, atol=1e-5)
    assert not Adapted(torch.nn.Identity(), MEAN, STD).state_dict()


def test_both_towers_are_those_of_open_clip(small_clip):
    import open_clip

    folder, model = small_clip
    name = f"open_clip:local-dir:{folder}"
    images, width = build_encoder(name, 32)
    texts = OpenClipText(name, 32).eval()
    assert width == 24
    pixels = torch.rand(3, 3, 32, 32)
    mean, std = (torch.tensor(values)[:, None, None] for values in (MEAN, STD))
    own = [torch.tensor(v)[:, None, None] for v in
           (open_clip.OPENAI_DATASET_MEAN, open_clip.OPENAI_DATASET_STD)]  # fmt: skip
    captions = ["a red square", "", "two words " * 40]
    tokens = open_clip.get_tokenizer(f"local-dir:{folder}")(captions)
    with torch.no_grad():
        expected = model.encode_image((pixels - own[0]) / own[1])
        assert torch.allclose(images.eval()((pixels - mean) / std), expected, atol=1e-4)
        expected = torch.nn.functional.normalize(model.encode_text(tokens), dim=1)
        assert torch.allclose(texts(Told(captions)), expected, atol=1e-4)
    fresh, _ = build_encoder(name, 32, pretrained=False)
    with torch.no_grad():
        assert not torch.allclose(fresh.eval()(pixels), images(pixels), atol=1e-2)
