"""A stream whose images stand behind a URL: the same batches, few requests, and an end to each."""

import logging
import os
import pickle
import time

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from byte_server import serving
from tiny_pairset import edit, write_tiny_pairset

from curate.manifests import ImageStore, PairStream, StreamError, TooManyBadImages, storage
from curate.manifests.errors import UsageError
from curate.manifests.stream import ImageTransform

pytest.importorskip("aiohttp")
pytestmark = pytest.mark.filterwarnings("ignore:This DataLoader will create")
G = 24
SMALL = ImageTransform(8)


@pytest.fixture(autouse=True)
def no_waits(monkeypatch):
    monkeypatch.setattr(storage, "_WAIT_S", 0.001)


@pytest.fixture
def server(tiny):
    with serving(tiny.root) as server:
        yield server


def stream(root, server=None, **settings):
    store = {key: settings.pop(key) for key in list(settings) if key in ImageStore.__annotations__}
    base = {} if server is None else {"base": server.url}
    settings = {"transform": SMALL, "batch_size": G, "seed": 3, **settings}
    cache = {"cache": store.pop("columns")} if "columns" in store else {}
    return PairStream(root, store=ImageStore(**base, **store), **cache, **settings)


def same(batches, others):
    batches, others = list(batches), list(others)
    assert len(batches) == len(others) > 0
    for one, other in zip(batches, others, strict=True):
        assert torch.equal(one.images, other.images)
        assert torch.equal(one.pair_id, other.pair_id)
        assert torch.equal(one.negative, other.negative)
    return batches


def test_images_behind_a_url_are_read_by_few_requests(tiny, server):
    here = list(stream(tiny.root))
    same(stream(tiny.root, server, gap=10**9), here)
    assert len(server.requests) == 2 * len(here)  # one a batch and shard
    server.requests.clear()
    same(stream(tiny.root, server, gap=0, ahead=0), here)
    images = sum(len(batch.sample_id) for batch in here)
    assert 2 * len(here) < len(server.requests) <= images
    # Sparse reads leave the rest of a shard where it is.
    sizes = [os.path.getsize(tiny.root / f"images/part-0000{n}.tar") for n in range(2)]
    assert sum(stop - start for _, start, stop in server.requests) < len(here) * sum(sizes)


@pytest.mark.parametrize("how", ["fork", "spawn"])
def test_workers_read_remote_images_though_the_parent_has_begun(tiny, server, how):
    far = stream(tiny.root, server, ahead=2)
    begun = iter(far)
    next(begun)
    loader = far.loader(2 if how == "fork" else 1, multiprocessing_context=how)
    same(loader, stream(tiny.root))


def test_a_batch_is_asked_for_while_another_is_used(tiny, server):
    far = iter(stream(tiny.root, server, gap=10**9, ahead=1))
    next(far)
    end = time.monotonic() + 20
    while len(server.requests) < 4 and time.monotonic() < end:
        time.sleep(0.01)
    assert len(server.requests) == 4
    del far


def test_whole_shards_are_fetched_once_and_shared(tiny, server, tmp_path):
    here = list(stream(tiny.root))
    for _ in range(2):
        same(stream(tiny.root, server, cache=tmp_path / "shards"), here)
    same(stream(tiny.root, server, cache=tmp_path / "shards").loader(2), here)
    assert len(server.requests) == 2
    files = sorted(path.suffix for path in (tmp_path / "shards").iterdir())
    assert files.count(".shard") == 2
    assert not any(".tmp-" in path.name for path in (tmp_path / "shards").iterdir())
    large = max(os.path.getsize(tiny.root / f"images/part-0000{n}.tar") for n in range(2))
    same(stream(tiny.root, server, cache=tmp_path / "little", cache_bytes=large + 1), here)
    assert len(list((tmp_path / "little").glob("*.shard"))) == 1


def test_a_damaged_shard_is_bad_images_and_is_not_kept(tiny, server, tmp_path):
    server.trouble = lambda path, start, earlier: "corrupt" if "00001" in path else ""
    with pytest.raises(TooManyBadImages, match=r"part-00001\.tar: sha256"):
        list(stream(tiny.root, server, cache=tmp_path / "shards"))
    assert len(list((tmp_path / "shards").glob("*.shard"))) == 1


def test_a_corpus_of_its_own_tars_is_checked_by_its_images(tiny, copy, server, tmp_path):
    for file in range(2):
        with edit(copy, "samples", file) as rows:
            for row in rows:
                row["shard"] = f"{server.url}/{row['shard']}"
    here = list(stream(tiny.root))
    same(stream(copy, cache=tmp_path / "shards"), here)
    asked = len(server.requests)
    same(stream(copy, cache=tmp_path / "shards"), here)
    assert (len(server.requests), len(server.heads)) == (asked, 2)
    rows[0]["shard"] = rows[0]["shard"]
    with edit(copy, "samples", 1) as rows:
        rows[-1]["sha256"] = "0" * 63 + "1"
    with pytest.raises(StreamError, match="the shard was changed"):
        list(stream(copy, cache=tmp_path / "other", on_bad_image="raise"))
    assert len(list((tmp_path / "other").glob("*.shard"))) <= 1


