"""Text can be read: the colours of both themes have the contrast that WCAG 2.2 asks for."""

import re
from pathlib import Path

import pytest

import curate.manifests.report

STYLE = (Path(curate.manifests.report.__file__).parent / "style.css").read_text()
TEXT = [
    *[(ink, ground) for ink in ("ink", "soft", "link") for ground in ("page", "sheet")],
    *[("soft", "sunk"), ("ink", "sunk"), ("ink", "look-bg"), ("look", "sheet")],
    *[("good", "good-bg"), ("note", "note-bg"), ("look-bg", "look"), ("page", "ink")],
]
SHAPES = [
    (name, "sheet")
    for name in ("positive", "negative", "false_negative", "refused", "bar", "focus")
]


def themes():
    light, dark = re.findall(r":root \{(.*?)\n\s*\}", STYLE, re.S)[:2]
    light = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", light))
    return {"light": light, "dark": light | dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", dark))}


def luminance(colour):
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize(("pairs", "least"), [(TEXT, 4.5), (SHAPES, 3.0)])
def test_contrast(theme, pairs, least):
    colours = themes()[theme]
    for ink, ground in pairs:
        low, high = sorted((luminance(colours[ink]), luminance(colours[ground])))
        ratio = (high + 0.05) / (low + 0.05)
        assert ratio >= least, f"{theme}: {ink} on {ground} has {ratio:.2f}"
