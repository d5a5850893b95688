"""Raters who answer in texts, with a confusion matrix each and answers that are missing (Dawid and Skene, 1979)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

import dgmppl

SPEC = """\
model raters
partial r[j in 0..2] : categorical(3) elementwise from "raters.csv"[first, second, third]
latent truth : categorical(3)
param confusion : real[3, 3, 3]
p(truth) = Categorical(param)
p(r[j] | truth) = Categorical(confusion[j, truth])
train { epochs = 1, batch = 10 }
"""
CLASSES = ["bad", "fair", "good"]


def test_the_truth_has_its_posterior_and_answers_come_back_as_texts(tmp_path: Path) -> None:
    draws = np.random.default_rng(0)
    answers = draws.choice([*CLASSES, ""], (40, 3))
    answers[answers[:, 0] == "good", 0] = "bad"  # one rater has no "good"
    rows = [",".join(row) for row in answers if row.any()]
    (tmp_path / "raters.csv").write_text("\n".join(["first,second,third", *rows]) + "\n", encoding="utf-8")
    (tmp_path / "raters.dgm").write_text(SPEC, encoding="utf-8")
    run = dgmppl.train(tmp_path / "raters.dgm")

    given = [["fair", "", "good"], ["bad", "bad", ""], ["", "", "fair"]]
    (tmp_path / "others.csv").write_text(
        "\n".join(["first,second,third", *map(",".join, given)]) + "\n", encoding="utf-8"
    )
    found = run.encode(tmp_path / "others.csv").frame()
    prior = run.model.p_truth_logits.detach().softmax(-1)
    rates = run.model.confusion.detach().softmax(-1)  # (rater, truth, answer)
    for k, row in enumerate(given):
        joint = prior.clone()
        for rater, text in enumerate(row):
            joint = joint * (rates[rater, :, CLASSES.index(text)] if text else torch.ones(3))
        posterior = joint / joint.sum()
        assert found["truth"][k] == int(posterior.argmax())
        np.testing.assert_allclose(found["truth_probability"][k], float(posterior.max()), rtol=1e-4)
    filled = run.impute(tmp_path / "others.csv").frame().to_numpy()
    assert set(filled.ravel()) <= set(CLASSES)
    assert all(text in ("", back) for row, told in zip(given, filled, strict=True) for text, back in zip(row, told))
    assert set(run.sample(20).frame()) == {"first", "second", "third"}