def test_a_store_that_stalls_costs_images_and_time_but_never_hangs(tiny, server):
    server.trouble = lambda path, start, earlier: "stall" if "00001" in path else ""
    settings = {"timeout_s": 0.1, "tries": 1, "max_bad_fraction": 1.0, "max_bad_run": 0}
    begun = time.monotonic()
    bad = list(stream(tiny.root, server, **settings))
    assert time.monotonic() - begun < 60
    assert sum(batch.bad_images for batch in bad) > 100
    with pytest.raises(TooManyBadImages, match=r"no answer within 0\.1 s"):
        list(stream(tiny.root, server, timeout_s=0.1, tries=1))
    server.trouble = lambda path, start, earlier: ("stall", "fail", "truncate", "")[min(earlier, 3)]
    same(stream(tiny.root, server, gap=10**9, timeout_s=0.2), stream(tiny.root))


@pytest.mark.parametrize("server_too", [False, True])
def test_images_are_compared_with_their_digests(tiny, copy, server, server_too):
    settings = {"verify": True, "max_bad_fraction": 0.1, "drop_last": False}
    with edit(copy, "samples") as rows:
        rows[5]["sha256"], rows[6]["sha256"] = "0" * 63 + "1", None
    there = server if server_too else None
    lost = set()
    for one, other in zip(
        stream(copy, there, **settings), stream(tiny.root, **settings), strict=True
    ):
        lost |= set(other.sample_id.tolist()) - set(one.sample_id.tolist())
    assert lost == {5}
    unread = list(stream(copy, there, drop_last=False))
    assert sum(batch.bad_images for batch in unread) == 0


def test_epochs_leave_no_files_open(tiny, server, tmp_path):
    def opened():
        links = [f"/proc/self/fd/{name}" for name in os.listdir("/proc/self/fd")]
        return [os.readlink(link) for link in links if os.path.islink(link)]

    far = stream(tiny.root, server, cache=tmp_path / "shards")
    counts = []
    for epoch in range(4):
        far.set_epoch(epoch)
        list(far)
        counts.append(len([name for name in opened() if "socket" not in name]))
    assert not [name for name in opened() if name.endswith((".shard", ".lock"))]
    assert len(set(counts[1:])) == 1


def test_a_cache_smaller_than_the_window_is_told(tiny, server, tmp_path, caplog):
    caplog.set_level(logging.WARNING, "curate.stream")
    stream(tiny.root, server, cache=tmp_path)
    stream(tiny.root, cache=tmp_path, cache_bytes=1000)  # images of this machine need no cache
    assert not caplog.records
    stream(tiny.root, server, cache=tmp_path, cache_bytes=1000)
    assert "the cache holds 0.0 GB" in caplog.text


def test_a_small_window_needs_a_small_cache(tmp_path, caplog, monkeypatch):
    tiny = write_tiny_pairset(tmp_path / "out", samples=200, tars=40, image_size=8)
    monkeypatch.setattr("curate.manifests.stream.stream.ROW_GROUP_ROWS", 4)
    settings = {"cache": tmp_path, "base": "http://127.0.0.1:1", "batch_size": 4}
    rows = pq.read_table(tiny.root / "samples/part-00000.parquet").to_pylist()
    ends = {row["shard"]: row["offset"] + row["size"] for row in rows}
    for order, window, told in [("global", 1, True), ("block", 1, False), ("block", 64, True)]:
        caplog.clear()
        settings["cache_bytes"] = sum(ends.values()) - 1
        far = stream(tiny.root, order=order, window=window, **settings)
        assert ("fetched again" in caplog.text) == told, (order, window)
        rows = far._window()
        assert (rows is None) == told or len(np.unique(rows)) == 4


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"requests": 0}, "1 or more"),
        ({"tries": 0}, "1 or more"),
        ({"gap": -1}, "0 or more"),
        ({"timeout_s": 0.0}, "seconds above 0"),
        ({"cache": "s3://bucket/cache"}, "a folder of this machine"),
    ],
)
def test_settings_that_cannot_work_are_refused(settings, text):
    with pytest.raises(UsageError, match=text):
        ImageStore(**settings)


def test_a_base_moves_the_shards_of_the_pairset_only(tiny):
    from curate.manifests import Pairset

    pairset, store = Pairset.open(tiny.root), ImageStore(base="s3://bucket/out/")
    assert store.url(pairset, "images/a.tar") == "s3://bucket/out/images/a.tar"
    assert store.url(pairset, "s3://corpus/b.tar") == "s3://corpus/b.tar"
    assert ImageStore().url(pairset, "images/a.tar") == str(tiny.root / "images/a.tar")
    assert pickle.loads(pickle.dumps(store)) == store


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_stream_from_s3_is_the_stream_of_this_machine(s3, tiny, tmp_path):
    options = {"key": "x", "secret": "x", "client_kwargs": {"endpoint_url": s3}}
    fs, _ = storage.filesystem("s3://pairs", options)
    fs.mkdir("pairs")
    for path in (tiny.root / "images").glob("*.tar"):
        fs.pipe_file(f"pairs/out/images/{path.name}", path.read_bytes())
    here = list(stream(tiny.root))
    settings = {"base": "s3://pairs/out", "options": options, "verify": True}
    same(stream(tiny.root, **settings), here)
    same(stream(tiny.root, **settings, cache=tmp_path / "shards"), here)
    assert len(list((tmp_path / "shards").glob("*.shard"))) == 2
    fs.rm("pairs/out", recursive=True)
    same(stream(tiny.root, **settings, cache=tmp_path / "shards"), here)
    with pytest.raises(TooManyBadImages, match=r"s3://pairs/out/images/.*: FileNotFound"):
        list(stream(tiny.root, **settings))
