"""The same result on any engine: processes, threads, Dask, several workers on one run; fast arithmetic."""

from __future__ import annotations

import dataclasses
import functools
import os
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from torch.nn.functional import cross_entropy

from sam_edu import attacks, data, models, training
from sam_edu.experiments import RunConfig, checkpoints, forward, protocols, run, runner, state, sweep
from sam_edu.experiments.__main__ import main
from sam_edu.experiments.forward import Forward
from sam_edu.objectives import SAM, BatchLoss
from tests.objectives.processes import METHOD

QUICK = RunConfig(dataset="digits", epochs=3, train_size=301, test_size=50, batch_size=64, eval_linf=(0.1,))
# Dask's workers are forked from a process that has imported once what a run needs.
IMPORTED = ["distributed", "torch._dynamo", "torchattacks", "sam_edu.experiments"]
# the last batch of 45 images does not divide by two
SHARED = dataclasses.replace(QUICK, workers=2)
SAM_CONFIG = dataclasses.replace(QUICK, method="sam", rho=0.1)
# What torchrun does, without its own process: two forks, told by their environment who they are.
RUNS = """
import os, socket, sys
import torch, torchattacks
from sam_edu.experiments import RunConfig, checkpoints, run, state
torch.set_num_threads(1)
torch.optim.SGD([torch.zeros(1, requires_grad=True)], 0.1).zero_grad()  # imports for 2 s
with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    port = str(free.getsockname()[1])
os.environ.update(WORLD_SIZE="2", MASTER_ADDR="127.0.0.1", MASTER_PORT=port)
if (first := os.fork()) and (second := os.fork()):
    sys.exit(int(any(os.wait()[1] for _ in range(2))))
os.environ["RANK"] = os.environ["LOCAL_RANK"] = "0" if not first else "1"
checkpoints.SHARE = float("inf")
plain, folder = state.training.train_epoch, sys.argv[1]
for settings, stop in eval(sys.argv[2]):
    epochs = []
    def counted(*args, **kwargs):
        if len(epochs) == stop:
            raise KeyboardInterrupt
        epochs.append(1)
        return plain(*args, **kwargs)
    state.training.train_epoch = counted
    try:
        run(RunConfig.from_dict(settings), folder + ("/cut" if stop else ""))
    except KeyboardInterrupt:
        state.training.train_epoch = plain
        run(RunConfig.from_dict(settings), folder + "/cut")
"""


