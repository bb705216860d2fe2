"""PairStream: the pairs of a pairset as batches, in an order that no topology can change.

Global batch g of an epoch holds the positions [g G, (g + 1) G) of the order; rank r takes the r-th
of `world_size` equal slices; worker w of a DataLoader makes the batches start + w, start + w +
workers, ... and torch hands them out in turn. So the batches depend on (pairset, split, seed,
epoch, G) alone, every rank has the same number of them, and a place is one integer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from torch.utils.data import IterableDataset, get_worker_info

from ..errors import PairsetError, StateMismatch, StreamError, UsageError
from ..pairset import Pairset
from ..tables import ROW_GROUP_ROWS
from .batch import Composition, PairBatch, Settings, complete, compose
from .budget import FailureBudget
from .cache import load_columns
from .columns import Columns, Request, has_clusters
from .images import ImageSource, check_has_images
from .iterate import Batches
from .order import Order
from .place import Place
from .planned import PlannedNegatives
from .replace import Replacement
from .settings import StreamSettings
from .shuffle import Mixing, mixing
from .state import StreamState
from .topology import check_ranks, found_ranks, refuse_wrappers

if TYPE_CHECKING:
    from .loader import PairLoader

TRAIN = "train"


@dataclass(eq=False)
class PairStream(StreamSettings, IterableDataset[PairBatch]):
    """Streams the pairs of a pairset; give it to a DataLoader, or call `loader`.

        stream = PairStream("OUT", batch_size=4096, rank=r, world_size=w)
        loader = stream.loader(num_workers=8)
        for epoch in range(loader.epoch, 10):
            loader.set_epoch(epoch)
            for batch in loader: ...

    With a plain DataLoader give batch_size=None; the state is then `state_at(epoch, batches)`
    with the number of batches that your loop has used. torchdata's StatefulDataLoader keeps the
    state itself, for one number of workers. Lightning and Accelerate: give them `loader()`, whose
    state Lightning saves by itself and which Accelerate leaves as it is.

    The settings are those of `StreamSettings`.

    Raises:
        PairsetError: `root` is no pairset.
        UsageError: settings that cannot work.
        StreamError: the pairset has nothing to stream.
    """

    def __post_init__(self) -> None:
        self.pairset = Pairset.open(self.root)
        self._planned: np.ndarray | None = None
        self._negatives: PlannedNegatives | None = None
        if self.plan is not None and self.order == "plan":
            self._take_plan(self.plan)
        self.check()
        if self.order == "clusters" and not has_clusters(self.pairset):
            raise UsageError(
                f"order='clusters', but nothing clustered the corpus of {self.pairset.root}. Make "
                "the pairset anew with a section `clusters`, or take another order."
            )
        self._images: ImageSource | None = None
        self._columns: Columns | None = None
        check_has_images(self.pairset, self.columns)
        if self.split is None:
            self.split = TRAIN if TRAIN in self.columns.splits else None
        self.pairs = len(self._rows())
        self._place = Place()
        self.finished: int | None = None  # the epoch whose last batch this process has made
        if not len(self):
            raise StreamError(
                f"batch_size={self.batch_size}, but {self.pairset.root} has {self.pairs} pairs"
                f"{f' of split {self.split!r}' if self.split else ''}: not one batch. "
                "Take a smaller batch_size, or drop_last=False."
            )
        if self.store.cache is not None and self.ranks()[0] == 0:
            self.images.warn_of_small_cache(self._window())
        mixed = self.mixing() if self.ranks()[0] == 0 else None
        if mixed is not None:
            mixed.log(self.ordered().name, meant=self.order in ("clusters", "plan"))

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
    def columns(self) -> Columns:
        """The columns that the stream reads at random; opened once a process."""
        if self._columns is None:
            groups = tuple(self.pairset.manifest.get("mask_groups") or ("group_id",))
            wants = (self.order == "clusters", self.store.verify)
            request = Request(self.captions, groups, *wants)
            self._columns = load_columns(self.pairset, request, self.memory_budget, self.cache)
        return self._columns

    @property
    def images(self) -> ImageSource:
        """Images by sample id; opened once a process."""
        if self._images is None:
            given = (self.transform, self.seed, self.store)
            self._images = ImageSource(self.pairset, self.columns, *given)
        return self._images

    def __len__(self) -> int:
        """Batches of a whole epoch; the same on every rank."""
        whole, rest = divmod(self.pairs, self.batch_size)
        return whole + (rest > 0 and not self.drop_last)

    def __iter__(self) -> Batches:
        """Iterate over this worker's batches of the rest of the epoch.

        Raises:
            UsageError: the ranks that were found only now cannot share a batch.
        """
        check_ranks(*self.ranks(), self.batch_size)
        self.finished = None
        epoch, start = self.place
        worker = get_worker_info()
        first, step = (worker.id, worker.num_workers) if worker else (0, 1)
        return Batches(self, epoch, range(start + first, len(self), step))

    def order_of(self, epoch: int) -> Order:
        """Return the order of an epoch."""
        starts = None
        if self.order == "clusters":
            starts = self.columns.clusters_of(self.split)[1]
        return self.ordered().of(self.seed, epoch, self.pairs, starts)

    def batch(
        self, order: Order, number: int, budget: FailureBudget, later: Sequence[int] = ()
    ) -> PairBatch:
        """Return this rank's part of a global batch of an epoch.

        Args:
            order: of the epoch.
            number: of the batch.
            budget: of images that may be bad.
            later: numbers of the batches that will be asked for next.

        Raises:
            StreamError: an image cannot be read and is not to be lived with.
        """
        make, rows = self._maker(order, number)
        plan = make(rows)
        for other in later[: self.images.ahead]:
            made, its = self._maker(order, other)
            self.images.expect(made(its).sample_id)
        load = partial(self.images.load, epoch=order.epoch, budget=budget)
        images, replaced = load(plan.sample_id), None
        if self.on_bad_image == "replace":
            replace = Replacement(make, load, self._rows(), self.seed, order.epoch)
            plan, images, replaced = replace(plan, images)
        return complete(self.columns, plan, images, self._held(), replaced)

    def _held(self) -> Settings:
        if self.plan is not None and self.order == "plan" and self._negatives is None:
            self._negatives = PlannedNegatives.of(self.pairset, self.plan)
        return self.held(self.pairset.counts.get("A", 0), self._negatives)

    def _maker(
        self, order: Order, number: int
    ) -> tuple[Callable[[np.ndarray], Composition], np.ndarray]:
        """Return what makes the composition of rows in the place of a batch, and its rows."""
        rank, world = self.ranks()
        local = self.batch_size // world
        positions = number * self.batch_size + rank * local + np.arange(local)
        progress = self.progress_at(order.epoch, number)
        make = partial(
            compose,
            self.columns,
            valid=positions < self.pairs,
            settings=self._held(),
            epoch=order.epoch,
            progress=progress,
        )
        return make, self._rows()[order.ordinals(positions % self.pairs)]

    def _window(self) -> np.ndarray | None:
        """Return the rows of the first window of an epoch; None where that is all rows."""
        many = self.window * ROW_GROUP_ROWS
        if self.order != "block" or many >= self.pairs:
            return None
        return self._rows()[self.order_of(0).ordinals(np.arange(many))]

    def mixing(self, epoch: int = 0) -> Mixing | None:
        """Measure how an epoch's batches mix clusters; None where nothing clustered the corpus."""
        if not has_clusters(self.pairset):
            return None
        order, rows = self.order_of(epoch), self._rows()

        def batch(number: int) -> np.ndarray:
            positions = number * self.batch_size + np.arange(self.batch_size)
            return rows[order.ordinals(positions % self.pairs)]

        return mixing(self.columns["cluster"], batch, len(self), rows)

    def progress_at(self, epoch: int, batch: int) -> float:
        """Return the training progress, 0..1, that the lists of a batch are held against."""
        fixed = self._place.progress
        if fixed is not None:
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
        self._place.set_progress(progress)

    def _rows(self) -> np.ndarray:
        """Return the rows of `pairs` that an epoch walks, int64 [pairs]."""
        if self.plan is not None:
            if self._planned is None:
                self._planned = self.pairset.plan(self.plan).reshape(-1)
            return self._planned
        columns = self.columns
        if self.split is not None and self.split not in columns.splits:
            known = ", ".join(repr(name) for name in columns.splits)
            raise UsageError(f"split={self.split!r} has no pairs; there are: {known}.")
        if self.order == "clusters":
            return columns.clusters_of(self.split)[0]
        return columns["split_rows"] if self.split is None else columns.rows_of(self.split)

    @property
    def place(self) -> tuple[int, int]:
        """Epoch, and the batch of it at which the next iteration starts."""
        return self._place.now

    def seek(self, epoch: int, batch: int = 0) -> None:
        """Let the next iteration start at a batch of an epoch, in living workers too."""
        self.finished = None
        self._place.move(epoch, batch)

    def set_epoch(self, epoch: int) -> None:
        """Let the next iteration be of this epoch; the place in it is kept if it is the same.

        Raises:
            StreamError: a loader of Accelerate asks; see `topology.refuse_wrappers`.
        """
        refuse_wrappers()
        if epoch != self.place[0]:
            self.seek(epoch)

    def state_dict(self) -> dict[str, Any]:
        """Return the place at which the next iteration starts, as JSON.

        If this process has come to the end of the epoch, that is the start of the next one.
        """
        epoch, batch = self.place
        return self.state_at(epoch, len(self) if self.finished == epoch else batch)

    def state_at(self, epoch: int, batches: int) -> dict[str, Any]:
        """Return the state of a consumer that has used some batches of an epoch, as JSON.

        For loops over a plain DataLoader. A finished epoch is the start of the next one.
        """
        if batches >= len(self):
            epoch, batches = epoch + 1, 0
        return self.state(epoch, batches * self.batch_size).to_json()

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
            given.check(self.state(0, 0))
        batch = given.samples_in_epoch // self.batch_size
        if given.epoch < 0 or batch < 0:
            raise StateMismatch(f"a state stands at epoch {given.epoch}, batch {batch}.")
        epochs, batch = (1, 0) if batch >= len(self) else (0, batch)
        self.seek(given.epoch + epochs, batch)

    def state(self, epoch: int, samples: int) -> StreamState:
        """Return the state of a consumer that has used some pairs of an epoch."""
        return StreamState(
            manifest_id=self.pairset.manifest_id,
            split=self.split or "",
            seed=self.seed,
            order=self.ordered().name,
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
        # Columns in memory are read anew by a spawned worker, mapped ones are mapped again. The
        # worker cannot ask torch.distributed, so it is told.
        opened = {"_columns": None, "_images": None, "_planned": None, "_negatives": None}
        return {**self.__dict__, **opened, "_launched": found_ranks() or self._launched}
