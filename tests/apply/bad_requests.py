"""What cannot be asked of a run, because of its model or of what is asked: a command, and what is changed on the disk
before it. What all cases find there is made by `make_runs`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from dgmppl import pipeline
from dgmppl.lifecycle import ComputeOptions, RunCallbacks, train_spec
from tests.apply.runs import PEOPLE, people
from tests.goldens import Cases

Change = Callable[[Path], None]
CASES: Cases = {}

SPECS = {
    "run": PEOPLE,
    "alone": 'observed v : real[3] from "d.npz".v\np(v) = Normal(param)\n',
    "given": 'observed y : categorical(3) from "people.csv".size\nobserved c : real[2] from "d.npz".c\n'
    'observed v : real[3] from "d.npz".v\np(v | y, c) = Normal(linear(y, c))\n',
    "game": 'observed v : real[3] from "d.npz".v\nlatent z : real[2]\np(z) = Normal(0, 1)\nv = linear(z)\n'
    "adversary D(v) = mlp[8]\n",
    "counts": 'observed n : natural[3] from "d.npz".counts\nlatent z : real\np(z) = Normal(0, 1)\nlatent k : real\n'
    "p(k | z) = Laplace(z, 1)\np(n | k) = Multinomial(4, linear(k))\n",
    "draws": 'observed t : natural from "d.npz".t\nobserved n : natural[3] from "d.npz".counts\n'
    "p(n | t) = Multinomial(t, param)\n",
    "machine": 'observed v : real[3] from "d.npz".v\nobserved c : real[2] from "d.npz".c\n'
    "param w : real[3, 2] = normal(0.1)\nE(v, c) = 0.5 * v @ v + 0.5 * c @ c - v @ w @ c\n"
    "train { objective = contrastive_divergence(steps = 1), epochs = 1 }\n",
    "gaps": 'observed v : real[3] from "d.npz".v\nobserved c : real[2] from "d.npz".c\nlatent z : real[2]\n'
    "p(z) = Normal(0, 1)\nv = linear(z)\np(c | v) = Normal(mlp[4](v))\nadversary D(v) = mlp[8]\n",
    "parts": 'observed v : real[3] from "d.npz".v\nlatent m : simplex[3]\np(m) = Dirichlet(1)\n'
    "q(m | v) = Dirichlet(softplus(linear(v)))\np(v | m) = Normal(linear(m))\n",
    "ranged": 'observed r : unit from rescale("people.csv".height, 0.1, 0.9)\np(r) = Beta(exp(param), 1)\n',
    "shops": 'observed y : categorical(3) from "people.csv".size\nobserved v : real[3] from "d.npz".v\n'
    "latent level : real per y\np(level) = Normal(0, 1)\np(v | level) = Normal(linear(level))\n",
}
"""Runs by the names of their folders."""


def make_runs(folder: Path) -> None:
    rng = np.random.default_rng(0)
    people(40).to_csv(folder / "people.csv", index=False)
    people(7, seed=1).to_csv(folder / "others.csv", index=False)
    counts = rng.multinomial(4, [0.2, 0.3, 0.5], 40)
    arrays = {"t": np.full(40, 4.0), "v": rng.normal(size=(40, 3)), "c": rng.normal(size=(40, 2)), "counts": counts}
    np.savez(folder / "d.npz", n=rng.integers(0, 8, (40, 2)), b=rng.integers(0, 2, (40, 3)), **arrays)
    for name, text in SPECS.items():
        whole = text if text.startswith("model") else f"model {name}\n{text}"
        (folder / f"{name}.dgm").write_text(whole)
        unseen = RunCallbacks(lambda epoch: None, pictures=False)
        train_spec(
            pipeline.read(folder / f"{name}.dgm", ("train.epochs=1",)), folder / name, ComputeOptions("cpu"), unseen
        )


def nothing(folder: Path) -> None:
    pass


def plain(name: str, command: str, change: Change = nothing) -> None:
    CASES[name] = (command, lambda folder, _: change(folder))


def saved(name: str, **arrays: object) -> Change:
    """Arrays in a file."""
    return lambda folder: np.savez(folder / name, **arrays)  # type: ignore[arg-type]


# --- predict --------------------------------------------------------------------------------------

plain("predict_with_nothing_left_out", "predict run -o z.csv")
plain("predict_all", "predict run --of x --of y -o z.csv")
plain("predict_the_only_variable", "predict alone --of v -o z.csv")
plain("predict_a_latent", "predict run --of z -o z.csv")
plain("predict_what_is_no_variable", "predict run --of wealth -o z.csv")
plain("predict_a_condition", "predict given --of y -o z.csv")
plain("predict_by_no_draws", "predict run --of y --draws 0 -o z.csv")
plain("predict_with_a_game", "predict game --of v -o z.csv")
plain(
    "predict_without_a_condition",
    "predict given --data w.npz -o z.csv",
    saved("w.npz", c=np.zeros((2, 2))),
)
plain(
    "predict_by_draws_from_rows_with_gaps",
    "predict gaps --data w.npz -o z.npz",
    saved("w.npz", v=[[0.0, np.nan, 1.0]]),
)

plain("evaluate_a_file_twice", "evaluate run --data others.csv --data others.csv")

plain(
    "score_beyond_the_range",
    "score ranged --data w.csv -o z.csv",
    lambda folder: (folder / "w.csv").write_text("height\n9000\n") and None,
)

# --- impute ---------------------------------------------------------------------------------------

GAP = np.array([[0.0, np.nan, 1.0]])

plain("impute_nothing_of_the_model", "impute run --data w.npz -o z.csv", saved("w.npz", other=GAP))
plain(
    "impute_a_condition", "impute given --data w.npz -o z.npz", saved("w.npz", v=GAP, c=np.zeros((1, 2)), y=GAP[:, 1])
)
plain("impute_with_a_game", "impute game --data w.npz -o z.npz", saved("w.npz", v=GAP))
plain("impute_a_part_of_a_sum", "impute counts --data w.npz -o z.npz", saved("w.npz", counts=[[1.0, np.nan, 5.0]]))
plain(
    "impute_what_has_no_place",
    "impute draws --data w.npz -o z.npz",
    saved("w.npz", t=[2.0], counts=[[3.0, np.nan, np.nan]]),
)
plain("impute_by_no_draws", "impute run --samples 0 -o z.csv")
plain("impute_with_draws_below_none", "impute run --draws -1 -o z.csv")
plain(
    "impute_rows_of_an_unknown_group",
    "impute shops --data w.npz -o z.npz",
    saved("w.npz", v=GAP, y=np.array([4.0])),
)

# --- sample ---------------------------------------------------------------------------------------

plain("sample_in_other_units", "sample run --units metres -o z.csv")
plain("sample_no_rows", "sample run -n 0 -o z.csv")
plain("sample_to_no_format", "sample run -o z.doc")
plain("sample_rows_without_conditions", "sample run --data others.csv -o z.csv")
plain("sample_latents_of_a_model_without_any", "sample alone --latents -o z.csv")
plain("sample_without_a_condition", "sample given --set y=tall -o z.csv")
plain("sample_with_what_is_no_condition", "sample run --set y=tall -o z.csv")
plain("sample_with_an_unknown_condition", "sample given --set w=1 -o z.csv")
plain("sample_with_an_unknown_class", "sample given --set y=giant --set c=1,2 -o z.csv")
plain("sample_with_a_class_by_a_wrong_number", "sample given --set y=3 --set c=1,2 -o z.csv")
plain("sample_with_too_many_numbers", "sample given --set y=tall --set c=1,2,3 -o z.csv")
plain("sample_with_a_condition_in_words", "sample given --set y=tall --set c=one,two -o z.csv")
plain("sample_by_steps_of_no_chain", "sample run --steps 5 -o z.csv")
plain("sample_until_without_a_past", "sample run --until 5 -o z.csv")
plain("sample_given_what_is_no_variable", "sample run --given w=w.npz -o z.npz", saved("w.npz", w=GAP))
plain("sample_given_no_file", "sample run --given x=nowhere.npz -o z.npz")
plain("sample_given_another_shape", "sample alone --given v=w.npz -o z.npz", saved("w.npz", v=np.zeros((2, 5))))
plain(
    "sample_given_in_units_of_the_model", "sample alone --given v=w.npz --units model -o z.npz", saved("w.npz", v=GAP)
)
plain("sample_given_and_latents", "sample run --given x=w.npz --latents -o z.npz", saved("w.npz", x=GAP[:, :2]))
plain("sample_given_and_rows", "sample given --given v=w.npz --split test -o z.npz", saved("w.npz", v=GAP))
plain("sample_a_picture_in_no_folder", "sample alone -o nowhere/z.png")

# --- paths ----------------------------------------------------------------------------------------

plain("reconstruct_without_latents", "reconstruct alone -o z.csv")
plain("reconstruct_with_a_game", "reconstruct game -o z.csv")
plain("interpolate_an_odd_number_of_rows", "interpolate run --data others.csv -o z.csv")
plain("interpolate_more_pairs_than_there_are", "interpolate run --data others.csv --pairs 4 -o z.csv")
plain("interpolate_in_one_step", "interpolate run --pairs 1 --steps 1 -o z.csv")
plain("interpolate_without_latents", "interpolate alone -o z.csv")
plain("interpolate_along_circles_of_no_normal", "interpolate parts --spherical -o z.csv")
plain("traverse_no_latent", "traverse run -o z.csv")
plain("traverse_an_unknown_latent", "traverse run --latent w -o z.csv")
plain("traverse_beyond_the_elements", "traverse run --latent z[2] -o z.csv")
plain("traverse_a_part_of_a_whole", "traverse parts --latent m[0] -o z.csv")
plain("traverse_what_rows_have_in_common", "traverse shops --latent level -o z.csv")
plain("encode_what_no_group_has", "encode shops --per size -o z.csv")
plain("encode_of_all_rows_and_of_a_group", "encode shops --common --per shop -o z.csv")
plain("traverse_without_latents", "traverse alone --latent z -o z.csv")
plain("traverse_from_what_is_no_number", "traverse run --latent z[0] --from low -o z.csv")
plain("traverse_in_no_steps", "traverse run --latent z[0] --steps 0 -o z.csv")

# --- compress -------------------------------------------------------------------------------------

plain("compress_real_numbers", "compress alone -o z.dgz")
plain("compress_to_another_format", "compress counts -o z.zip")
plain("decompress_what_is_no_code", "decompress counts others.csv -o z.csv")
plain("decompress_no_file", "decompress counts nowhere.dgz -o z.csv")
