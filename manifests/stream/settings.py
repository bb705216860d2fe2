"""What a stream is asked for."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from ..errors import UsageError
from .batch import Settings as Held
from .budget import FailureBudget
from .order import OrderSettings
from .planned import PlannedNegatives
from .store import ImageStore
from .topology import check_ranks, found_ranks, launched_ranks
from .transform import ImageTransform, Transform

BAD_IMAGE = ("mask", "replace", "raise")
"""What may happen to images that cannot be read."""
_LEAST = {
    "assets": 0,
    "clusters": 1,
    "max_bad_run": 0,
    "mixes": 0,
    "negatives": 0,
    "pad_to_multiple": 1,
    "positives": 1,
    "schedule_batches": 1,
    "window": 1,
}


@dataclass(eq=False)
class StreamSettings:
    """Settings of a `PairStream`.

    Attributes:
        root: folder of the pairset.
        batch_size: pairs of a global batch: of all ranks together. With a plan it is the plan's,
            and may be left out.
        rank: this process, 0..world_size-1; None, as world_size: what torch.distributed says if
            it is initialised by the time of the iteration, else $RANK and $WORLD_SIZE where both
            are set (torchrun), else one process.
        world_size: processes that share a global batch; must divide `batch_size`.
        seed: of the order and of the draws given to `transform`.
        order: "global" shuffles all pairs; "block" shuffles row groups, and pairs within windows
            of them, so that a batch reads from few places; "clusters" makes a batch of `clusters`
            runs of pairs of one cluster, which share many images (mask their false negatives);
            "plan" walks planned batches.
        plan: name of the plan of order "plan".
        window: row groups of a window of order "block".
        clusters: runs in a batch of order "clusters"; must divide `batch_size`.
        transform: makes a tensor of a picture and a random int; 224 px squares in [0, 1] by
            default.
        split: pairs of this split only; None means "train" where there is one, else all pairs.
        drop_last: leave out the pairs that fill no batch (others each epoch); if false they come
            in a last batch filled up with repeats that are not `valid`.
        on_bad_image: "mask" leaves an unreadable image out of its pairs; "replace" also puts
            another pair in the place of one that lost its anchor or all its positives (see
            `replace.Replacement`), so that batches stay full; "raise" stops.
        max_bad_fraction: share of unreadable images, 0..1, above which a process stops.
        max_bad_run: unreadable images one after the other at which a process stops; 0: no limit.
        positives: positives that each pair shows, picked by their weights, other ones each epoch;
            only their images are read. None: all.
        negatives: listed negatives that each pair shows, picked evenly, other ones each epoch;
            0 for none. None: all.
        captions: whether batches carry the images' captions.
        mixes: recipes of synthetic negatives that come with each pair, with their parents'
            images; others each epoch. 0 for none.
        assets: generated positives that come with each pair behind its others, other ones each
            epoch; None: one where the pairset has any.
        pad_to_multiple: fill the images of a batch up to a multiple of this number, so that a
            compiled model sees few shapes; see `PairBatch.images`.
        schedule_batches: number of global batches over which training progress goes from 0 to 1,
            where lists have entries that hold only from a progress on; None: all entries hold.
        memory_budget: bytes of columns a process holds (256 MB: about two million pairs and two
            seconds); beyond it they are mapped from files, which are written once.
        cache: folder for those files; see `manifests.stream.columns`.
        store: where the images are and how they are read: a cache of remote shards, retries,
            checksums; see `ImageStore`.
    """

    root: str | Path
    batch_size: int = 0
    rank: int | None = None
    world_size: int | None = None
    seed: int = 0
    order: str = "global"
    transform: Transform = field(default_factory=ImageTransform)
    split: str | None = None
    drop_last: bool = True
    on_bad_image: str = "mask"
    max_bad_fraction: float = 0.01
    max_bad_run: int = 100
    positives: int | None = None
    negatives: int | None = None
    captions: bool = False
    mixes: int = 0
    assets: int | None = None
    pad_to_multiple: int = 1
    schedule_batches: int | None = None
    memory_budget: int = 256 << 20
    cache: str | Path | None = None
    store: ImageStore = field(default_factory=ImageStore)
    plan: str | None = None
    window: int = 64
    clusters: int | None = None

    _launched = None
    """Ranks that the process knew by which this one was spawned."""

    def check(self) -> None:
        """Look at the settings.

        Raises:
            UsageError: they cannot work, whatever the pairset.
        """
        self.ordered()
        if (self.rank is None) != (self.world_size is None):
            raise UsageError(
                f"rank={self.rank}, world_size={self.world_size}: give both, or none of them."
            )
        check_ranks(*self.ranks(), self.batch_size)
        for name, low in _LEAST.items():
            value = getattr(self, name)
            if value is not None and value < low:
                raise UsageError(f"{name}={value}: {low} or more is allowed.")
        if self.on_bad_image not in BAD_IMAGE:
            allowed = ", ".join(map(repr, BAD_IMAGE))
            raise UsageError(f"on_bad_image={self.on_bad_image!r}; allowed: {allowed}.")

    def ordered(self) -> OrderSettings:
        """Return what decides the order."""
        return OrderSettings(self.order, self.window, self.plan, self.batch_size, self.clusters)

    def ranks(self) -> tuple[int, int]:
        """Return rank and world size; see the attribute `rank`."""
        if self.rank is not None and self.world_size is not None:
            return self.rank, self.world_size
        return found_ranks() or self._launched or launched_ranks()

    def budget(self) -> FailureBudget:
        """Return a new budget of unreadable images."""
        return FailureBudget(self.max_bad_fraction, self.on_bad_image != "raise", self.max_bad_run)

    def held(self, assets: int, planned: PlannedNegatives | None) -> Held:
        """Return what batches hold beside the pairs, in a pairset with `assets` for each pair."""
        return Held(
            self.captions,
            self.mixes,
            min(assets, 1) if self.assets is None else self.assets,
            self.seed,
            self.positives,
            self.negatives,
            self.pad_to_multiple,
            planned,
        )
