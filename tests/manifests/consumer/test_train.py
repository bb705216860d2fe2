import importlib
import math

import pytest
import torch
from tiny_pairset import edit_manifest, write_tiny_pairset

from curate.manifests.consumer import TrainOptions, train
from curate.manifests.consumer.checkpoint import NAME, load_checkpoint
from curate.manifests.consumer.options import learning_rate
from curate.manifests.errors import (
    CurateError,
    Interrupted,
    StateMismatch,
    StreamError,
    UsageError,
)
from curate.manifests.losses import InfoNce

QUICK = {"steps": 12, "batch_size": 24, "image_px": 16, "device": "cpu", "evaluate": 0, "seed": 5}


def weights(folder):
    return load_checkpoint(folder / NAME)["model"]


def stop_at(step):
    def report(event):
        if event["event"] == "step" and event["step"] == step:
            raise KeyboardInterrupt

    return report


@pytest.fixture(scope="session")
def undisturbed(tiny, tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    train(tiny.root, TrainOptions(**QUICK, folder=folder))
    return weights(folder)


def test_the_loss_falls_and_knn_stays_above_chance(tiny):
    events = []
    options = TrainOptions(**{**QUICK, "steps": 30, "log_every": 1, "evaluate": 50, "lr": 2e-3})
    result = train(tiny.root, options, events.append)
    losses = [loss for _, loss in result.losses]
    assert len(losses) == result.steps == 30
    assert sum(losses[-5:]) / 5 < sum(losses[:5]) / 5 - 0.3
    assert result.knn_before is not None
    assert result.knn_after > result.knn_chance + 0.2
    assert [e["event"] for e in events if e["event"] != "step"] == ["start", "evaluate", "evaluate"]
    assert events[0]["split"] == "train"
    assert result.checkpoint is None


@pytest.mark.parametrize("workers", [0, 2])
def test_a_stopped_run_ends_with_the_same_weights(tiny, tmp_path, undisturbed, workers):
    options = TrainOptions(**QUICK, folder=tmp_path, save_every=4, log_every=1)
    with pytest.raises(Interrupted, match="step 7 of 12; the same command goes on from step 4"):
        train(tiny.root, options, stop_at(6))
    with pytest.raises(Interrupted, match="goes on from step 8"):
        train(tiny.root, options, stop_at(9))
    steps = []
    resumed = TrainOptions(**{**QUICK, "workers": workers}, folder=tmp_path, log_every=1)
    train(tiny.root, resumed, lambda e: steps.append(e["step"]) if e["event"] == "step" else None)
    assert steps == [9, 10, 11, 12]
    assert weights(tmp_path).keys() == undisturbed.keys()
    for name, value in weights(tmp_path).items():
        assert torch.equal(value, undisturbed[name]), name


def test_a_finished_run_has_nothing_left_to_do(tiny, tmp_path):
    options = TrainOptions(**{**QUICK, "steps": 2}, folder=tmp_path)
    train(tiny.root, options)
    before = weights(tmp_path)
    result = train(tiny.root, options)
    assert result.losses == ()
    assert all(torch.equal(value, before[name]) for name, value in weights(tmp_path).items())


def test_a_checkpoint_of_another_run_is_refused(tiny, tmp_path):
    train(tiny.root, TrainOptions(**{**QUICK, "steps": 1}, folder=tmp_path))
    with pytest.raises(StateMismatch, match=r"lr: 0\.001 in the checkpoint, 0\.5 now"):
        train(tiny.root, TrainOptions(**{**QUICK, "steps": 1}, lr=0.5, folder=tmp_path))
    other = write_tiny_pairset(tmp_path / "other", samples=80, image_size=8)
    with pytest.raises(StateMismatch, match="manifest_id"):
        train(other.root, TrainOptions(**{**QUICK, "steps": 1}, folder=tmp_path))
    (tmp_path / NAME).write_bytes(b"no checkpoint")
    with pytest.raises(StreamError, match="not a readable checkpoint"):
        train(tiny.root, TrainOptions(**{**QUICK, "steps": 1}, folder=tmp_path))


def test_a_checkpoint_never_runs_code(tmp_path):
    class Trap:
        def __reduce__(self):
            return (open, (str(tmp_path / "trapped"), "w"))

    torch.save({"format": "curate-checkpoint/3", "model": Trap()}, tmp_path / NAME)
    with pytest.raises(StreamError):
        load_checkpoint(tmp_path / NAME)
    assert not (tmp_path / "trapped").exists()


def test_the_loss_comes_from_the_manifest_unless_told(tmp_path):
    tiny = write_tiny_pairset(tmp_path / "out", samples=60, image_size=8)
    with edit_manifest(tiny.root) as manifest:
        manifest["loss"] = {"t": 0.3, "pos_in_denom": "all", "tau_plus": 0.05, "beta": 0.5}
    events = []
    options = {**QUICK, "steps": 1, "image_px": 8}
    train(tiny.root, TrainOptions(**options), events.append)
    train(tiny.root, TrainOptions(**options, loss={"t": 0.7}), events.append)
    seen = [event["loss"] for event in events if event["event"] == "start"]
    assert seen[0] == InfoNce(t=0.3, pos_in_denom="all", tau_plus=0.05, beta=0.5).block()
    assert seen[1] == {**seen[0], "t": 0.7}


def test_a_loss_that_is_no_number_stops(tiny, monkeypatch):
    nan = torch.tensor(math.nan, requires_grad=True)
    module = importlib.import_module("curate.manifests.consumer.losses.infonce")
    monkeypatch.setattr(module.Head, "forward", lambda *given: nan * 1)
    with pytest.raises(CurateError, match="Lower lr"):
        train(tiny.root, TrainOptions(**QUICK, log_every=1))


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"device": "toaster"}, "device='toaster'"),
        ({"precision": "int3"}, "allowed: 'auto', 'bf16', 'fp32'"),
        ({"encoder": "vit"}, "Allowed: conv"),
        ({"loss": {"temp": 1}}, "loss.temp: loss 'infonce' has no such setting"),
        ({"loss": {"kind": "byol", "t": 1}}, "loss.t: loss 'byol' has no such setting"),
        ({"loss": {"kind": "bylo"}}, "Did you mean 'byol'"),
        ({"positives_per_anchor": -1}, "0 for all"),
        ({"chunk": -2}, "chunk=-2"),
        ({"tensorboard": True}, "folder of the run"),
    ],
)
def test_options_that_cannot_work_are_refused(tiny, change, text):
    with pytest.raises(UsageError, match=text):
        train(tiny.root, TrainOptions(**{**QUICK, **change}))


