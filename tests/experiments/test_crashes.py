"""Whatever happens to a run, it ends with the same weights: killed, damaged, locked out, disk full."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import resource
import signal
import subprocess
import sys
import time

import pytest
import torch
from safetensors.torch import load_file

from sam_edu.experiments import RunConfig, checkpoints, files, run, runner, state
from sam_edu.experiments.__main__ import main

QUICK = RunConfig(dataset="digits", epochs=4, train_size=200, test_size=50, eval_linf=(0.1,), seed=1)
# All that a run imports is imported once, before the forks: else a killed attempt dies in its imports.
READY = """
import dataclasses, os, random, signal, sys, time
from pathlib import Path
import torch, torchattacks
from sam_edu.experiments import RunConfig, checkpoints, run, runner, state
config, folder = RunConfig.from_dict(eval(sys.argv[1])), Path(sys.argv[2])
torch.set_num_threads(1)
runner._dataset(config)
torch.optim.SGD([torch.zeros(1, requires_grad=True)], 0.1).zero_grad()  # imports for 2 s
"""
# Kills each attempt after the time of a random number of epochs.
KILLER = (
    READY
    + """
if os.fork() == 0:
    record = run(dataclasses.replace(config, epochs=20))
    folder.with_suffix(".seconds").write_text(str(record.seconds["train"] / 20))
    os._exit(0)
assert os.wait()[1] == 0
epoch = float(folder.with_suffix(".seconds").read_text())
checkpoints.SHARE = float("inf")  # a checkpoint after each of these short epochs
random.seed(0)
reached = []
for attempt in range(int(sys.argv[3])):
    child = os.fork()
    if child == 0:
        run(config, folder)
        os._exit(3)
    time.sleep(random.uniform(0.5, 16) * epoch)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL, "ended before it was killed"
    states = [checkpoints.read(path) for path in folder.glob("*.ckpt")]
    reached.append(max((state["epoch"] for state in states if state), default=0))
assert reached == sorted(reached) and len(set(reached)) > 5, f"it should go on from kill to kill: {reached}"
run(config, folder)
"""
)
# Two processes that want the same run.
PAIR = (
    READY
    + """
epochs, plain = [], state.training.train_epoch
def counted(*a, **k): epochs.append(1); return plain(*a, **k)
state.training.train_epoch = counted
pair = [os.fork(), 0]
if pair[0]:
    pair[1] = os.fork()
if not all(pair):
    record = run(config, folder)
    os.write(1, f"{len(epochs)} {len(record.curves)} {record.origin['weights']}\\n".encode())
    os._exit(0)
assert [os.wait()[1] for _ in pair] == [0, 0]
"""
)
SWEEPER = """
from sam_edu.experiments import RunConfig, sweep
if __name__ == "__main__":
    sweep([RunConfig.from_dict(config) for config in {configs}], {folder!r})
"""


def eventually(condition, seconds):
    limit = time.monotonic() + seconds
    while not condition() and time.monotonic() < limit:
        time.sleep(0.05)
    return condition()


@pytest.fixture
def each_epoch(monkeypatch):
    """A checkpoint after each epoch, however short."""
    monkeypatch.setattr(checkpoints, "SHARE", float("inf"))


@pytest.fixture
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def same_weights(a, b, config):
    a, b = (load_file(folder / f"{config.run_id}.safetensors") for folder in (a, b))
    assert a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def names(folder):
    return {path.name.partition(".")[2] for path in folder.iterdir()}


def interrupt_after(epochs, monkeypatch):
    """Ctrl-C in the middle of the epoch after these."""
    done, train_epoch = [], state.training.train_epoch

    def interrupted(*args, **kwargs):
        if len(done) == epochs:
            raise KeyboardInterrupt
        done.append(1)
        return train_epoch(*args, **kwargs)

    monkeypatch.setattr(state.training, "train_epoch", interrupted)


def begun(folder, epochs=3):
    """A folder with the two checkpoints of a run that was stopped after ``epochs`` epochs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoints, "SHARE", float("inf"))
        interrupt_after(epochs, patch)
        with pytest.raises(KeyboardInterrupt):
            run(QUICK, folder)
    return {checkpoints.read(p)["epoch"]: p for p in folder.glob("*.ckpt")}


