"""Captions: what people would write under a picture.

A captioned row has three to five captions: a rich one first, then others of several lengths and
voices, one of them short. About one row in fifty has none, because that is how corpora are.
"""

from __future__ import annotations

from .draws import Draws
from .layout import Group
from .scene import Scene
from .world import INDOORS

MISSING = 0.02
"""The share of rows without a caption."""

_NUMBERS = ("no", "one", "two", "three", "four", "five")
_PLURALS = {"bus": "buses", "butterfly": "butterflies", "fish": "fish"}
_SIZES = {
    "small": ("small", "little", "tiny"),
    "medium": ("",),
    "large": ("large", "big"),
}
_TEXTURES = {
    "plain": ("",),
    "striped": ("striped", "stripy"),
    "dotted": ("dotted", "spotted", "polka-dot"),
    "checkered": ("checkered", "checked"),
}
_WHERE = {
    "beach": ("on a beach", "on a sandy beach", "by the seaside", "on the sand with a palm tree"),
    "desert": ("in the desert", "in a desert with cacti", "among sand dunes and cacti"),
    "farm": ("on a farm", "in a farm field", "near a red barn", "in a ploughed field by a barn"),
    "forest": ("in a forest", "in the woods", "among pine trees"),
    "garden": ("in a garden", "in front of a white fence", "in a garden with a white picket fence"),
    "kitchen": ("in a kitchen", "on a kitchen table", "on a wooden table in the kitchen"),
    "meadow": ("in a meadow", "on a grassy hill", "in a green field"),
    "mountains": ("in the mountains", "below snowy peaks", "with mountains behind"),
    "room": ("in a living room", "on the rug in a room", "indoors, on a round rug"),
    "sea": ("at sea", "on the sea", "on the water", "out on the ocean"),
    "snow": ("in the snow", "in a snowy landscape", "on a snowfield"),
    "street": ("on a city street", "in the city", "in front of tall buildings"),
}
_LIGHT = {
    "day": ("by day", "in daylight", "on a sunny day", "on a bright day"),
    "dusk": ("at dusk", "at sunset", "in the evening light", "under an orange sky"),
    "night": ("at night", "after dark", "in the dark", "at night-time"),
    "overcast": ("on a cloudy day", "on an overcast day", "on a grey day", "under grey clouds"),
}
_LIGHT_INDOORS = {
    "day": ("by day", "in daylight", "on a bright day"),
    "dusk": ("at dusk", "in the evening light", "at sunset"),
    "night": ("at night", "after dark", "in the dark"),
    "overcast": ("on a cloudy day", "on a grey day", "on an overcast day"),
}
_VIEW = {
    "front": ("", "", "seen from the front"),
    "close": ("seen up close", "in close-up"),
    "far": ("seen from far away", "in the distance"),
    "left": ("seen from the left", "viewed from the left side"),
    "right": ("seen from the right", "viewed from the right side"),
    "above": ("seen from above", "viewed from high up"),
}
_OPENERS = ("a photo of", "a picture of", "an image of", "a snapshot of", "a drawing of")


def plural(kind: str) -> str:
    """The plural of a kind: `bus` gives `buses`."""
    return _PLURALS.get(kind, kind + "s")


def _article(words: str) -> str:
    return ("an " if words[0] in "aeiou" else "a ") + words


def _thing(group: Group, draws: Draws, *, size: bool = True, texture: bool = True) -> str:
    """A noun phrase: `two small striped red cars`; its colour and its kind are always there."""
    words = [
        draws.pick(_SIZES[group.size]) if size else "",
        draws.pick(_TEXTURES[group.texture]) if texture else "",
        group.colour,
        group.kind if group.count == 1 else plural(group.kind),
    ]
    phrase = " ".join(word for word in words if word)
    return _article(phrase) if group.count == 1 else f"{_NUMBERS[group.count]} {phrase}"


def _others(scene: Scene, draws: Draws, *, relation: bool) -> str:
    """The other groups, joined to the first: ` to the left of a blue cup`; may be empty."""
    others = [_thing(group, draws, size=draws.chance(0.3)) for group in scene.groups[1:]]
    if not others:
        return ""
    side = "left" if scene.primary_left else "right"
    joined = " and ".join(others)
    if relation:
        return draws.pick((f" to the {side} of {joined}", f" on the {side}, beside {joined}"))
    return draws.pick((f" and {joined}", f" with {joined}", f" next to {joined}"))