def test_the_learning_rate_warms_up_and_falls_to_zero():
    options = TrainOptions(steps=100, lr=2.0, warmup=0.1)
    rates = [learning_rate(step, options) for step in range(100)]
    assert rates[:10] == pytest.approx([0.2 * (i + 1) for i in range(10)])
    assert rates[10] == 2.0
    assert rates[55] == pytest.approx(1 + math.cos(math.pi / 2))
    assert rates[99] < 0.001
    assert learning_rate(0, TrainOptions(steps=3, warmup=0.0, lr=1.0)) == 1.0


def test_a_run_says_how_it_goes(tiny, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = []
    options = {**QUICK, "evaluate": 30, "probe": True, "tensorboard": True, "log_every": 4}
    result = train(tiny.root, TrainOptions(**options, folder=tmp_path), events.append)
    steps = [event for event in events if event["event"] == "step"]
    assert [event["step"] for event in steps] == [4, 8, 12]
    for event in steps:
        assert event["pairs_per_second"] > 0
        assert 0 < event["data_wait"] < 1
        assert event["peak_gpu_bytes"] is None
    assert steps[0]["seconds_left"] > steps[1]["seconds_left"] > steps[2]["seconds_left"] == 0
    assert 0 < result.data_wait < 1
    assert result.scores_after.keys() == {"knn", "probe"} == result.scores_before.keys()
    assert result.knn_after == result.scores_after["knn"]
    assert result.scores_after["probe"] > result.knn_chance
    board = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    losses = [(item.step, item.value) for item in board.Scalars("train/loss")]
    assert losses == [(step, pytest.approx(loss)) for step, loss in result.losses]
    knn = [item.value for item in board.Scalars("train/knn")]
    assert knn == pytest.approx([result.knn_before, result.knn_after])


def test_towers_of_pictures_and_captions_learn_to_find_each_other(tiny, tmp_path, small_clip):
    options = {
        **QUICK,
        **{"steps": 60, "batch_size": 32, "image_px": 32, "lr": 3e-3, "evaluate": 100},
        "encoder": f"open_clip:local-dir:{small_clip[0]}",
        "loss": {"kind": "clip"},
        "folder": tmp_path,
    }
    result = train(tiny.root, TrainOptions(**options))
    before, after = result.scores_before, result.scores_after
    assert {"i2t_r1", "i2t_r5", "i2t_r10", "t2i_r1", "t2i_r5", "t2i_r10"} < after.keys()
    assert after["i2t_r10"] > before["i2t_r10"]
    assert after["t2i_r10"] > before["t2i_r10"]
    body = load_checkpoint(tmp_path / NAME)
    assert body["options"]["projection"] == 0
    assert any(name.startswith("tower.encoder.") for name in body["head"])
    again = train(tiny.root, TrainOptions(**options))
    assert again.losses == ()
    assert again.scores_after == after


def test_pictures_alone_take_a_projection_head_and_no_tower(tiny, small_clip):
    encoder = f"open_clip:local-dir:{small_clip[0]}"
    options = {**QUICK, "steps": 1, "image_px": 32, "encoder": encoder, "evaluate": 20}
    result = train(tiny.root, TrainOptions(**options))
    assert result.scores_after.keys() == {"knn"}


def test_a_compiled_run_is_the_same_run(tiny, monkeypatch):
    compiled = []

    def compile(module):
        compiled.append(module)
        torch.nn.Module.compile(module, backend="aot_eager")

    module = importlib.import_module("curate.manifests.consumer.build")
    monkeypatch.setattr(module, "compile_encoder", compile)
    quick = {**QUICK, "steps": 3, "log_every": 1, "loss": {"kind": "moco", "queue": 48}}
    plain, quicker = (train(tiny.root, TrainOptions(**quick, compile=c)) for c in (False, True))
    assert len(compiled) == 2
    for one, other in zip(plain.losses, quicker.losses, strict=True):
        assert one == pytest.approx(other, rel=1e-4)


def test_bf16_runs_on_a_cpu_too(tiny):
    result = train(tiny.root, TrainOptions(**{**QUICK, "steps": 2, "precision": "bf16"}))
    assert all(math.isfinite(loss) for _, loss in result.losses)
