"""Latents of rows: what `infer` of the module gives, in every form of answer."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from dgmppl.cli import main
from dgmppl.diagnostics import SpecError
from tests.apply.runs import PEOPLE, fit, people
from tests.apply.test_paths import ICA, LEVELS


def test_means_and_deviations_are_those_of_q(tmp_path: Path) -> None:
    people().to_csv(tmp_path / "people.csv", index=False)
    run = fit(tmp_path, PEOPLE)
    others = people(1200, seed=5).set_index(np.arange(1200) + 7)
    found = run.encode(others, draws=3, samples=4000)
    rows = next(run.rows(others).chunks(1200))
    q = run.model.q_z(*rows.values())
    np.testing.assert_allclose(found["z"], q.mean.detach().numpy(), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found["z_deviation"], q.stddev.detach().numpy(), rtol=0.08)
    assert found["z_draws"].shape == (1200, 3, 2)
    drawn = found.frame()[[f"z[{d}]_draws[{k}]" for k in range(3) for d in range(2)]]
    np.testing.assert_array_equal(drawn.to_numpy().reshape(1200, 3, 2), found["z_draws"])
    frame = run.encode(others).frame()
    assert list(frame.columns) == ["z[0]", "z[1]", "z[0]_deviation", "z[1]_deviation"]
    assert list(frame.index) == list(others.index)


def test_the_command_writes_what_python_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    people().to_csv(tmp_path / "people.csv", index=False)
    run = fit(tmp_path, PEOPLE)
    others = people(1100, seed=5)
    others.to_csv(tmp_path / "others.csv", index=False)
    frame = run.encode(others).frame()
    for end in ("csv", "parquet", "npz"):
        out = tmp_path / f"z.{end}"
        assert main(["encode", str(run.path), "--data", str(tmp_path / "others.csv"), "-o", str(out)]) == 0
        assert "1100 rows" in capsys.readouterr().out
    np.testing.assert_allclose(pd.read_csv(tmp_path / "z.csv"), frame, rtol=1e-5)
    np.testing.assert_allclose(pd.read_parquet(tmp_path / "z.parquet"), frame, rtol=1e-6)
    np.testing.assert_allclose(np.load(tmp_path / "z.npz")["z"], frame[["z[0]", "z[1]"]], rtol=1e-6)
    before = sorted(p.name for p in tmp_path.iterdir())
    assert main(["encode", str(run.path), "-o", str(tmp_path / "z.doc")]) == 2
    assert main(["encode", str(run.path), "--data", str(tmp_path / "z.csv"), "-o", str(tmp_path / "w.csv")]) == 1
    assert "has no column" in capsys.readouterr().err
    assert sorted(p.name for p in tmp_path.iterdir()) == before


def test_a_model_without_latents_has_none_to_give(tmp_path: Path) -> None:
    people().to_csv(tmp_path / "people.csv", index=False)
    text = (
        'model m\nobserved x : real[2] from "people.csv"[height, weight]\np(x) = Normal(param)\ntrain { epochs = 1 }\n'
    )
    run = fit(tmp_path, text, overrides=("train.epochs=1",))
    with pytest.raises(SpecError, match="no latents"):
        run.encode(people())


def test_what_the_data_determine_has_no_deviation(tmp_path: Path) -> None:
    people().to_csv(tmp_path / "people.csv", index=False)
    run = fit(tmp_path, ICA)
    found = run.encode(people(30, seed=3), draws=2)
    assert (found["s_deviation"] == 0).all()
    assert (found["s_draws"] == found["s"][:, None]).all()
    x = next(run.rows(people(30, seed=3)).chunks())["x"].numpy()
    W, b = (run.model.state_dict()[name].numpy() for name in ("W", "b"))
    np.testing.assert_allclose(found["s"], np.linalg.solve(W, (x - b).T).T, rtol=1e-3, atol=1e-4)


def test_each_level_of_a_hierarchy_and_classes(tmp_path: Path) -> None:
    people().to_csv(tmp_path / "people.csv", index=False)
    run = fit(tmp_path, LEVELS)
    found = run.encode(people(40, seed=3), samples=3000)
    levels = {f"z[{k}]{spread}" for k in (3, 2, 1) for spread in ("", "_deviation")}
    assert set(found) == {*levels, "c", "c_probability"}
    rows = next(run.rows(people(40, seed=3)).chunks())
    x, y = rows["x"], rows["y"]
    top = run.model.q_z_3(x, y)
    np.testing.assert_allclose(found["z[3]"], top.mean.detach(), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found["z[3]_deviation"], top.stddev.detach(), rtol=0.1)
    np.testing.assert_allclose(found["z[2]"], run.model.q_z_2(top.mean, x).mean.detach(), rtol=1e-4, atol=1e-5)
    probabilities = run.model.q_c(x).logits.softmax(-1).detach().numpy()
    assert (found["c"] == probabilities.argmax(1)).all()
    np.testing.assert_allclose(found["c_probability"], probabilities.max(1), atol=0.04)
    assert {"z[3][0]", "z[3][0]_deviation", "c"} <= set(found.frame().columns)


GROUPS = """\
model groups
observed y : categorical(3) from "people.csv".size
observed x : real from standardize("people.csv".weight)
latent m : real per y
latent s : positive per data
p(m) = Normal(0, 1)
p(s) = HalfNormal(1)
p(x | m, s, y) = Normal(m, s)
train { epochs = 30, lr = 5e-2 }
"""


def test_what_rows_have_in_common_is_told_once(tmp_path: Path) -> None:
    people().to_csv(tmp_path / "people.csv", index=False)
    run = fit(tmp_path, GROUPS)
    rows = people(40, seed=3)
    found = run.encode(rows, draws=5)
    assert set(found) == {"m", "m_deviation", "m_draws"} and found["m_draws"].shape == (40, 5)
    each = run.model.q_m(torch.arange(3.0)).mean.detach().numpy()
    codes = [run.fields["y"].classes.index(size) for size in rows["size"]]
    np.testing.assert_allclose(found["m"], each[codes], rtol=1e-5)
    assert any("--common" in note for note in found.notes)
    common = run.encode(common=True, samples=2000)
    assert common["s"].shape == (1,) and 0 < common["s_deviation"][0] < 1
    groups = run.encode(per="y")
    assert [*groups["y"]] == [*run.fields["y"].classes], "a row for each class, by its name"
    np.testing.assert_allclose(groups["m"], each, rtol=1e-5)


MIXED = """\
model mixed
observed x : real[2] from standardize("people.csv"[height, weight])
observed y : categorical(3) from "people.csv".size
latent s : positive per data
latent m : real per y
latent z : {kind}
param e : real[2] = normal(1)
p(s) = HalfNormal(1)
p(m) = Normal(0, 1)
p(z{given}) = {prior}
p(x | {reads}) = Normal({mean}, s)
train {{ epochs = 5, lr = 5e-2 }}
"""


@pytest.mark.parametrize("kind", ["real", "categorical(2)"])
def test_spreads_given_what_rows_have_in_common_are_mixed_and_not_drawn(tmp_path: Path, kind: str) -> None:
    """By the law of total variance, against the posterior given each of many draws of q, by hand."""
    people().to_csv(tmp_path / "people.csv", index=False)
    real = kind == "real"
    told = (" | m", "Normal(m, 1)", "z, s", "z") if real else ("", "Categorical(uniform)", "z, m, s", "m + e[z]")
    text = MIXED.format(kind=kind, **dict(zip(("given", "prior", "reads", "mean"), told)))
    run = fit(tmp_path, text.replace("param e : real[2] = normal(1)\n", "") if real else text)
    rows = people(20, seed=3)
    few, many = run.encode(rows, samples=32), run.encode(rows, samples=1000, seed=1)
    spread = "z_deviation" if real else "z_probability"
    assert any(f"{spread}: exact given" in note and "32 draws of it" in note for note in few.notes)
    given = next(run.rows(rows).chunks(20))
    torch.manual_seed(0)
    with torch.no_grad():
        s = run.model.q_s().sample((4000,))[:, None]
        m = run.model.q_m(torch.arange(3.0)).sample((4000,))[:, given["y"].long()]
    if real:
        variance = 1 / (1 + 2 / s**2)
        mean = variance * (m + given["x"].sum(-1) / s**2)
        expected = (variance.mean(0) + mean.var(0)).sqrt()
    else:
        logs = [-0.5 * ((given["x"] - m[..., None] - c) / s[..., None]).square().sum(-1) for c in run.model.e.detach()]
        shares = torch.stack(logs).softmax(0).mean(1)
        expected = shares[torch.as_tensor(many["z"]).long(), torch.arange(20)]
    np.testing.assert_allclose(many[spread], expected, rtol=0.03)
    np.testing.assert_allclose(few[spread], expected, rtol=0.15)


def test_spreads_are_mixed_over_the_weights_of_a_network(tmp_path: Path) -> None:
    """By the law of total variance over draws of a loading and a shift, the posterior given each by hand."""
    people().to_csv(tmp_path / "people.csv", index=False)
    text = """\
