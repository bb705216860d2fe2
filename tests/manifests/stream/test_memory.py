"""Memory and open files stay flat over epochs, here and in workers that live on."""

import psutil

from curate.manifests import ImageTransform, PairStream

MB = 1 << 20


def usage():
    """Resident bytes of anonymous memory and open files, of this process and its workers."""
    own = psutil.Process()
    every = [own, *own.children()]
    memory = [process.memory_info() for process in every]
    return sum(m.rss - m.shared for m in memory), sum(process.num_fds() for process in every)


def test_five_epochs_leave_nothing_behind(tiny, tmp_path):
    settings = {"transform": ImageTransform(64), "memory_budget": 0, "cache": tmp_path}
    loader = PairStream(tiny.root, 24, **settings).loader(1)
    seen = []
    for _ in range(13):  # a heap needs some epochs to find its size
        for batch in loader:
            del batch
        seen.append(usage())
    memory, files = zip(*seen, strict=True)
    epoch = len(loader) * 100 * 3 * 64 * 64 * 4
    assert 5 * epoch > 150 * MB  # what five epochs would leave, if batches were kept
    assert max(memory[8:]) - memory[7] < 16 * MB, memory
    assert max(files[8:]) <= files[7] + 2, files
