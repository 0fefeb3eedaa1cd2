"""A longer search goes on from a record: verdicts are kept, and only what was undecided is looked at."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from sam_edu import certify, data
from sam_edu.experiments import RunConfig, further, measuring, records, run
from sam_edu.experiments.state import Training

SHORT = RunConfig(
    train_size=400, test_size=60, epochs=12, lr=0.1, eval_linf=(0.03, 0.08, 0.12), ladder="quick", certify=1
)
LONG = replace(SHORT, eval_linf=(0.08, 0.12), certify=400)


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """The record of the short search, that of the long one, and the images that each search was asked."""
    folder, asked = tmp_path_factory.mktemp("runs"), []
    short = run(SHORT, folder)
    look = certify.certify

    def watched(model, x, *args, **settings):
        asked.append(len(x))
        return look(model, x, *args, **settings)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(certify, "certify", watched)
        patch.setattr(measuring, "evaluate", lambda *args, **settings: pytest.fail("it was attacked again"))
        long = run(LONG, folder)
    return folder, short, long, asked


def test_it_is_asked_only_about_what_was_undecided(both):
    _, short, long, asked = both
    undecided = [sum(e.robust) - sum(e.proved) for e in short.linf.at[1:]]
    assert asked[0] == undecided[0] > 0 and 0 < asked[1] <= undecided[1]
    left = [sum(e.robust) - sum(e.proved) for e in long.linf.at]
    assert left[0] < undecided[0]


def test_verdicts_are_kept_and_the_numbers_belong_to_them(both):
    folder, short, long, asked = both
    for new, count in zip(long.linf.at, asked, strict=True):
        old = short.linf.entry(new.eps)
        assert all(b for a, b in zip(old.proved, new.proved, strict=True) if a)
        assert not any(b for a, b in zip(old.robust, new.robust, strict=True) if not a)
        assert all(robust for robust, proved in zip(new.robust, new.proved, strict=True) if proved)
        assert new.accuracy == sum(new.robust) / 60 and new.interval[0] < new.accuracy < new.interval[1]
        assert new.rungs[:-1] == old.rungs and new.rungs[-1].label == "complete search (400 cases)"
        assert new.rungs[-1].attacked == count
    assert long.config == LONG and long.origin["begun"] == SHORT.run_id
    again = records.read(records.find(LONG.run_id, folder))
    assert [e.proved for e in again.linf.at] == [e.proved for e in long.linf.at]


def test_an_example_of_a_smaller_radius_counts_at_a_larger_one(both, monkeypatch):
    _, short, _, _ = both

    def all_fall(model, x, y, eps, norm, cases, broken, give_up):
        none, yes = torch.zeros(len(x), dtype=torch.bool), torch.ones(len(x), dtype=torch.bool)
        return certify.Certificate(eps, norm, none, yes, none.double(), dict(enumerate(x)), none.long())

    monkeypatch.setattr(certify, "certify", all_fall)
    images = data.load("digits").subset(SHORT.train_size, SHORT.test_size)
    found = further.searched(short, LONG, images, Training(LONG, images)).linf.at
    small, large = (torch.tensor(entry.robust) for entry in found)
    assert not bool((large & ~small).any()) and found[0].accuracy == sum(found[0].proved) / 60


def test_other_weights_ladders_images_or_longer_searches_are_left_alone(both):
    folder, short, _, _ = both
    digest, images = short.origin["weights"], short.origin["data"]["checksum"]

    def found(**changes):
        record = further.earlier(replace(LONG, **changes), folder, digest, images)
        return record and record.config

    assert found() == SHORT
    assert found(certify=500) == LONG, "the longest one"
    assert found(certify=500, eval_linf=(0.03,)) == SHORT, "only this one has the radius"
    assert further.earlier(LONG, folder, "0" * 16, images) is None
    assert further.earlier(LONG, folder, digest, "0" * 16) is None
    for other in ({"test_size": 50}, {"ladder": "standard"}, {"eval_linf": (0.05,)}, {"certify": 1}):
        assert found(**other) is None, other
    assert found(eval_l2=(0.5,)) is None


def test_a_run_with_proofs_ends_with_proofs_whatever_products_it_was_trained_with(tmp_path):
    """Proofs refuse shortened products; a run turns them off for as long as it measures, and on again."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")
    try:
        set_so = torch.backends.mkldnn.matmul.fp32_precision
        for folder in (None, tmp_path):
            record = run(replace(SHORT, epochs=1, seed=5, eval_linf=(0.03,)), folder)
            assert record.linf.at[0].proved is not None
            assert torch.get_float32_matmul_precision() == "high"
            assert torch.backends.mkldnn.matmul.fp32_precision == set_so
    finally:
        torch.set_float32_matmul_precision(before)