model network
observed x : real[2] from standardize("people.csv"[height, weight])
latent z : real
net f = linear
p(f) = Normal(0, 1)
q(f) = Normal(param, 0.3)
p(z) = Normal(0, 1)
p(x | z, f) = Normal(f(z), 0.5)
train { epochs = 5, lr = 5e-2 }
"""
    run, rows = fit(tmp_path, text), people(20, seed=3)
    found = run.encode(rows, samples=1000)
    assert any("z_deviation: exact given f" in note for note in found.notes)
    x = next(run.rows(rows).chunks(20))["x"]
    with torch.no_grad():
        loading, shift = run.model.q_f().sample((4000,)).chunk(2, -1)
    variance = 1 / (1 + loading.square().sum(-1) / 0.25)
    mean = variance[:, None] * ((x - shift[:, None]) * loading[:, None]).sum(-1) / 0.25
    np.testing.assert_allclose(found["z_deviation"], (variance.mean() + mean.var(0)).sqrt(), rtol=0.05)


UNEVEN = """\
model uneven
observed n : integer(2..4) from "walks.npz".n
observed x[t in 1..n] : real from "walks.npz".x
latent z[t in 1..n] : real[2]
p(z[1]) = Normal(0, 1)
p(z[t] | z[t-1]) = Normal(linear(z[t-1]))
p(x[t] | z[t]) = Normal(linear(z[t]))
q(z[1] | x) = Normal(linear(x[1]))
q(z[t] | z[t-1], x) = Normal(linear(z[t-1], x[t]))
train { epochs = 1 }
"""


def test_members_have_their_numbers_and_end_where_their_sequence_does(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    n = rng.integers(2, 5, 60)
    x = rng.normal(size=(60, 4))
    x[np.arange(4) >= n[:, None]] = np.nan
    np.savez(tmp_path / "walks.npz", n=n, x=x)
    run = fit(tmp_path, UNEVEN)
    found = run.encode({"n": n[:9], "x": x[:9]}, draws=2)
    gone = np.arange(4) >= n[:9, None]
    assert (np.isnan(found["z"]).all(-1) == gone).all() and (np.isnan(found["z_deviation"]).all(-1) == gone).all()
    assert (np.isnan(found["z_draws"]).all(-1) == gone[:, None]).all()
    assert list(found.frame().columns)[:2] == ["z[1][0]", "z[1][1]"]


def test_the_probability_of_a_class_is_exact_where_it_is_summed_out(tmp_path: Path) -> None:
    people().to_csv(tmp_path / "people.csv", index=False)
    text = """model m
