"""How full the rows of `pairs` are, against loops over the whole table."""

from collections import Counter

from tiny_pairset import KINDS

from curate.manifests.report.fills import scan_pairs


def test_fills_and_miners_are_counted(pairset, rows):
    facts = scan_pairs(pairset, 9, 0)
    pairs = rows("pairs")
    for name, side in (("positive", facts.positives), ("negative", facts.negatives)):
        filled = Counter(sum(i >= 0 for i in pair[f"{name}_ids"]) for pair in pairs)
        assert side.length == len(pairs[0][f"{name}_ids"])
        assert side.filled.tolist() == [filled[n] for n in range(side.length + 1)]
        kinds = Counter(KINDS[k] for pair in pairs for k in pair[f"{name}_kinds"] if k >= 0)
        assert side.by_miner == kinds
        assert side.places == sum(kinds.values())
        assert side.filler == kinds["random"] + kinds["self_aug"]
        assert side.full_share == filled[side.length] / len(pairs)
        lists = [{KINDS[k] for k in pair[f"{name}_kinds"] if k >= 0} for pair in pairs]
        assert side.only_filler == sum(bool(s) and s <= {"random", "self_aug"} for s in lists)
    masks = [sum(i >= 0 for i in pair["false_negative_ids"]) for pair in pairs]
    assert facts.masked == sum(masks)
    assert facts.masking == sum(n > 0 for n in masks)
    assert facts.splits == Counter(pair["split"] for pair in pairs)
    assert facts.rows == len(pairs)
    assert len(set(facts.drawn)) == 9


def test_the_draw_follows_the_seed(pairset):
    draws = [scan_pairs(pairset, 12, seed).drawn for seed in (0, 0, 1)]
    assert draws[0] == draws[1] != draws[2]
