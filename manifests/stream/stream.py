"""PairStream: the pairs of a pairset as batches, in an order that no topology can change.

Global batch g of an epoch holds the positions [g G, (g + 1) G) of the order; rank r takes the r-th
of `world_size` equal slices; worker w of a DataLoader makes the batches start + w, start + w +
workers, ... and torch hands them out in turn. So the batches depend on (pairset, split, seed,
epoch, G) alone, every rank has the same number of them, and a place is one integer.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.utils.data import IterableDataset, get_worker_info

from ..errors import PairsetError, StateMismatch, StreamError, UsageError
from ..pairset import Pairset
from .batch import PairBatch, Settings, complete, compose
from .cache import load_columns
from .columns import Columns, Request
from .images import FailureBudget, ImageSource, check_has_images
from .order import Order, OrderSettings
from .planned import PlannedNegatives
from .state import StreamState
from .transform import ImageTransform, Transform

if TYPE_CHECKING:
    from .loader import PairLoader

TRAIN = "train"


@dataclass(eq=False)
class PairStream(IterableDataset[PairBatch]):
    """Streams the pairs of a pairset; give it to a DataLoader, or call `loader`.

        stream = PairStream("OUT", batch_size=4096, rank=r, world_size=w)
        loader = stream.loader(num_workers=8)
        for epoch in range(loader.epoch, 10):
            loader.set_epoch(epoch)
            for batch in loader: ...

    With a plain DataLoader give batch_size=None; the state is then `state_at(epoch, batches)`
    with the number of batches that your loop has used.

    Attributes:
        root: folder of the pairset.
        batch_size: pairs of a global batch: of all ranks together. With a plan it is the plan's,
            and may be left out.
        rank: this process, 0..world_size-1.
        world_size: processes that share a global batch; must divide `batch_size`.
        seed: of the order and of the draws given to `transform`.
        order: "global" shuffles all pairs; "block" shuffles row groups, and pairs within windows
            of them, so that a batch reads from few places; "plan" walks planned batches, and hands
            out the negatives that the plan drew.
        plan: name of the plan of order "plan".
        window: row groups of a window of order "block".
        transform: makes a tensor of a picture and a random int; 224 px squares in [0, 1] by
            default.
        split: pairs of this split only; None means "train" where there is one, else all pairs.
        drop_last: leave out the pairs that fill no batch (others each epoch); if false they come
            in a last batch filled up with repeats that are not `valid`.
        on_bad_image: "mask" leaves an unreadable image out of its pairs, "raise" stops.
        max_bad_fraction: share of unreadable images, 0..1, above which a process stops.
        captions: whether batches carry the images' captions.
        mixes: recipes of synthetic negatives that come with each pair, with their parents'
            images; others each epoch. 0 for none.
        assets: generated positives that come with each pair behind its others, other ones each
            epoch; None: one where the pairset has any.
        schedule_batches: number of global batches over which training progress goes from 0 to 1,
            where lists have entries that hold only from a progress on; None: all entries hold.
        memory_budget: bytes of columns a process holds; beyond it they are mapped from files.
        cache: folder for those files; see `manifests.stream.columns`.

    Raises:
        PairsetError: `root` is no pairset.
        UsageError: settings that cannot work.
        StreamError: the pairset has nothing to stream.
    """

    root: str | Path
    batch_size: int = 0
    rank: int = 0
    world_size: int = 1
    seed: int = 0
    order: str = "global"
    transform: Transform = field(default_factory=ImageTransform)
    split: str | None = None
    drop_last: bool = True
    on_bad_image: str = "mask"
    max_bad_fraction: float = 0.01
    captions: bool = False
    mixes: int = 0
    assets: int | None = None
    schedule_batches: int | None = None
    memory_budget: int = 2 << 30
    cache: str | Path | None = None
    plan: str | None = None
    window: int = 64

    def __post_init__(self) -> None:
        OrderSettings(self.order, self.window, self.plan)
        self.pairset = Pairset.open(self.root)
        self._planned: np.ndarray | None = None
        self._negatives: PlannedNegatives | None = None
        if self.plan is not None:
            self._take_plan(self.plan)
        self._check_settings()
        self._images: ImageSource | None = None
        self._columns: Columns | None = None
        check_has_images(self.pairset, self.columns)
        if self.split is None:
            self.split = TRAIN if TRAIN in self.columns.splits else None
        self.pairs = len(self._rows())
        # In shared memory, so that a new epoch reaches workers that live on between epochs.
        self._place = torch.zeros(2, dtype=torch.int64).share_memory_()
        self._progress = torch.full((1,), -1.0, dtype=torch.float64).share_memory_()
        if not len(self):
            raise StreamError(
                f"batch_size={self.batch_size}, but {self.pairset.root} has {self.pairs} pairs"
                f"{f' of split {self.split!r}' if self.split else ''}: not one batch. "
                "Take a smaller batch_size, or drop_last=False."
            )

    def _check_settings(self) -> None:
        if self.world_size < 1 or not 0 <= self.rank < self.world_size:
            raise UsageError(
                f"rank={self.rank}, world_size={self.world_size}: rank must be in 0..world_size-1."
            )
        if self.batch_size < 1 or self.batch_size % self.world_size:
            raise UsageError(
                f"batch_size={self.batch_size} is the batch of all ranks together and must be a "
                f"positive multiple of world_size={self.world_size}."
            )
        if (self.assets or 0) < 0:
            raise UsageError(f"assets={self.assets}: None, 0 or more are allowed.")
        if self.mixes < 0 or (self.schedule_batches is not None and self.schedule_batches < 1):
            raise UsageError(
                f"mixes={self.mixes}, schedule_batches={self.schedule_batches}: "
                "mixes >= 0 and schedule_batches >= 1 are allowed."
            )
        if self.on_bad_image not in ("mask", "raise"):
            raise UsageError(f"on_bad_image={self.on_bad_image!r}; allowed: 'mask', 'raise'.")

    def _take_plan(self, name: str) -> None:
        try:
            entry = self.pairset.plan_entry(name)
        except PairsetError as error:
            raise UsageError(f"plan={name!r}: {error}") from error
        for setting, given in (("batch_size", self.batch_size), ("split", self.split)):
            own = entry["size" if setting == "batch_size" else "split"]
            if given and given != own:
                raise UsageError(
                    f"{setting}={given!r}, but plan {name!r} is of {setting} {own!r}. Leave "
                    f"{setting} out, or plan anew."
                )
        self.batch_size, self.split = entry["size"], entry["split"]

    @property
    def _order(self) -> OrderSettings:
        return OrderSettings(self.order, self.window, self.plan, self.batch_size)

    @property
    def columns(self) -> Columns:
        """The columns that the stream reads at random; opened once a process."""
        if self._columns is None:
            groups = tuple(self.pairset.manifest.get("mask_groups") or ("group_id",))
            request = Request(self.captions, groups)
            self._columns = load_columns(self.pairset, request, self.memory_budget, self.cache)
        return self._columns

    @property
    def images(self) -> ImageSource:
        """Images by sample id; opened once a process."""
        if self._images is None:
            self._images = ImageSource.of(self.pairset, self.columns, self.transform, self.seed)
        return self._images

    def __len__(self) -> int:
        """Batches of a whole epoch; the same on every rank."""
        whole, rest = divmod(self.pairs, self.batch_size)
        return whole + (rest > 0 and not self.drop_last)

    def __iter__(self) -> Iterator[PairBatch]:
        """Yield this worker's batches of the rest of the epoch."""
        epoch, start = self.place
        worker = get_worker_info()
        first, step = (worker.id, worker.num_workers) if worker else (0, 1)
        return self._batches(epoch, range(start + first, len(self), step))

    def _batches(self, epoch: int, numbers: range) -> Iterator[PairBatch]:
        budget = FailureBudget(self.max_bad_fraction, self.on_bad_image == "mask")
        order = self._order.of(self.seed, epoch, self.pairs)
        for number in numbers:
            yield self._batch(order, number, budget)

    def _batch(self, order: Order, number: int, budget: FailureBudget) -> PairBatch:
        local = self.batch_size // self.world_size
        positions = number * self.batch_size + self.rank * local + np.arange(local)
        rows = self._rows()[order.ordinals(positions % self.pairs)]
        settings = self._settings()
        progress = self.progress_at(order.epoch, number)
        whole = positions < self.pairs
        plan = compose(self.columns, rows, whole, settings, order.epoch, progress)
        images = self.images.load(plan.sample_id, order.epoch, budget)
        return complete(self.columns, plan, images, settings)

    def _settings(self) -> Settings:
        made = int(bool(self.pairset.counts.get("A"))) if self.assets is None else self.assets
        if self.plan is not None and self._negatives is None:
            self._negatives = PlannedNegatives.of(self.pairset, self.plan)
        return Settings(self.captions, self.mixes, made, self.seed, self._negatives)

    def progress_at(self, epoch: int, batch: int) -> float:
        """Return the training progress, 0..1, that the lists of a batch are held against."""
        fixed = float(self._progress)
        if fixed >= 0:
            return fixed
        if self.schedule_batches is None:
            return 1.0
        return min(1.0, (epoch * len(self) + batch) / self.schedule_batches)

    def set_progress(self, progress: float | None) -> None:
        """Hold lists against this training progress from the next iteration on.

        Batches that workers have made already keep theirs; `schedule_batches` has no such delay,
        because it makes progress a function of the place in the epoch.

        Args:
            progress: 0..1, or None to go back to `schedule_batches`.

        Raises:
            UsageError: it is outside 0..1.
        """
        if progress is not None and not 0 <= progress <= 1:
            raise UsageError(f"progress={progress}: a number from 0 to 1 is allowed.")
        self._progress[0] = -1.0 if progress is None else progress

    def _rows(self) -> np.ndarray:
        """Return the rows of `pairs` that an epoch walks, int64 [pairs]."""
        if self.plan is not None:
            if self._planned is None:
                self._planned = self.pairset.plan(self.plan).reshape(-1)
            return self._planned
        columns = self.columns
        if self.split is None:
            return columns["split_rows"]
        if self.split not in columns.splits:
            known = ", ".join(repr(name) for name in columns.splits)
            raise UsageError(f"split={self.split!r} has no pairs; there are: {known}.")
        return columns.rows_of(self.split)

    @property
    def place(self) -> tuple[int, int]:
        """Epoch, and the batch of it at which the next iteration starts."""
        epoch, batch = self._place.tolist()
        return epoch, batch

    def seek(self, epoch: int, batch: int = 0) -> None:
        """Let the next iteration start at a batch of an epoch, in living workers too."""
        self._place[0], self._place[1] = epoch, batch

    def set_epoch(self, epoch: int) -> None:
        """Let the next iteration be of this epoch; the place in it is kept if it is the same."""
        if epoch != self.place[0]:
            self.seek(epoch)

    def state_dict(self) -> dict[str, Any]:
        """Return the place at which the next iteration starts, as JSON."""
        return self.state_at(*self.place)

    def state_at(self, epoch: int, batches: int) -> dict[str, Any]:
        """Return the state of a consumer that has used some batches of an epoch, as JSON.

        For loops over a plain DataLoader. A finished epoch is the start of the next one.
        """
        if batches >= len(self):
            epoch, batches = epoch + 1, 0
        return self._state(epoch, batches * self.batch_size).to_json()

    def load_state_dict(self, state: Mapping[str, Any], strict: bool = True) -> None:
        """Go on where a state says, whatever number of ranks and workers wrote it.

        Args:
            state: from `state_dict`.
            strict: refuse the state of another pairset, split, seed, order, or of another batch
                size that does not fit the place. If false, the stream goes to the epoch and the
                last whole batch before the place, with its own settings.

        Raises:
            StateMismatch: the state is of another stream.
        """
        given = StreamState.from_json(state)
        if strict:
            given.check(self._state(0, 0))
        batch = given.samples_in_epoch // self.batch_size
        if given.epoch < 0 or batch < 0:
            raise StateMismatch(f"a state stands at epoch {given.epoch}, batch {batch}.")
        epochs, batch = (1, 0) if batch >= len(self) else (0, batch)
        self.seek(given.epoch + epochs, batch)

    def _state(self, epoch: int, samples: int) -> StreamState:
        return StreamState(
            manifest_id=self.pairset.manifest_id,
            split=self.split or "",
            seed=self.seed,
            order=self._order.name,
            global_batch=self.batch_size,
            epoch=epoch,
            samples_in_epoch=samples,
        )

    def loader(self, num_workers: int = 0, **settings: Any) -> PairLoader:
        """Return a loader that counts batches where they are consumed and carries the state.

        Args:
            num_workers: processes that read and decode; 0 for the calling one.
            settings: pin_memory, prefetch_factor, multiprocessing_context, timeout of torch's
                DataLoader.
        """
        from .loader import PairLoader

        return PairLoader(self, num_workers, **settings)

    def __getstate__(self) -> dict[str, Any]:
        # Columns in memory are read anew by a spawned worker, mapped ones are mapped again.
        return {
            **self.__dict__,
            "_columns": None,
            "_images": None,
            "_planned": None,
            "_negatives": None,
        }
