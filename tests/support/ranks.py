"""All ranks of a training job in one process, and what their batches hold."""

import numpy as np
import torch

from curate.manifests import ImageTransform, PairStream


def noisy(image, draw):
    """A transform with a random part, to see that draws do not depend on the topology."""
    noise = torch.from_numpy(np.random.default_rng(draw).random((3, 4, 4), np.float32))
    return ImageTransform(4)(image) + noise


def content(batch):
    """What each pair of a batch is, images and all, apart from who shares an image with whom."""
    out = []
    for at, pair in enumerate(batch.pair_id.tolist()):
        parts = [batch.anchor[at : at + 1], batch.positive[at], batch.negative[at]]
        pixels = tuple(
            batch.images[i].numpy().tobytes() if i >= 0 else b"" for i in torch.cat(parts)
        )
        facts = (bool(batch.valid[at]), bool(batch.replaced[at]))
        out.append((pair, *facts, hash(pixels), tuple(batch.fn_ids[at].tolist())))
    return out


class Ranks:
    """All ranks of a job, one after the other in this process."""

    def __init__(self, root, batch_size, world, workers, state=None, **settings):
        settings = {"transform": noisy, "seed": 3, **settings}
        self.loaders = [
            PairStream(root, batch_size, rank=rank, world_size=world, **settings).loader(workers)
            for rank in range(world)
        ]
        for loader in self.loaders if state else []:
            loader.load_state_dict(state)

    def run(self, batches=None):
        """Return the global batches of (the rest of) an epoch."""
        streams = [iter(loader) for loader in self.loaders]
        out = []
        while batches is None or len(out) < batches:
            parts = [next(stream, None) for stream in streams]
            if parts[0] is None:
                assert parts == [None] * len(parts)
                break
            assert len({len(part) for part in parts}) == 1
            out.append([pair for part in parts for pair in content(part)])
        return out

    def state(self):
        states = [loader.state_dict() for loader in self.loaders]
        assert all(state == states[0] for state in states)
        return states[0]