class TestKill:
    def test_killed_twenty_five_times_it_ends_with_the_same_weights(self, tmp_path, one_thread):
        config = dataclasses.replace(QUICK, method="sam+at", rho=0.1, eps=0.1, attack_steps=2, epochs=400)
        config = dataclasses.replace(config, augment="flip")
        subprocess.run(
            [sys.executable, "-c", KILLER, repr(config.to_dict()), str(tmp_path / "cut"), "25"],
            check=True,
            timeout=300,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        whole = run(config, tmp_path / "whole")
        assert len(whole.curves) == 400
        same_weights(tmp_path / "whole", tmp_path / "cut", config)
        assert names(tmp_path / "cut") == {"json", "safetensors"}, "nothing is left behind"

    def test_short_epochs_share_a_checkpoint(self, tmp_path, monkeypatch):
        saved = []
        save = lambda self, state, started: saved.append(state["epoch"])  # noqa: E731
        monkeypatch.setattr(checkpoints.Checkpoints, "save", save)
        monkeypatch.setattr(checkpoints.Checkpoints, "due", lambda self: False)
        run(QUICK, tmp_path)
        assert saved == [4]  # the last epoch always

    def test_when_a_checkpoint_is_due(self, tmp_path):
        store = checkpoints.Checkpoints(tmp_path, "x")
        assert store.due()  # what it costs is not known yet
        store._cost, store._last = 0.01 * checkpoints.SHARE, time.perf_counter()
        assert not store.due()
        store._last -= 0.02
        assert store.due()


class TestDamage:
    @pytest.mark.parametrize("damage", ["truncate", "empty", "flip"])
    def test_of_a_checkpoint(self, damage, tmp_path, capsys):
        run(QUICK, tmp_path / "whole")
        newest = begun(tmp_path / "cut")[3]
        content = newest.read_bytes()
        half = len(content) // 2
        flipped = content[:half] + bytes([content[half] ^ 1]) + content[half + 1 :]
        newest.write_bytes({"truncate": content[:half], "empty": b"", "flip": flipped}[damage])
        run(QUICK, tmp_path / "cut")
        (message,) = capsys.readouterr().err.strip().splitlines()
        assert str(newest) in message and "damaged" in message
        assert newest.with_name(newest.name + ".damaged").exists()
        same_weights(tmp_path / "whole", tmp_path / "cut", QUICK)

    def test_of_both_checkpoints(self, tmp_path, capsys):
        run(QUICK, tmp_path / "whole")
        for path in begun(tmp_path / "cut").values():
            path.write_bytes(path.read_bytes()[:100])
        run(QUICK, tmp_path / "cut")
        assert len(capsys.readouterr().err.strip().splitlines()) == 2
        same_weights(tmp_path / "whole", tmp_path / "cut", QUICK)

    def test_a_checkpoint_of_another_run_is_not_taken(self, tmp_path, capsys):
        other = dataclasses.replace(QUICK, seed=2)
        run(other, tmp_path / "whole")
        for path in begun(tmp_path / "cut").values():
            path.rename(path.with_name(path.name.replace(QUICK.run_id, other.run_id)))
        run(other, tmp_path / "cut")
        assert "of another run" in capsys.readouterr().err
        same_weights(tmp_path / "whole", tmp_path / "cut", other)

    def test_the_last_good_checkpoint_is_used(self, tmp_path, monkeypatch):
        by_epoch = begun(tmp_path)
        by_epoch[3].write_bytes(b"")
        interrupt_after(2, monkeypatch)  # two epochs are left after epoch 2; a third would be one too many
        assert len(run(QUICK, tmp_path).curves) == 4

    @pytest.mark.parametrize("damage", ["truncate", "tamper"])
    def test_of_a_record(self, damage, tmp_path, capsys, monkeypatch):
        first = run(QUICK, tmp_path)
        path = tmp_path / f"{QUICK.run_id}.json"
        text = path.read_text()
        better = text.replace('"clean_accuracy": ', '"clean_accuracy": 1')
        assert better != text
        path.write_text(text[: len(text) // 2] if damage == "truncate" else better)
        interrupt_after(0, monkeypatch)  # the weights are still good: nothing is trained again
        again = run(QUICK, tmp_path)
        (message,) = capsys.readouterr().err.strip().splitlines()
        assert str(path) in message and (tmp_path / f"{path.name}.damaged").exists()
        assert _robust(again) == _robust(first)
        assert again.curves == first.curves and json.loads(path.read_text())["record"]

    def test_of_record_and_weights(self, tmp_path, capsys):
        first = run(QUICK, tmp_path)
        (tmp_path / f"{QUICK.run_id}.json").write_text("{}")
        path = tmp_path / f"{QUICK.run_id}.safetensors"
        path.write_bytes(path.read_bytes()[:-1000])
        again = run(QUICK, tmp_path)
        assert len(capsys.readouterr().err.strip().splitlines()) == 2
        assert _robust(again) == _robust(first) and again.curves == first.curves

    def test_a_second_damaged_file_does_not_replace_the_first(self, tmp_path, capsys):
        for content in ("a", "b"):
            (tmp_path / "x").write_text(content)
            files.set_aside(tmp_path / "x", "is bad")
        assert (tmp_path / "x.damaged").read_text() == "a" and (tmp_path / "x.damaged2").read_text() == "b"


class TestTwoProcesses:
    def test_do_a_run_once(self, tmp_path):
        config = dataclasses.replace(QUICK, epochs=150)
        command = [sys.executable, "-c", PAIR, repr(config.to_dict()), str(tmp_path / "runs")]
        done = subprocess.run(
            command, timeout=200, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
        )
        assert done.returncode == 0, done.stderr[-2000:]
        out = [line.split() for line in done.stdout.splitlines()]
        trained = sorted(int(words[0]) for words in out)
        assert trained == [0, 150], "one trains, the other waits"
        assert {words[1] for words in out} == {"150"} and out[0][2] == out[1][2]
        assert names(tmp_path / "runs") == {"json", "safetensors"}

    def test_the_second_says_what_it_waits_for(self, tmp_path, capfd, monkeypatch):
        """The holder lets go when it hears that somebody waits, so no speed of the machine decides."""
        (reader, writer), (heard, waits) = os.pipe(), os.pipe()
        child = os.fork()
        if child == 0:
            with files.claimed(tmp_path, "abc"):
                os.write(writer, b"held")
                os.read(heard, 5)
                os.write(writer, b"free")
            os._exit(0)
        assert os.read(reader, 4) == b"held" and files.is_claimed(tmp_path, "abc")

        def say(*words, **more):
            print(*words, **more)
            os.write(waits, b"waits")

        monkeypatch.setattr(files, "print", say, raising=False)
        with files.claimed(tmp_path, "abc"):
            assert os.read(reader, 4) == b"free"
        assert f"run abc is being done by process {child} on" in capfd.readouterr().err
        os.waitpid(child, 0)
        assert not files.is_claimed(tmp_path, "abc") and not list(tmp_path.iterdir())

    def test_a_dead_holder_is_no_holder(self, tmp_path, capfd):
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            with files.claimed(tmp_path, "abc"):
                os.write(writer, b"x")
                signal.pause()
            os._exit(0)
        os.read(reader, 1)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        with files.claimed(tmp_path, "abc"):
            assert "waiting for it" not in capfd.readouterr().err

    def test_the_workers_of_a_killed_sweep_end_with_it(self, tmp_path):
        """A restarted kernel must not leave processes behind that train on and hold their runs."""
        endless = [dataclasses.replace(QUICK, epochs=100_000, seed=seed) for seed in range(2)]
        script = tmp_path / "sweeping.py"
        script.write_text(
            SWEEPER.format(configs=[config.to_dict() for config in endless], folder=str(tmp_path))
        )
        sweeping = subprocess.Popen([sys.executable, script])
        try:
            held = [config.run_id for config in endless][: os.cpu_count()]
            assert eventually(lambda: all(files.is_claimed(tmp_path, run) for run in held), 60), "never began"
        finally:
            sweeping.kill()
            sweeping.wait()
        assert eventually(lambda: not any(files.is_claimed(tmp_path, run) for run in held), 20)

    def test_a_drive_without_locks(self, tmp_path, monkeypatch, capsys):
        def unsupported(*_):
            raise OSError(errno.ENOTSUP, "Operation not supported")

        monkeypatch.setattr(files.fcntl, "flock", unsupported)
        record = run(QUICK, tmp_path)
        assert "knows no file locks" in capsys.readouterr().err and len(record.curves) == 4
        assert names(tmp_path) == {"json", "safetensors"}

    def test_half_written_files_of_a_killed_process_go(self, tmp_path):
        (tmp_path / f".{QUICK.run_id}.0.ckpt.abc").write_bytes(b"half")
        (tmp_path / ".other.0.ckpt.abc").write_bytes(b"somebody else's")
        run(QUICK, tmp_path)
        assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == [".other.0.ckpt.abc"]


class TestDisk:
    def test_full_while_training(self, tmp_path, monkeypatch, each_epoch, one_thread):
        """Nothing saved before is lost; with room again the run goes on."""
        run(QUICK, tmp_path / "whole")
        full, calls, fsync = tmp_path / "full", [], os.fsync

        def no_room(handle):
            calls.append(handle)
            if len(calls) > 2:
                raise OSError(errno.ENOSPC, "No space left on device")
            fsync(handle)

        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", no_room)
            with pytest.raises(OSError, match="No space left on device") as error:
                run(QUICK, full)
        assert "\n" not in str(error.value) and "continues" in str(error.value)
        epochs = sorted(checkpoints.read(path)["epoch"] for path in full.glob("*.ckpt"))
        assert epochs == [1, 2] and names(full) == {"0.ckpt", "1.ckpt"}
        interrupt_after(2, monkeypatch)  # two epochs are left: a third would be one too many
        run(QUICK, full)
        same_weights(tmp_path / "whole", full, QUICK)

    def test_full_at_the_record(self, tmp_path, monkeypatch, each_epoch):
        with monkeypatch.context() as patch:
            plain = files.write_atomically

            def no_room(path, content):
                if path.suffix == ".json":
                    raise files.explained(OSError(errno.ENOSPC, "No space left on device"), path)
                plain(path, content)

            patch.setattr(runner.records, "write_atomically", no_room)
            with pytest.raises(OSError, match="No space left"):
                run(QUICK, tmp_path)
        interrupt_after(0, monkeypatch)  # the training was over: nothing is trained again
        assert len(run(QUICK, tmp_path).curves) == 4

    def test_a_real_limit_on_the_size_of_files(self, tmp_path):
        """The kernel itself refuses to write (RLIMIT_FSIZE), in a process of its own."""
        child = os.fork()
        if child == 0:
            code = 1
            try:
                resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
                files.write_atomically(tmp_path / "file", b"x" * 5000)
            except OSError as error:
                code = 0 if error.errno == errno.EFBIG and not list(tmp_path.iterdir()) else 2
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0

    def test_an_unwritable_folder_is_reported_before_the_training(self, tmp_path, capsys, monkeypatch):
        (tmp_path / "file").write_text("")
        interrupt_after(0, monkeypatch)
        with pytest.raises(NotADirectoryError, match="file is a file, not a folder of records"):
            run(QUICK, tmp_path / "file")

        def forbidden(*_):
            raise PermissionError(errno.EACCES, "Permission denied")

        monkeypatch.setattr(os, "open", forbidden)
        assert main(["run", "--folder", str(tmp_path)]) == 1
        (line,) = capsys.readouterr().err.strip().splitlines()
        assert line.startswith("error: ") and "Permission denied" in line and str(tmp_path) in line

    def test_a_finished_run_is_read_from_an_unwritable_folder(self, tmp_path, monkeypatch):
        first = run(QUICK, tmp_path)

        def forbidden(*_):
            raise PermissionError(errno.EACCES, "Permission denied")

        monkeypatch.setattr(files.os, "open", forbidden)
        assert run(QUICK, tmp_path).origin == first.origin


def _robust(record):
    return [entry.robust for entry in record.linf.at]