observed x : real[2] from "people.csv"[height, weight]
latent k : categorical(3)
param m : real[3, 2]
p(k) = Categorical(param)
p(x | k) = Normal(m[k], param)
train { epochs = 2 }
"""
    run = fit(tmp_path, text)
    found = run.encode(people(300, seed=5))
    rows = next(run.rows(people(300, seed=5)).chunks(300))["x"]
    with torch.no_grad():
        each = [
            run.model.p_k().log_prob(torch.tensor(k)) + run.model.p_x(torch.full((300,), k)).log_prob(rows)
            for k in range(3)
        ]
    expected = torch.stack(each, -1).softmax(-1)
    np.testing.assert_array_equal(found["k"], expected.argmax(-1))
    np.testing.assert_allclose(found["k_probability"], expected.amax(-1), rtol=1e-5)
    assert not found.notes


LEVELS_OF_NORMALS = """model m
observed x : real[2] from "rows.npz".x
latent z[l in 1..3] : real[2]
p(z[3]) = Normal(0, 1)
p(z[l] | z[l+1]) = Normal(linear(z[l+1]), 0.5)
p(x | z[1]) = Normal(linear(z[1]), 0.4)
train { epochs = 2, units = false }
"""


def test_deviations_of_levels_that_are_integrated_out_are_those_of_their_joint_normal(tmp_path: Path) -> None:
    """z[3] -> z[2] -> z[1] -> x, against the conditional of the joint covariance (Bishop, 2006, Eq. 2.82)."""
    np.savez(tmp_path / "rows.npz", x=np.random.default_rng(0).normal(size=(60, 2)))
    run = fit(tmp_path, LEVELS_OF_NORMALS)
    with torch.no_grad():
        zero, one = torch.zeros(1, 2), torch.eye(2)
        slopes = [(f(one).mean - f(zero).mean).T.double().numpy() for f in (run.model.p_z_2, run.model.p_z_1)]
        slopes.append((run.model.p_x(one).mean - run.model.p_x(zero).mean).T.double().numpy())
    path = np.eye(8)  # of z[3], z[2], z[1], x as sums of their own noise
    for k, slope in enumerate(slopes):
        path[2 * k + 2 : 2 * k + 4] += slope @ path[2 * k : 2 * k + 2]
    cov = path @ np.diag(np.repeat([1, 0.5, 0.5, 0.4], 2) ** 2) @ path.T
    left = cov[:6, :6] - cov[:6, 6:] @ np.linalg.inv(cov[6:, 6:]) @ cov[6:, :6]
    expected = np.sqrt(np.diag(left))
    found = run.encode(split="test")
    for k, name in enumerate(("z[3]", "z[2]", "z[1]")):
        np.testing.assert_allclose(found[f"{name}_deviation"], np.tile(expected[2 * k : 2 * k + 2], (12, 1)), rtol=1e-4)
    assert not found.notes


CHAINS_OF_TWO_INDICES = {
    "deviation": """latent z[t in 1..3, l in 1..2] : real
