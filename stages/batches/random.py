"""`random`: every batch is a random sample. The control for every other planner."""

from __future__ import annotations

from .base import Batches, Planner, Pool, cut


class Random(Planner):
    """A permutation of the rows, cut into batches; the rest of fewer than `size` is left out.

    Fidelity: exact. Uniform batches are what a trainer has without any plan.
    """

    paper = "Control: uniform batches"
    row_bytes = 40

    def compose(self, pool: Pool) -> Batches:
        """Sort the rows by a random number."""
        return Batches(cut(pool.shuffled("batches/random"), self.size))
