"""The arms: what is mined and how the loss is set, as anybody would type it after `curate run`.

All arms of a corpus share samples, features, steps, optimiser, learning rate and batch size (but
where the batch is what is asked about). An arm is held against its control, which has the same
temperature and the same batch.
"""

from __future__ import annotations

from dataclasses import dataclass

MASK_LABELS = "mask_groups=[group_id,label]"
HARD = "negatives=[{miner: hard, ranks: [0, 64], max_ratio: 0.95, count: 4}]"
FOUR = ("output.negatives=4", "output.false_negatives=64")
MANY = ("positives=[{miner: knn, k: 5}]", "loss.pos_in_denom=all", "output.positives=5")
DEEP = ("neighbors={image>image: {k: 256}}", "output.false_negatives=256")


@dataclass(frozen=True)
class Arm:
    """One way to make pairs and to learn from them.

    Attributes:
        group: heading in the table.
        says: what it is.
        recipe: `--recipe`.
        sets: `--set`, one each; the recipe's other settings stand.
        control: name of the arm that it is held against; "" for none.
        batch: pairs a batch.
        plan: name of the plan whose batches are walked; "" for random batches.
        remine: whether the pairs are mined anew, in the trained space, after half of the steps.
    """

    group: str
    says: str
    recipe: str = "simclr"
    sets: tuple[str, ...] = ()
    control: str = "augmentation"
    batch: int = 256
    plan: str = ""
    remine: bool = False


def _detector(k: int) -> str:
    return f"false_negatives=[{{miner: topk_threshold, k: {k}, threshold: calibrated}}]"


def _by_label(k: int) -> str:
    return f"false_negatives=[{{miner: label, k: {k}}}]"


_POSITIVES = {
    "augmentation": Arm("positives", "two views of one picture (SimCLR)", control=""),
    "knn-1": Arm("positives", "the nearest neighbour", sets=("positives=[{miner: knn, k: 1}]",)),
    "knn-5": Arm("positives", "five nearest", sets=MANY),
    "knn-5-round": Arm(
        "positives", "five nearest, mined again half-way in the trained space", sets=MANY,
        control="knn-5", remine=True,
    ),
    "knn-5-own": Arm(
        "positives", "five nearest and the picture itself",
        sets=(*MANY, "positives=[{miner: self_aug}, {miner: knn, k: 5}]", "output.positives=6"),
    ),
    "mutual": Arm(
        "positives", "mutual neighbours among the ten nearest",
        sets=(*MANY, "positives=[{miner: knn, k: 10, mutual: true}]"),
    ),
    "consensus": Arm(
        "positives", "near as it is and as the mean of its views",
        recipe="consensus",
        sets=("positives.0.spaces=[image>image, views>views]",
              "neighbors={image>image: {k: 64}, views>views: {k: 64}}"),
    ),
    "k-reciprocal": Arm("positives", "k-reciprocal re-ranking, five", recipe="k-reciprocal"),
    "nnclr": Arm("positives", "NNCLR's own loss", recipe="nnclr"),
    "default": Arm("positives", "recipe `default`: mutual, hard, detector", recipe="default"),
    "labels": Arm(
        "positives", "four of the same label, labels masked: the upper bound",
        sets=("positives=[{miner: label, count: 4}]", "output.positives=4",
              "loss.pos_in_denom=all", MASK_LABELS),
    ),
}  # fmt: skip
_FALSE = {
    "fn-detector": Arm("false negatives", "detector, ten nearest (FNC)", recipe="fnc-eliminate"),
    "fn-detector-256": Arm(
        "false negatives", "detector, 256 nearest", sets=(_detector(256), *DEEP)
    ),
    "fn-clusters": Arm(
        "false negatives", "clusters, ever more of them (IFND)",
        recipe="ifnd", sets=("clusters.ifnd.levels=[1000,100,10]", "false_negatives.0.level=2"),
    ),
    "fn-label-256": Arm("false negatives", "labels, 256 nearest", sets=(_by_label(256), *DEEP)),
    "fn-label": Arm("false negatives", "labels, all pairs: the upper bound", sets=(MASK_LABELS,)),
}  # fmt: skip
_HARD = {
    "hard": Arm("hard negatives", "four of the 64 nearest", sets=(HARD, *FOUR)),
    "hard-detector": Arm(
        "hard negatives", "the same without the detector's", sets=(HARD, _detector(64), *FOUR),
        control="hard",
    ),
    "hard-label": Arm(
        "hard negatives", "the same without those of the label",
        sets=(HARD, _by_label(64), *FOUR), control="hard",
    ),
    "hard-label-mask": Arm(
        "hard negatives", "and the label masked in all pairs",
        sets=(HARD, _by_label(64), *FOUR, MASK_LABELS), control="fn-label",
    ),
}  # fmt: skip
_SOFT = "augmentation, t = 0.5"
_WEIGHTS = {
    _SOFT: Arm("weights", "control", sets=("loss.t=0.5",), control=""),
    "dcl": Arm("weights", "DCL, tau+ = 0.1", recipe="dcl", control=_SOFT),
    "hcl": Arm("weights", "HCL, tau+ = 0.1, beta = 1", recipe="hcl", control=_SOFT),
    "bcl": Arm(
        "weights", "BCL, weights of live ranks, hardness 0.9",
        sets=("loss={kind: bcl, t: 0.5, tau_plus: 0.1, alpha: 0.9, hardness: 0.9}",),
        control=_SOFT,
    ),
    "bcl-debias": Arm(
        "weights", "BCL, weights of live ranks, hardness 0.5",
        sets=("loss={kind: bcl, t: 0.5, tau_plus: 0.1, alpha: 0.9, hardness: 0.5}",),
        control=_SOFT,
    ),
}  # fmt: skip
_MID = "augmentation, t = 0.2"
_SYNTHETIC = {
    _MID: Arm("synthetic negatives", "control", sets=("loss.t=0.2",), control=""),
    "mochi": Arm("synthetic negatives", "MoCHi", recipe="mochi", control=_MID),
    "mochi-label": Arm(
        "synthetic negatives", "MoCHi, no parent of the label", recipe="mochi",
        sets=(_by_label(64), "output.false_negatives=64"), control=_MID,
    ),
    "synco": Arm("synthetic negatives", "SynCo", recipe="synco", control=_MID),
}  # fmt: skip


def _batches(size: int) -> dict[str, Arm]:
    plain, masked = f"random-{size}", f"random-{size}-label"
    planned, says = ("loss.t=0.1", f"batches.0.size={size}"), f"B3, {size} pairs"
    return {
        plain: Arm("batches", f"random, {size} pairs", control="", batch=size),
        f"b3-{size}": Arm("batches", says, "b3", planned, plain, size, "b3"),
        masked: Arm(
            "batches", f"random, {size} pairs, labels masked", sets=(MASK_LABELS,), control="",
            batch=size,
        ),
        f"b3-{size}-label": Arm(
            "batches", f"{says}, labels masked", "b3", (*planned, MASK_LABELS), masked, size, "b3"
        ),
    }  # fmt: skip


ARMS: dict[str, Arm] = {
    **_POSITIVES, **_FALSE, **_HARD, **_WEIGHTS, **_SYNTHETIC,
    **_batches(32), **_batches(128), **_batches(512),
}  # fmt: skip
"""Arms by name, in the order of the table."""