@pytest.fixture(autouse=True)
def one_thread(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def weights(folder, config):
    return load_file(folder / f"{config.run_id}.safetensors")


def distance(a, b):
    return max(float((a[name].double() - b[name].double()).abs().max()) for name in a)


def results(record):
    return record.curves, [entry.robust for entry in record.linf.at]


def torchrun(*arguments):
    return processes([sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", *arguments])


def processes(command):
    done = subprocess.run(
        [*map(str, command)], capture_output=True, text=True, timeout=200, env=dict(os.environ)
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done


class TestSweep:
    CONFIGS = tuple(dataclasses.replace(QUICK, seed=seed) for seed in range(3)) + (SAM_CONFIG,)

    @pytest.fixture(scope="class")
    @classmethod
    def single(cls, tmp_path_factory):
        folder = tmp_path_factory.mktemp("single")
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        found = [run(config, folder) for config in cls.CONFIGS]
        torch.set_num_threads(threads)
        return folder, [results(record) for record in found]

    def check(self, single, found, folder):
        expected_folder, expected = single
        assert [results(record) for record in found] == expected
        for config in self.CONFIGS:
            assert distance(weights(folder, config), weights(expected_folder, config)) == 0

    def test_on_local_processes_by_the_command_line(self, single, tmp_path, monkeypatch, capsys):
        """One test for both: each worker process imports torch anew."""
        command, found = sys.modules[main.__module__], []
        monkeypatch.setattr(
            protocols, "configs", lambda name, seeds: {"SGD": self.CONFIGS[:3], "SAM": self.CONFIGS[3:]}
        )

        def watched(groups, *arguments, **options):
            by_label = sweep(groups, *arguments, **options)
            found.extend(record for group in by_label.values() for record in group)
            return by_label

        monkeypatch.setattr(command, "sweep", watched)
        assert main(["sweep", "digits", "--seeds", "1", "--folder", str(tmp_path)]) == 0
        said = capsys.readouterr().out
        assert all(config.run_id in said for config in self.CONFIGS) and "SAM" in said.split()
        self.check(single, found, tmp_path)

    def test_on_threads_which_share_torchs_random_state(self, single, tmp_path):
        with ThreadPoolExecutor(3) as pool:
            self.check(single, sweep(self.CONFIGS, tmp_path, pool), tmp_path)

    def test_on_dask(self, single, tmp_path):
        distributed = pytest.importorskip("distributed") if not os.environ.get("CI") else _distributed()
        from dask import config

        with config.set({"distributed.worker.multiprocessing-method": METHOD}):
            distributed.utils.get_mp_context().set_forkserver_preload(IMPORTED)
            cluster = distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None)
        with cluster, distributed.Client(cluster) as client:
            self.check(single, sweep(self.CONFIGS, tmp_path, client.get_executor()), tmp_path)

    def test_one_after_the_other_as_on_a_gpu(self, single, tmp_path):
        in_turn = sys.modules["sam_edu.experiments.sweep"]._in_turn  # the function shadows its module
        self.check(single, in_turn(list(self.CONFIGS), tmp_path, False), tmp_path)

    def test_a_failing_run_does_not_stop_the_others(self, tmp_path):
        bad = dataclasses.replace(QUICK, lr=1e6)
        with ThreadPoolExecutor(1) as pool, pytest.raises(FloatingPointError, match="learning rate") as error:
            sweep([bad, QUICK], tmp_path, pool)
        assert "1 of 2 runs failed" in error.value.__notes__[0]
        assert (tmp_path / f"{QUICK.run_id}.json").exists()

    def test_the_callers_threads_are_left_alone(self):
        torch.set_num_threads(2)
        with ThreadPoolExecutor(1) as pool:
            sweep([QUICK], executor=pool)
        assert torch.get_num_threads() == 2


def _distributed():
    import distributed

    return distributed


class TestTorchrun:
    """Two processes on one run; gloo on the CPU."""

    def test_the_command_line_equals_one_process(self, tmp_path):
        options = ["--dataset", "digits", "--epochs", "3", "--train-size", "301", "--test-size", "50",
                   "--batch-size", "64", "--eval-linf", "0.1", "--folder", str(tmp_path / "two")]  # fmt: skip
        done = torchrun("-m", "sam_edu.experiments", "run", *options)
        assert done.stdout.count(SHARED.run_id) == 1, "one of the two talks"
        alone = run(QUICK, tmp_path / "one")
        assert distance(weights(tmp_path / "one", QUICK), weights(tmp_path / "two", SHARED)) < 1e-6
        from sam_edu.experiments import load_records

        (together,) = load_records([SHARED], tmp_path / "two")
        for a, b in zip(alone.curves, together.curves, strict=True):
            assert a["loss"] == pytest.approx(b["loss"], abs=1e-5) and a["accuracy"] == b["accuracy"]

    def test_sam_alone_and_in_step_and_resumed(self, tmp_path):
        own = dataclasses.replace(SHARED, method="sam", rho=0.1)
        synced = dataclasses.replace(own, sync=True)
        everything = dataclasses.replace(
            own, method="sam+at", eps=0.1, attack_steps=2, model="cnn", width=4, augment="flip"
        )
        script = tmp_path / "runs.py"
        script.write_text(RUNS)
        plan = [(c.to_dict(), stop) for c, stop in ((own, 0), (synced, 0), (everything, 0), (everything, 2))]
        plan = [(settings, stop or None) for settings, stop in plan]
        processes([sys.executable, script, tmp_path, repr(plan)])
        run(SAM_CONFIG, tmp_path)
        one = weights(tmp_path, SAM_CONFIG)
        # with the ascent directions averaged it is SAM on the whole batch ...
        assert distance(weights(tmp_path, synced), one) < 1e-5
        # ... and without, SAM with m = half a batch, which one process can do as well
        assert distance(weights(tmp_path, own), one) > 1e-4
        assert distance(weights(tmp_path, own), self.m_sharpness()) < 1e-5
        # interrupted after two epochs and continued: the same bits
        assert distance(weights(tmp_path, everything), weights(tmp_path / "cut", everything)) == 0

    @staticmethod
    def m_sharpness():
        dataset = data.load("digits").subset(301, 50)
        net = models.build("mlp", dataset.shape, 10, seed=0)
        optimizer = torch.optim.SGD(
            net.parameters(), QUICK.lr, QUICK.momentum, weight_decay=QUICK.weight_decay
        )
        schedule = training.step_schedule(optimizer, QUICK.epochs, (0.75, 0.9))
        order = torch.Generator().manual_seed(0)
        for _ in range(QUICK.epochs):
            for chosen in torch.randperm(301, generator=order).split(64):
                objective = SAM(net, 0.1, m=(len(chosen) + 1) // 2)
                optimizer.zero_grad()
                objective.backward(BatchLoss(net, dataset.train_x[chosen], dataset.train_y[chosen]))
                optimizer.step()
            schedule.step()
        return net.state_dict()

    def test_it_says_how_to_start_them(self):
        with pytest.raises(ValueError, match="torchrun --nproc-per-node 2"):
            run(SHARED)

    @pytest.mark.parametrize(
        "settings, hint",
        [
            ({"workers": 3}, "does not divide"),
            ({"workers": 0}, ">= 1"),
            ({"sync": True}, "workers > 1"),
            ({"sync": True, "workers": 2}, "perturbs the weights"),
            ({"precision": "float64"}, "bfloat16"),
        ],
    )
    def test_bad_settings_are_refused_in_one_line(self, settings, hint):
        with pytest.raises((ValueError, TypeError)) as error:
            dataclasses.replace(QUICK, **settings)
        assert hint in str(error.value) and "\n" not in str(error.value)

    def test_a_worker_without_an_image_is_refused(self, monkeypatch):
        from sam_edu.experiments.workers import Workers

        monkeypatch.setattr(state, "DistributedDataParallel", lambda model, **_: model)
        dataset = data.load("digits").subset(257, 50)
        with pytest.raises(ValueError, match="without any"):
            state.Training(dataclasses.replace(SHARED, train_size=257), dataset, Workers(0, 2))


class TestPrecision:
    @pytest.mark.parametrize("precision", ["bfloat16", "float16"])
    @pytest.mark.parametrize("method", ["sgd", "sam+at"])
    def test_half_learns_what_float32_learns(self, precision, method):
        radii = {} if method == "sgd" else {"method": method, "rho": 0.05, "eps": 0.05, "attack_steps": 2}
        config = dataclasses.replace(QUICK, epochs=10, lr=0.1, **radii)
        exact, half = run(config), run(dataclasses.replace(config, precision=precision))
        assert half.train_accuracy == pytest.approx(exact.train_accuracy, abs=0.03)
        assert half.curves != exact.curves and half.train_accuracy > 0.8
        assert dataclasses.replace(config, precision=precision).run_id != config.run_id

    def test_float16_resumes_with_its_scaler(self, tmp_path, monkeypatch):
        config = dataclasses.replace(SAM_CONFIG, precision="float16")
        monkeypatch.setattr(checkpoints, "SHARE", float("inf"))
        run(config, tmp_path / "whole")
        done, plain = [], state.training.train_epoch

        def interrupted(*args, **kwargs):
            if len(done) == 2:
                raise KeyboardInterrupt
            done.append(1)
            return plain(*args, **kwargs)

        with monkeypatch.context() as patch:
            patch.setattr(state.training, "train_epoch", interrupted)
            with pytest.raises(KeyboardInterrupt):
                run(config, tmp_path / "cut")
        saved = [checkpoints.read(path) for path in (tmp_path / "cut").glob("*.ckpt")]
        assert {s["epoch"] for s in saved} == {1, 2} and all("scale" in s["scaler"] for s in saved)
        run(config, tmp_path / "cut")
        assert distance(weights(tmp_path / "whole", config), weights(tmp_path / "cut", config)) == 0
        assert all(w.dtype == torch.float32 for w in weights(tmp_path / "cut", config).values())

    def test_attacks_through_float16_see_gradients_that_it_cannot_hold(self):
        net = nn.Linear(4, 2, bias=False)
        with torch.no_grad():
            net.weight.copy_(torch.tensor([[9.0] * 4, [-9.0] * 4]))
        x, y = torch.full((1, 4), 0.23), torch.tensor([0])  # right, and sure of it

        def slope(model):
            x_in = x.clone().requires_grad_()
            return torch.autograd.grad(cross_entropy(model(x_in), y, reduction="sum"), x_in)[0]

        exact = slope(net)
        assert 0 < exact.abs().max() < 6e-6
        assert torch.allclose(slope(Forward(net, "float16")), exact, rtol=0.1)
        moved = attacks.pgd(Forward(net, "float16"), x, y, 0.1, steps=1, random_start=False)
        assert torch.equal(moved, attacks.pgd(net, x, y, 0.1, steps=1, random_start=False))

    def test_logits_are_float32_and_weights_are_shared(self):
        net = models.build("mlp", (1, 8, 8), 10, seed=0)
        view = Forward(net, "bfloat16")
        assert view(torch.rand(2, 1, 8, 8)).dtype == torch.float32
        assert [id(p) for p in view.parameters()] == [id(p) for p in net.parameters()]

    def test_compiled_is_the_same_and_leaves_the_names_alone(self, tmp_path, monkeypatch):
        # "eager": dynamo's own machinery without a C++ compiler
        quick = functools.partial(torch.compile, backend="eager")
        monkeypatch.setattr(forward.torch, "compile", quick)
        compiled = dataclasses.replace(SAM_CONFIG, compile=True)
        run(SAM_CONFIG, tmp_path)
        run(compiled, tmp_path)
        assert distance(weights(tmp_path, SAM_CONFIG), weights(tmp_path, compiled)) < 1e-6


def test_speed_is_recorded():
    record = run(QUICK)
    expected = 3 * 301 / record.seconds["train"]
    assert record.images_per_second == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize(("seconds", "said"), [((1.0, 1.86), True), ((1.0, 0.6), False)])
def test_a_cpu_that_is_slower_in_a_precision_says_so_before_a_long_training(seconds, said, monkeypatch):
    kinds = dict(zip((torch.float32, torch.bfloat16), seconds, strict=True))
    monkeypatch.setattr(forward, "_seconds", kinds.__getitem__)
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        forward.warn_if_slower("bfloat16", forward.MANY)
        forward.warn_if_slower("bfloat16", forward.MANY - 1)
        forward.warn_if_slower("float32", forward.MANY)
    assert len(found) == said
    assert not said or "takes 1.9 times as long" in str(found[0].message)


def test_looking_how_fast_a_precision_is_leaves_the_random_numbers_alone():
    before = torch.get_rng_state()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        forward.warn_if_slower("bfloat16", forward.MANY)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU has both")
def test_a_run_asks_before_its_first_epoch(monkeypatch):
    asked = []
    monkeypatch.setattr(runner, "warn_if_slower", lambda *about: asked.append(about))
    run(dataclasses.replace(QUICK, precision="bfloat16", epochs=2, eval_linf=()))
    assert asked == [("bfloat16", 2 * 301)]
