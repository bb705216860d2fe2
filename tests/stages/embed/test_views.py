"""Views: crops by hand with Pillow, encoded by open_clip; the same whatever the parts."""

import io

import numpy as np
from clip_by_hand import by_hand, encoder
from picture_corpus import picture
from PIL import Image
from vector_corpus import gather

from curate.manifests.fingerprint import draw_uniform
from curate.stages.embed._views import View
from curate.stages.embed.stage import Embed

ROWS = 14


def cropped(data, row, number, seed):
    """Cut and mirror a picture by hand, from the same five numbers."""
    area, ratio, x, y, flip = draw_uniform(seed, np.array([row]), f"embed/view/{number}", 5)[0]
    image = Image.open(io.BytesIO(data)).convert("RGB")
    wide, high = image.size
    share = 0.2 + 0.8 * area
    aspect = np.exp(np.log(3 / 4) + ratio * np.log(16 / 9))
    w = min(wide, round((wide * high * share * aspect) ** 0.5))
    h = min(high, round((wide * high * share / aspect) ** 0.5))
    left, upper = int(x * (wide - w + 1)), int(y * (high - h + 1))
    pixels = np.asarray(image)[upper : upper + h, left : left + w]
    pixels = pixels[:, ::-1] if flip < 0.5 else pixels
    out = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(out, "PNG")
    return out.getvalue()


def test_a_view_embeds_the_crop_of_each_sample(tiny, pictures):
    images = [picture(i, size=(40 + i, 30 + 2 * i)) for i in range(ROWS)]
    samples, scan = pictures.make(images)
    found = {}
    for number in (1, 2):
        view = View(number=number, seed=7)
        stage = Embed(space="v", encoder=encoder(tiny), view=view)
        found[number] = gather(pictures.run(stage, samples=samples, scan=scan), "npy")
        crops = [cropped(data, row, number, 7) for row, data in enumerate(images)]
        np.testing.assert_allclose(found[number], by_hand(tiny, crops), atol=6e-4)
    whole = gather(
        pictures.run(Embed(space="v", encoder=encoder(tiny)), samples=samples, scan=scan), "npy"
    )
    different = [(a != b).any(axis=1).mean() for a, b in ((whole, found[1]), (found[1], found[2]))]
    assert min(different) > 0.8


def test_crops_stay_inside_and_differ_in_area_shape_and_side():
    areas, ratios, flips = [], [], 0
    for row in range(400):
        (left, upper, right, lower), mirrored = View(number=1, seed=1).box(row, 300, 200)
        assert 0 <= left < right <= 300
        assert 0 <= upper < lower <= 200
        areas.append((right - left) * (lower - upper) / 60000)
        ratios.append((right - left) / (lower - upper))
        flips += mirrored
    assert 0.19 < min(areas) < 0.25
    assert 0.85 < max(areas) <= 1
    assert 0.74 < min(ratios) < 0.85
    assert 140 < flips < 260


def test_one_pixel_and_thin_pictures_have_crops():
    for size in ((1, 1), (1, 900), (900, 1), (2, 3)):
        for row in range(30):
            (left, upper, right, lower), _ = View(number=3).box(row, *size)
            assert left < right <= size[0]
            assert upper < lower <= size[1]


def test_parts_and_batches_do_not_move_a_crop(tiny, tmp_path, pictures):
    images = [picture(i) for i in range(ROWS)]
    samples, scan = pictures.make(images)
    stage = Embed(space="v", encoder=encoder(tiny), view=View(number=1), batch=8)
    few = gather(pictures.run(stage, samples=samples, scan=scan), "npy")
    pictures.part_rows = 5
    samples, scan = pictures.make(images)
    many = gather(pictures.run(stage, samples=samples, scan=scan), "npy")
    np.testing.assert_allclose(few.astype(float), many.astype(float), atol=6e-4)


def test_the_view_decides_the_vectors(tiny):
    plain = Embed(space="v", encoder=encoder(tiny))
    ones = [Embed(space="v", encoder=encoder(tiny), view=View(number=n)) for n in (1, 2)]
    seeded = Embed(space="v", encoder=encoder(tiny), view=View(number=1, seed=4))
    known = [str(stage.identity()) for stage in (plain, *ones, seeded)]
    assert len(set(known)) == 4