p(z[1, l]) = Normal(0, 1)
p(z[t, l] | z[t-1, l]) = Normal(z[t-1, l] / 2, exp(param))
p(x[t] | z[t, 1], z[t, 2]) = Normal(z[t, 1] - z[t, 2], 0.3)
""",
    "probability": """latent z[t in 1..3, l in 1..2] : categorical(3)
p(z[1, l]) = Categorical(param)
p(z[t, l] | z[t-1, l]) = Categorical(linear(z[t-1, l]))
p(x[t] | z[t, 1], z[t, 2]) = Normal(linear(z[t, 1], z[t, 2]), 0.3)
""",
}


@pytest.mark.parametrize("spread", CHAINS_OF_TWO_INDICES)
def test_members_of_two_indices_have_their_numbers_and_how_sure_they_are(tmp_path: Path, spread: str) -> None:
    np.savez(tmp_path / "rows.npz", x=np.random.default_rng(0).normal(size=(60, 3)))
    text = 'model m\nobserved x[t in 1..3] : real from "rows.npz".x\n' + CHAINS_OF_TWO_INDICES[spread]
    found = fit(tmp_path, text + "train { epochs = 1 }").encode(split="test").frame()
    columns = [f"z[{t}, {k}]{told}" for k in (1, 2) for told in ("", f"_{spread}") for t in (1, 2, 3)]
    assert list(found.columns) == columns
    assert np.isfinite(found.to_numpy()).all()


LEVELS_OF_Q = """model m
observed x : real[2] from standardize("people.csv"[height, weight])
latent a : real[2]
latent z : real
p(a) = Normal(0, 1)
p(z | a) = Normal(linear(a), 1)
p(x | z, a) = Normal(mlp[4](z, a), 1)
q(a | x) = Normal(linear(x))
q(z | a, x) = Normal(linear(a, x))
train { epochs = 2 }
"""


def test_a_deviation_is_that_of_q_and_mixed_over_what_q_reads(tmp_path: Path) -> None:
    """Of a in closed form; of z, whose q is linear and normal given a, by the law of total variance."""
    people().to_csv(tmp_path / "people.csv", index=False)
    run = fit(tmp_path, LEVELS_OF_Q)
    rows = people(20, seed=3)
    found = run.encode(rows, samples=2000)
    assert [note for note in found.notes if "draws" in note] == ["z_deviation: of 2000 draws, see --samples"]
    x = next(run.rows(rows).chunks(20))["x"]
    with torch.no_grad():
        a = run.model.q_a(x)
        q = run.model.q_z(a.sample((40000,)), x.expand(40000, *x.shape))
        mixed = q.variance.mean(0) + q.mean.var(0)
    np.testing.assert_allclose(found["a_deviation"], a.stddev, rtol=1e-5)
    np.testing.assert_allclose(found["z_deviation"], mixed.sqrt(), rtol=0.08)


def test_a_q_that_reads_nothing_is_that_of_each_row(tmp_path: Path) -> None:
    people().to_csv(tmp_path / "people.csv", index=False)
    text = LEVELS_OF_Q.replace("q(a | x) = Normal(linear(x))", "q(a) = Normal(param, param)")
    run = fit(tmp_path, text)
    found = run.encode(people(7, seed=3))
    with torch.no_grad():
        np.testing.assert_allclose(found["a_deviation"], run.model.q_a().stddev.expand(7, 2), rtol=1e-5)
