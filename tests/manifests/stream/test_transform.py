import io

import numpy as np
import pytest
import torch
from PIL import Image

from curate.manifests.images import decode
from curate.manifests.stream import ImageTransform


def photo(width, height, kind="JPEG", mode="RGB"):
    rows, columns = np.mgrid[:height, :width].astype(np.float64)
    waves = [128 + 100 * np.sin(columns / p + rows / (p + 3)) for p in (9, 14, 23)]
    out = io.BytesIO()
    image = Image.fromarray(np.stack(waves, axis=-1).astype(np.uint8)).convert(mode)
    image.save(out, kind, quality=95)
    return out.getvalue()


@pytest.mark.parametrize(
    ("mean", "std"), [((0.0,) * 3, (1.0,) * 3), ((0.5, 0.4, 0.3), (0.2, 0.3, 0.4))]
)
def test_the_centre_square_is_scaled_and_normalised(mean, std):
    image = decode(photo(90, 60))
    square = image.crop((15, 0, 75, 60)).resize((20, 20), Image.Resampling.BICUBIC)
    pixels = np.asarray(square).astype(np.float32) / np.float32(255)
    wanted = (pixels - np.float32(mean)) / np.float32(std)
    got = ImageTransform(20, mean, std)(image)
    assert got.dtype == torch.float32
    assert got.is_contiguous()
    assert np.allclose(got.permute(1, 2, 0).numpy(), wanted, atol=0.02)
    exact = ImageTransform(60, mean, std)(image).permute(1, 2, 0).numpy()
    whole = np.asarray(image.crop((15, 0, 75, 60))).astype(np.float32) / np.float32(255)
    assert np.array_equal(exact, (whole - np.float32(mean)) / np.float32(std))


@pytest.mark.parametrize(("width", "height", "size"), [(400, 200, (200, 100)), (90, 60, (90, 60)),
                                                       (900, 440, (225, 110))])  # fmt: skip
def test_a_draft_is_never_smaller_than_what_is_made_of_it(width, height, size):
    data, transform = photo(width, height), ImageTransform(100, draft=True)
    draft = decode(data, at_least=transform.decoded_px)
    assert draft.size == size
    full, fast = (transform(image) for image in (decode(data), draft))
    assert fast.shape == (3, 100, 100)
    assert float((full - fast).abs().mean()) < 3 / 255
    assert ImageTransform(100).decoded_px is None


def test_only_jpegs_have_drafts_and_their_colours_stay():
    assert decode(photo(400, 400, "PNG"), at_least=50).size == (400, 400)
    grey = decode(photo(400, 400, mode="L"), at_least=50)
    assert (grey.size, grey.mode) == ((50, 50), "RGB")
    ink = decode(photo(400, 400, mode="CMYK"), at_least=50)
    whole = decode(photo(400, 400, mode="CMYK")).resize((50, 50), Image.Resampling.BOX)
    assert np.abs(np.asarray(ink, float) - np.asarray(whole, float)).mean() < 4