def _light(scene: Scene, draws: Draws) -> str:
    table = _LIGHT_INDOORS if scene.place.setting in INDOORS else _LIGHT
    return draws.pick(table[scene.lighting])


def _rich(scene: Scene, draws: Draws) -> str:
    """Everything there is to say."""
    things = _thing(scene.groups[0], draws) + _others(scene, draws, relation=draws.chance(0.6))
    where = draws.pick(_WHERE[scene.place.setting])
    view, light = draws.pick(_VIEW[scene.viewpoint]), _light(scene, draws)
    tail = f", {view}" if view else ""
    return draws.pick(
        (
            f"{things} {where} {light}{tail}",
            f"{draws.pick(_OPENERS)} {things}, {where}, {light}{tail}",
            f"{light}, {things} {where}{tail}",
            f"{things} {where}, {light}{tail}",
        )
    )


def _middle(scene: Scene, draws: Draws) -> str:
    """The things and one or two circumstances."""
    things = _thing(scene.groups[0], draws) + _others(scene, draws, relation=False)
    where = draws.pick(_WHERE[scene.place.setting])
    be = "is" if scene.groups[0].count == 1 else "are"
    return draws.pick(
        (
            f"{things} {where}",
            f"{draws.pick(_OPENERS)} {things} {where}",
            f"there {be} {things} {where} {_light(scene, draws)}",
            f"{things} {_light(scene, draws)}",
            f"we saw {things} {where}",
        )
    )


def _relation(scene: Scene, draws: Draws) -> str:
    """Who stands where; for a single group, how many and where."""
    first = scene.groups[0]
    be = "is" if first.count == 1 else "are"
    where = draws.pick(_WHERE[scene.place.setting])
    if len(scene.groups) == 1:
        things = _thing(first, draws)
        if first.count > 1:
            return f"{things} stand together {where}"
        return f"{things} {draws.pick(('stands', 'sits'))} alone {where}"
    side = "left" if scene.primary_left else "right"
    other = _thing(scene.groups[1], draws, size=False)
    return f"{_thing(first, draws, size=False)} {be} {side} of {other} {where}"


def _plain(scene: Scene, draws: Draws) -> str:
    """Colour, kind and place, as one would type it in a hurry."""
    first = scene.groups[0]
    noun = first.kind if first.count == 1 else f"{_NUMBERS[first.count]} {plural(first.kind)}"
    if first.count == 1:
        return f"the {noun} {draws.pick(_WHERE[scene.place.setting])} is {first.colour}"
    return f"{noun}, all {first.colour}, {draws.pick(_WHERE[scene.place.setting])}"


def _short(scene: Scene, draws: Draws) -> str:
    """A few words: a thing, or a thing and its place."""
    first = scene.groups[0]
    bare = _thing(first, draws, size=False, texture=False)
    noun = _article(first.kind) if first.count == 1 else plural(first.kind)
    return draws.pick((bare, bare, f"{noun} {_light(scene, draws)}", noun))


def captions_for(seed: int, row: int, scene: Scene) -> list[str]:
    """The captions of one row.

    Args:
        seed: the seed of the corpus.
        row: the row that is captioned; a duplicate row has captions of its own.
        scene: the scene its picture shows.

    Returns:
        Three to five different captions, the richest first, or an empty list. All but the short
        one (at most one a row) name the colour and the kind of the primary group.
    """
    draws = Draws(seed, "captions", row)
    if draws.chance(MISSING):
        return []
    writers = [_rich, _middle, _short, _relation, _plain]
    count = 3 + draws.below(3)
    found = [_rich(scene, draws)]
    rest = [_rich, *writers[1:]]
    while len(found) < count and rest:
        writer = rest.pop(draws.below(len(rest)))
        caption = writer(scene, draws)
        if caption not in found:
            found.append(caption)
    return [_sentence(caption, draws) for caption in found]


def _sentence(caption: str, draws: Draws) -> str:
    """Some people write capitals and a full stop, some do not."""
    if draws.chance(0.5):
        return caption[0].upper() + caption[1:] + "."
    return caption
