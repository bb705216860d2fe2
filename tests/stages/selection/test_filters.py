"""Every filter against DuckDB."""

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from curate.stages.selection.filters import Filters

WORDS = ["a", "red", "dog", "on", "the", "beach", "\u00e9t\u00e9", "x" * 30]


def odd_world(make_world, n=300, seed=1):
    rng = np.random.default_rng(seed)
    captions = []
    for i in range(n):
        words = rng.choice(WORDS, int(rng.integers(0, 9)))
        text = ["  ", " ", "\t"][i % 3].join(words)
        many = int(rng.choice([0, 1, 1, 1, 4]))
        captions.append([f" {text} "] + ["more"] * (many - 1) if many else [])
    sizes = [
        (None, None) if i % 17 == 0 else tuple(map(int, rng.integers(50, 900, 2))) for i in range(n)
    ]
    return make_world(n=n, captions=captions, sizes=sizes, vectors={})


SQL = r"""
with base as (
  select id, w, h, n, trim(coalesce(caption, ''), e' \t') as text from t),
words as (
  select *, case when text = '' then 0 else len(regexp_split_to_array(text, '\s+')) end as k,
    count(*) over (partition by text) as shared from base)
select id, case
  when least(w, h) < {side} then 'short_side'
  when greatest(w, h) > {aspect} * least(w, h) then 'aspect'
  when text = '' then 'no_caption'
  when k < {few} then 'few_words'
  when k > {many} then 'many_words'
  when length(text) < {characters} then 'few_characters'
  when n > {captions} then 'many_captions'
  when shared > {shared} then 'shared_caption'
  else '' end from words order by id
"""


@pytest.mark.parametrize(("side", "shared"), [(200, 2), (1, 1)])
def test_every_filter_against_sql(make_world, read, side, shared):
    drops, _, _ = read
    world = odd_world(make_world)
    settings = {
        "min_side": side,
        "max_aspect": 2.5,
        "min_words": 2,
        "max_words": 6,
        "min_characters": 8,
        "max_captions": 3,
        "max_shared": shared,
    }
    verdict = world.select(Filters(**settings))
    t = pa.table(
        {
            "id": range(len(world)),
            "w": pa.array([w for w, _ in world.sizes], pa.int32()),
            "h": pa.array([h for _, h in world.sizes], pa.int32()),
            "n": [len(c) for c in world.captions],
            "caption": pa.array([c[0] if c else None for c in world.captions], pa.string()),
        }
    )
    db = duckdb.connect()
    db.register("t", t)
    names = ("side", "aspect", "few", "many", "characters", "captions", "shared")
    wanted = db.execute(SQL.format(**dict(zip(names, settings.values(), strict=True)))).fetchall()
    assert drops(verdict) == [reason for _, reason in wanted]
    assert len(set(drops(verdict))) >= (7 if side > 1 else 6)
    assert verdict.receipts[0].facts["without_size"] == 18


def test_none_switches_a_filter_off(make_world, read):
    _, kept, _ = read
    world = odd_world(make_world)
    off = dict.fromkeys(Filters.model_fields, None) | {"among": "all"}
    assert len(kept(world.select(Filters(**off)))) == len(world)


@pytest.mark.parametrize("text", ["", "same old words here"])
def test_identical_captions(make_world, read, text):
    drops, _, _ = read
    world = make_world(n=40, captions=[[text]] * 40, vectors={})
    reason = "shared_caption" if text else "no_caption"
    assert set(drops(world.select(Filters()))) == {reason}
    assert set(drops(world.select(Filters(max_shared=40)))) == {"" if text else reason}
