"""From a scene to pixels, and from pixels to JPEG bytes.

Pictures are painted at twice their size and halved once at the end, which smooths every edge.
"""

from __future__ import annotations

import io
from functools import lru_cache

from PIL import Image, ImageChops, ImageFilter

from .backgrounds import paint_background
from .draws import Draws, noise_bytes
from .layout import horizon_of
from .paint import paint_item, paint_shadow
from .scene import Scene

MIN_PX, MAX_PX = 16, 512
_OVERSAMPLE = 2
_QUALITY = 90
# Corners of the part of the canvas that is seen (upper left, lower left, lower right, upper
# right; fractions): the nearer side of a slanted view shows less of the scene, so it looks larger.
_SLANTS: dict[str, tuple[float, ...]] = {
    "left": (0.05, 0.13, 0.05, 0.87, 1.0, 1.0, 1.0, 0.0),
    "right": (0.0, 0.0, 0.0, 1.0, 0.95, 0.87, 0.95, 0.13),
}


@lru_cache(maxsize=4)
def _vignette(size: int) -> Image.Image:
    mask = Image.radial_gradient("L").resize((size, size), Image.Resampling.BILINEAR)
    mask = mask.point([255 - max(0, v - 130) * 48 // 125 for v in range(256)])
    return Image.merge("RGB", [mask] * 3)


@lru_cache(maxsize=4)
def _noise(size: int) -> Image.Image:
    """A tile of sensor noise around 8, in `L` mode, larger than a picture by a third."""
    side = size + size // 3
    tile = Image.frombytes("L", (side, side), noise_bytes("grain", side * side))
    return tile.filter(ImageFilter.BoxBlur(0.6)).point([v >> 4 for v in range(256)])


def _finish(image: Image.Image, grain: int) -> Image.Image:
    size = image.width
    image = ImageChops.multiply(image, _vignette(size))
    spare = size // 3
    dx, dy = grain % (spare + 1), (grain // 997) % (spare + 1)
    tile = _noise(size).crop((dx, dy, dx + size, dy + size))
    return ImageChops.add(image, Image.merge("RGB", [tile] * 3), 1.0, -8)


def render(scene: Scene, px: int) -> Image.Image:
    """Paint a scene.

    Args:
        scene: what to paint.
        px: side of the picture in pixels, 16 .. 512.

    Returns:
        An RGB image of `px` x `px`. The same scene at another size is the same picture.

    Raises:
        ValueError: `px` is out of range.
    """
    if not MIN_PX <= px <= MAX_PX:
        raise ValueError(f"a picture is {MIN_PX} to {MAX_PX} pixels wide, not {px}")
    size = px * _OVERSAMPLE
    horizon = horizon_of(scene.place, scene.viewpoint)
    sky = Draws(scene.scene_id, "sky", scene.place.look).below(1 << 30)
    canvas = paint_background(scene.place, scene.lighting, horizon, sky, size)
    for item in scene.items:
        if not item.floats:
            paint_shadow(canvas, item, scene.lighting)
    for item in scene.items:
        paint_item(canvas, item, scene.lighting)
    slant = _SLANTS.get(scene.viewpoint)
    if slant is None:
        image = canvas.reduce(_OVERSAMPLE)
    else:
        corners = tuple(v * size for v in slant)
        image = canvas.transform((px, px), Image.Transform.QUAD, corners, Image.Resampling.BILINEAR)
    return _finish(image, scene.grain)


def jpeg_bytes(image: Image.Image, quality: int = _QUALITY) -> bytes:
    """A baseline JPEG of an image; equal pixels give equal bytes."""
    buffer = io.BytesIO()
    image.save(buffer, format="JPEG", quality=quality, subsampling=0)
    return buffer.getvalue()
