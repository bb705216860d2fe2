import numpy as np
import pytest
import torch
from PIL import Image

from curate.manifests.consumer.augment import DRAWS, Augmentation, view_draws

STILL = Augmentation(area=(1, 1), ratio=(1, 1), flip=0, jitter=0, grey=0)


@pytest.fixture
def images():
    return torch.rand(6, 3, 12, 12, generator=torch.Generator().manual_seed(0))


def draws_of(count, epoch=0, view="anchor", seed=0):
    return view_draws(seed, epoch, torch.arange(count), view)


def test_nothing_asked_nothing_changed(images):
    assert torch.allclose(STILL(images, draws_of(6)), images, atol=1e-5)


def test_flip_mirrors(images):
    flipped = Augmentation(area=(1, 1), ratio=(1, 1), flip=1, jitter=0, grey=0)
    assert torch.allclose(flipped(images, draws_of(6)), images.flip(3), atol=1e-5)


def test_a_crop_is_the_region_that_pillow_cuts(images):
    draws = torch.full((1, DRAWS), 0.5)
    draws[0, 2], draws[0, 3] = 0.0, 1.0  # the left, and the lower edge
    quarter = Augmentation(area=(0.25, 0.25), ratio=(1, 1), flip=0, jitter=0, grey=0)
    view = quarter(images[:1], draws)
    for channel in range(3):
        plane = Image.fromarray(images[0, channel].numpy(), "F")
        cut = plane.transform((12, 12), Image.Transform.EXTENT, (0, 6, 6, 12), Image.BILINEAR)
        inner = np.s_[2:-2, 2:-2]
        assert np.allclose(view[0, channel].numpy()[inner], np.asarray(cut)[inner], atol=1e-4)


def test_grey_has_one_value_a_pixel_pillow_s_luma(images):
    grey = Augmentation(area=(1, 1), ratio=(1, 1), flip=0, jitter=0, grey=1)(images, draws_of(6))
    assert torch.equal(grey[:, 0], grey[:, 1])
    pixels = (images[0].permute(1, 2, 0) * 255).round().to(torch.uint8).numpy()
    luma = np.asarray(Image.fromarray(pixels).convert("L")) / 255
    assert np.allclose(grey[0, 0].numpy(), luma, atol=0.006)


def test_views_stay_in_range_and_differ(images):
    strong = Augmentation(jitter=0.9)
    views = strong(images, draws_of(6))
    assert views.shape == images.shape
    assert views.min() >= 0
    assert views.max() <= 1
    assert not torch.allclose(views, strong(images, draws_of(6, view="positive-0")), atol=0.05)


def test_a_view_does_not_depend_on_its_company(images):
    augmentation = Augmentation()
    whole = augmentation(images, draws_of(6))
    alone = torch.cat([augmentation(images[i : i + 1], draws_of(6)[i : i + 1]) for i in range(6)])
    assert torch.allclose(whole, alone, atol=1e-6)


def test_draws_depend_on_seed_epoch_id_and_view_only():
    ids = torch.tensor([7, 3, 7])
    draws = view_draws(1, 2, ids, "anchor")
    assert draws.shape == (3, DRAWS)
    assert draws.dtype == torch.float32
    assert torch.equal(draws[0], draws[2])
    assert torch.equal(draws[1], view_draws(1, 2, torch.tensor([3]), "anchor")[0])
    others = [(2, 2, "anchor"), (1, 3, "anchor"), (1, 2, "negative")]
    assert all(not torch.equal(draws, view_draws(s, e, ids, v)) for s, e, v in others)
    many = view_draws(0, 0, torch.arange(20_000), "anchor")
    assert torch.allclose(many.mean(0), torch.full((DRAWS,), 0.5), atol=0.01)
    assert many.max() < 1
