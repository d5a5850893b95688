"""Predictions of what rows lack, against enumeration, quadrature and conditionals worked out by hand; and how good they
are, against scikit-learn."""

import itertools
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.special import logsumexp
from scipy.stats import entropy, gamma, multivariate_normal, norm
from sklearn.calibration import calibration_curve
from sklearn.metrics import accuracy_score, log_loss, root_mean_squared_error

from dgmppl.apply import conditionals, draws
from dgmppl.apply.fitted import FittedRun
from dgmppl.cli import main
from dgmppl.diagnostics import SpecError
from tests.apply.runs import fit, people

X = 'observed x : real[2] from standardize("people.csv"[height, weight])\n'
Y = 'observed y : categorical(3) from "people.csv".size\n'
A = 'observed a : real from standardize("people.csv".age)\n'
SPECS = {
    "discriminative": X + Y + "p(y | x) = Categorical(mlp[4](x))",
    "naive_bayes": X + Y + A + "p(y) = Categorical(param)\np(x | y) = Normal(linear(y))\np(a | y) = Normal(linear(y))",
    "class_latent": X
    + Y
    + A
    + "latent c : categorical(2)\np(c) = Categorical(param)\np(y | c) = Categorical(linear(c))"
    "\np(x | c) = Normal(linear(c))\np(a | c) = Normal(linear(c))",
    "labelled_vae": X + Y + "latent z : real\np(y) = Categorical(param)\np(z) = Normal(0, 1)"
    "\np(x | y, z) = Normal(mlp[4](y, z))\nq(z | x, y) = Normal(mlp[4](x, y))",
    "table": X + Y + A + "latent z : real\np(z) = Normal(0, 1)\np(x | z) = Normal(linear(z))"
    "\np(y | z) = Categorical(mlp[4](z))\np(a | z) = Normal(mlp[4](z))\nq(z | x, y, a) = Normal(mlp[4](x, y, a))",
    "linear_gaussian": X + A + "latent z : real[2]\np(z) = Normal(0, 1)\np(x | z) = Normal(linear(z), 0.5)"
    "\np(a | x, z) = Normal(linear(x, z), 0.3)",
    "flow": X + Y + "p(y) = Categorical(param)\np(x | y) = Normal(0, 1) >> coupling[mlp[4]](y) >> reverse",
    "hybrid": X + Y + A + "latent u : real[2]\nflow f = coupling[mlp[4]] >> reverse\np(u) = Normal(0, 1)\nx = f(u)"
    "\np(y | u) = Categorical(mlp[4](u))\np(a | u) = Normal(mlp[4](u))",
    "energy": X + Y + "E(x, y) = -mlp[4](x)[y] + 0.5 * sum(x ^ 2)",
    "partly_labelled": X + 'partial y : categorical(3) from labelled("people.csv".size, 30)\nlatent z : real'
    "\np(y) = Categorical(param)\np(z) = Normal(0, 1)\np(x | y, z) = Normal(mlp[4](y, z))"
    "\nq(y | x) = Categorical(mlp[4](x))\nq(z | x, y) = Normal(mlp[4](x, y))",
    "shared": X + A + "latent w : real[2] per data\np(w) = Normal(0, 1)\np(a | x, w) = Normal(x @ w, 0.5)\nq(w) = "
    "Normal(param, param)",
    "incomes": X + 'observed i : real from log("people.csv".income)\np(i | x) = Normal(linear(x), 0.3)',
    "waits": X + 'observed i : positive from "people.csv".income\np(i | x) = Gamma(exp(linear(x)), 0.01)',
    "tails": X + 'observed i : real from standardize("people.csv".income)\np(i | x) = StudentT(1.5, linear(x), 0.1)',
    "gaps": 'partial x : real[2] elementwise from standardize("people.csv"[height, weight])\n'
    + A
    + "p(x) = Normal(param)\np(a) = Laplace(param, 1)",
    "two_partial": 'partial y : categorical(3) from "people.csv".size\n'
    + 'partial a : real from standardize("people.csv".age)\n'
    + X
    + "p(y) = Categorical(param)\np(x | y) = Normal(linear(y))\np(a | y) = Normal(linear(y), 0.5)",
    "regions": 'partial x : real[2] elementwise from standardize("people.csv"[height, weight])\n'
    + Y
    + "p(x) = Normal(0, 1) >> coupling[mlp[4]]\nq(x | x) = Normal(mlp[4](x))\np(y | x) = Categorical(mlp[4](x))",
    "seen": 'partial x : real[2] elementwise from standardize("people.csv"[height, weight])\n'
    + A
    + "latent z : real\np(z) = Laplace(0, 1)\np(x | z) = Normal(mlp[4](z))\np(a | z) = Normal(mlp[4](z))",
    "quadratic": X + A + "param w : real[2] = normal(0.5)\nE(x, a) = 0.5 * x @ x + 0.5 * a ^ 2 - 0.5 * a * (w @ x)\n",
    "born": X + 'observed d : real from standardize(dates("people.csv".born))\np(d | x) = Normal(linear(x))',
}
SEQUENCES = """\
model hmm
observed x[t in 1..3] : real from "walks.npz".x
observed y : categorical(2) from "walks.npz".y
latent s[t in 1..3] : categorical(2)
p(y) = Categorical(param)
p(s[1] | y) = Categorical(linear(y))
p(s[t] | s[t-1]) = Categorical(linear(s[t-1]))
p(x[t] | s[t]) = Normal(linear(s[t]), 1)
train { epochs = 1 }
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("people")
    rng = np.random.default_rng(3)
    table = people(240)
    table["age"] = rng.normal(40, 10, 240) + 0.3 * (table.height - 170)
    table["income"] = np.exp(rng.normal(7, 0.5, 240))
    table["born"] = (np.datetime64("1980-01-01") + rng.integers(0, 9000, 240).astype("timedelta64[D]")).astype(str)
    table.to_csv(path / "people.csv", index=False)
    members = {"b": rng.integers(0, 2, (60, 3)), "w": rng.normal(size=(60, 3))}
    np.savez(path / "walks.npz", x=rng.normal(size=(60, 3)), y=rng.integers(0, 2, 60), **members)
    return path


@pytest.fixture(scope="module")
def run(folder: Path):
    """The run of a kind of model, fitted for an epoch once."""
    made: dict[str, FittedRun] = {}

    def of(kind: str) -> FittedRun:
        if kind not in made:
            torch.manual_seed(0)
            made[kind] = fit(folder, f"model {kind}\n{SPECS[kind]}\ntrain {{ epochs = 1, lr = 0.01 }}\n", kind)
        return made[kind]

    return of


def rows_of(run: FittedRun) -> dict[str, torch.Tensor]:
    """The test rows as the model has them."""
    return dict(next(iter(run.rows(split="test").chunks())))


def in_units(run: FittedRun, name: str, mean, deviation):
    """By hand: the mean and deviation of the training rows undo `standardize`."""
    (transform,) = run.fields[name].transforms
    return mean * transform.deviation + transform.mean, deviation * transform.deviation


def normalised(logs) -> np.ndarray:
    logs = np.asarray(logs)
    return np.exp(logs - logsumexp(logs, axis=-1, keepdims=True))


EXACT = {
    "discriminative": lambda m, r, y: m.p_y(r["x"]).log_prob(y),
    "naive_bayes": lambda m, r, y: m.p_y().log_prob(y) + m.p_x(y).log_prob(r["x"]) + m.p_a(y).log_prob(r["a"]),
    "class_latent": lambda m, r, y: torch.logsumexp(
        torch.stack(
            [
                m.p_c().log_prob(c) + m.p_y(c).log_prob(y) + m.p_x(c).log_prob(r["x"]) + m.p_a(c).log_prob(r["a"])
                for c in (torch.zeros(len(y)), torch.ones(len(y)))
            ]
        ),
        0,
    ),
    "flow": lambda m, r, y: m.p_y().log_prob(y) + m.p_x(y).log_prob(r["x"]),
    "hybrid": lambda m, r, y: m.p_y(m.f.inverse_and_log_det(r["x"])[0]).log_prob(y),
    "energy": lambda m, r, y: -m.energy(r["x"], y),
}


@pytest.mark.parametrize("kind", EXACT)
def test_classes_are_those_of_enumeration(run, kind: str) -> None:
    fitted = run(kind)
    found, rows = fitted.predict(split="test", of="y"), rows_of(fitted)
    n = len(rows["x"])
    with torch.no_grad():
        logs = [EXACT[kind](fitted.model, rows, torch.full((n,), float(k))) for k in range(3)]
    expected = normalised(torch.stack(logs, -1).double().numpy())
    np.testing.assert_allclose(found["y_probability"], expected, atol=1e-5)
    assert "exactly" in found.notes[0] and "effective_sample_size" not in found
    names = np.array(fitted.fields["y"].classes, dtype=object)
    np.testing.assert_array_equal(found["y"], names[expected.argmax(-1)])


def over_z(fitted: FittedRun, give) -> tuple[np.ndarray, np.ndarray]:
    """Points of z, and the log-density of all else at each, (rows, points)."""
    z = torch.linspace(-8, 8, 801)
    rows = rows_of(fitted)
    with torch.no_grad():
        log = fitted.model.p_z().log_prob(z)
        each = [
            give(
                fitted.model,
                {k: v[i : i + 1].expand(801, *v.shape[1:]) for k, v in rows.items()},
                z,
            )
            for i in range(len(rows["x"]))
        ]
    return z.numpy(), (torch.stack(each) + log).double().numpy()


@pytest.mark.parametrize("kind", ["labelled_vae", "partly_labelled"])
def test_classes_beside_a_latent_are_those_of_quadrature(run, kind: str) -> None:
    fitted = run(kind)
    found = fitted.predict(split="test", of="y", draws=3000)
    logs = []
    for k in range(3):
        y = torch.full((801,), float(k))
        _, log = over_z(fitted, lambda m, r, z, y=y: m.p_y().log_prob(y) + m.p_x(y, z).log_prob(r["x"]))
        logs.append(logsumexp(log, axis=-1))
    error = np.abs(found["y_probability"] - normalised(np.stack(logs, -1)))
    assert error.max() < 0.04 and error.mean() < 0.01
    assert "importance sampling" in found.notes[0] and (found["effective_sample_size"] > 5).all()


def test_what_hangs_on_a_latent_is_that_of_quadrature(run) -> None:
    """A number, a class, and both at once: of each the marginal."""
    fitted = run("table")

    def moments(give):
        z, log = over_z(fitted, give)
        weights = normalised(log)
        with torch.no_grad():
            law = fitted.model.p_a(torch.as_tensor(z))
            probabilities = fitted.model.p_y(torch.as_tensor(z)).probs.numpy()
        mean = weights @ law.mean.numpy()
        deviation = np.sqrt(weights @ (law.variance + law.mean**2).numpy() - mean**2)
        return *in_units(fitted, "a", mean, deviation), weights @ probabilities

    found = fitted.predict(split="test", of="a", draws=8000)
    mean, deviation, _ = moments(lambda m, r, z: m.p_x(z).log_prob(r["x"]) + m.p_y(z).log_prob(r["y"]))
    assert np.abs(found["a"] - mean).max() < 0.08 * deviation.min()
    np.testing.assert_allclose(found["a_deviation"], deviation, rtol=0.05)
    both = fitted.predict(split="test", of=("y", "a"), draws=8000)
    mean, deviation, probabilities = moments(lambda m, r, z: m.p_x(z).log_prob(r["x"]))
    assert np.abs(both["a"] - mean).max() < 0.08 * deviation.min()
    np.testing.assert_allclose(both["y_probability"], probabilities, atol=0.02)
    # Its density at what is there, from the same weights.
    assert both.figures["NLL(y)"][1].mean == pytest.approx(
        -np.log(np.take_along_axis(both["y_probability"], rows_of(fitted)["y"].long().numpy()[:, None], 1)).mean()
    )


def test_numbers_of_a_mixture_are_those_of_its_components(run) -> None:
    fitted = run("class_latent")
    found, rows, m = fitted.predict(split="test", of="a", draws=20000), rows_of(fitted), fitted.model
    c = torch.arange(2.0)
    with torch.no_grad():
        log = torch.stack(
            [m.p_c().log_prob(k) + m.p_y(k).log_prob(rows["y"]) + m.p_x(k).log_prob(rows["x"]) for k in c], -1
        )
        law = m.p_a(c)
    weights = normalised(log.double().numpy())
    mean = weights @ law.mean.numpy()
    deviation = np.sqrt(weights @ (law.variance + law.mean**2).numpy() - mean**2)
    mean, deviation = in_units(fitted, "a", mean, deviation)
    assert np.abs(found["a"] - mean).max() < 0.05 * deviation.min()
    np.testing.assert_allclose(found["a_deviation"], deviation, rtol=0.03)


def log_units(fitted, name):
    """How much of the data's units one of the model's is, in logarithms."""
    (standardized,) = fitted.fields[name].transforms or [None]
    return 0.0 if standardized is None else float(np.log(standardized.deviation).sum())


def test_numbers_of_a_factor_are_exact_in_the_units_of_the_data(run) -> None:
    for kind, given in (("naive_bayes", lambda r: r["y"]), ("hybrid", None)):
        fitted = run(kind)
        rows, found = rows_of(fitted), fitted.predict(split="test", of="a")
        with torch.no_grad():
            law = fitted.model.p_a(given(rows) if given else fitted.model.f.inverse_and_log_det(rows["x"])[0])
        mean, deviation = in_units(fitted, "a", law.mean.numpy(), law.stddev.numpy())
        np.testing.assert_allclose(found["a"], mean, rtol=1e-5)
        np.testing.assert_allclose(found["a_deviation"], deviation, rtol=1e-5)
        assert "exactly" in found.notes[0]
        nll = -law.log_prob(rows["a"]).mean().item() + log_units(fitted, "a")
        assert found.figures["NLL"][1].mean == pytest.approx(nll, rel=1e-5)


def test_a_linear_gaussian_conditional_is_exact(run) -> None:
    """The joint of (x, a) from the weights; what is left out of it conditioned by its blocks."""
    fitted = run("linear_gaussian")
    m, rows = fitted.model, rows_of(fitted)
    with torch.no_grad():
        eye, zero = torch.eye(2), torch.zeros(1, 2)
        b = m.p_x(zero).mean[0]
        w = (m.p_x(eye).mean - b).T  # x = w z + b + 0.5 e
        c = m.p_a(zero, zero).mean
        u, v = m.p_a(eye, torch.zeros(2, 2)).mean - c, m.p_a(torch.zeros(2, 2), eye).mean - c
    b, w, c, u, v = (t.double().numpy() for t in (b, w, c, u, v))
    over = np.vstack([w, u @ w + v])  # x and a by z, and by the noise of x and of a
    noise = np.vstack([np.hstack([0.5 * np.eye(2), np.zeros((2, 1))]), np.hstack([0.5 * u, [0.3]])])
    covariance = over @ over.T + noise @ noise.T
    centre = np.append(b, u @ b + c)
    values = np.column_stack([rows["x"].double().numpy(), rows["a"].double().numpy()])
    for name, left, kept in (("a", [2], [0, 1]), ("x", [0, 1], [2])):
        found = fitted.predict(split="test", of=name)
        gain = covariance[np.ix_(left, kept)] @ np.linalg.inv(covariance[np.ix_(kept, kept)])
        mean = centre[left] + (values[:, kept] - centre[kept]) @ gain.T
        rest = covariance[np.ix_(left, left)] - gain @ covariance[np.ix_(kept, left)]
        there, deviation = in_units(fitted, name, mean.squeeze(), np.sqrt(np.diag(rest)).squeeze())
        np.testing.assert_allclose(found[name], there, rtol=1e-4)
        np.testing.assert_allclose(found[f"{name}_deviation"][0], deviation, rtol=1e-4)
        assert tuple(found.notes) == (f"{name}: exactly, normal given the rest",)
        law = multivariate_normal(np.zeros(len(left)), rest)
        nll = -law.logpdf(values[:, left] - mean).mean() + log_units(fitted, name)
        assert found.figures["NLL"][1].mean == pytest.approx(nll, rel=1e-4)
        inside = np.abs(values[:, left] - mean) <= norm.ppf(0.95) * np.sqrt(np.diag(rest))
        columns = fitted.fields[name].columns
        for column, share in zip(columns, inside.mean(0).ravel() if len(columns) > 1 else [inside.mean()], strict=True):
            figure = f"coverage({column})" if len(columns) > 1 else "coverage"
            assert found.figures[figure][1].mean == pytest.approx(share)


ENDS = """\
model ends
observed y : categorical(3) from "people.csv".size
partial  x : real[2] elementwise from standardize("people.csv"[height, weight])
latent   z : real
p(y)         = Categorical(param)
p(z)         = Normal(0, 1)
p(x | z, y)  = Normal(linear(z, y), param)
train { epochs = 3, lr = 1e-1 }
"""


def test_what_nothing_depends_on_is_normal_given_the_rest(run, folder: Path) -> None:
    """Elements of x depend on each other through z alone: their law is that of its factor, z integrated out, and of
    many draws of both."""
    fitted = fit(folder, ENDS, "ends")
    found, rows, m = fitted.predict(split="test", of="x"), rows_of(fitted), fitted.model.double()
    assert tuple(found.notes) == ("x: exactly, normal given the rest",) and "effective_sample_size" not in found
    y = rows["y"]
    with torch.no_grad():
        at, step = (m.p_x(torch.full((len(y),), k), y.double()) for k in (0.0, 1.0))
        deviation = (at.stddev.square() + (step.mean - at.mean).square()).sqrt()
        torch.manual_seed(0)
        drawn = m.p_x(torch.randn(200_000).double(), y[:1].double().expand(200_000)).sample()
    m.float()
    np.testing.assert_allclose(drawn.mean(0), at.mean[0], atol=0.02)
    np.testing.assert_allclose(drawn.std(0), deviation[0], rtol=0.02)
    mean, deviation = in_units(fitted, "x", at.mean.numpy(), deviation.numpy())
    np.testing.assert_allclose(found["x"], mean, rtol=1e-5)
    np.testing.assert_allclose(found["x_deviation"], deviation, rtol=1e-5)


def test_a_class_of_a_sequence_is_that_of_all_paths(folder: Path) -> None:
    fitted = fit(folder, SEQUENCES, "hmm")
    found, rows, m = fitted.predict(split="test", of="y"), rows_of(fitted), fitted.model
    n = len(rows["y"])
    logs = []
    with torch.no_grad():
        for k in range(2):
            y = torch.full((n,), float(k))
            paths = []
            for path in itertools.product([0.0, 1.0], repeat=3):
                s = torch.tensor(path).expand(n, 3)
                paths.append(m.p_y().log_prob(y) + m.p_s(y).log_prob(s) + m.p_x(s).log_prob(rows["x"]))
            logs.append(torch.logsumexp(torch.stack(paths), 0))
    np.testing.assert_allclose(found["y_probability"], normalised(torch.stack(logs, -1).double()), atol=1e-5)
    assert "exactly" in found.notes[0]


def test_members_of_a_sequence_follow_from_exact_draws_of_its_states(folder: Path) -> None:
    """Numbers and classes at each position, beside which x tells the states: as all paths give them."""
    text = SEQUENCES.split("train")[0].replace("| y)", ")").replace("linear(y)", "param").replace("hmm", "members")
    text = (
        text.replace("observed y :", "observed y[t in 1..3] :")
        .replace(".y", ".b")
        .replace("p(y) = Categorical(param)", "")
    )
    text += 'observed w[t in 1..3] : real from "walks.npz".w\np(y[t] | s[t]) = Categorical(linear(s[t]))\n'
    fitted = fit(
        folder, f"{text}p(w[t] | s[t]) = Normal(linear(s[t]), param)\ntrain {{ epochs = 1, units = false }}", "members"
    )
    found, rows, m = fitted.predict(split="test", of=("y", "w"), draws=4000), rows_of(fitted), fitted.model
    assert found.notes[0] == "y, w: p(y | s), p(w | s), over 4000 exact draws of s given the rest of a row"
    n, logs, classes, means, squares = len(rows["y"]), [], [], [], []
    with torch.no_grad():
        for path in itertools.product([0.0, 1.0], repeat=3):
            s = torch.tensor(path).expand(n, 3)
            logs.append(m.p_s().log_prob(s) + m.p_x(s).log_prob(rows["x"]))
            classes.append(torch.stack([m.p_y(s).log_probs(torch.full((n, 3), float(k))).exp() for k in (0, 1)], -1))
            mean, deviation = m.p_w(s).moments(s)
            means.append(mean.expand(n, 3))
            squares.append((mean.square() + deviation.square()).expand(n, 3))
    weights = normalised(torch.stack(logs, -1).double())
    mixed = [np.einsum("nk,kn...->n...", weights, torch.stack(values).double()) for values in (classes, means, squares)]
    np.testing.assert_allclose(found["y_probability"], mixed[0], atol=0.03)
    np.testing.assert_allclose(found["w"], mixed[1], atol=0.05)
    np.testing.assert_allclose(found["w_deviation"], np.sqrt(mixed[2] - mixed[1] ** 2), atol=0.05)


def test_what_rows_have_in_common_comes_from_its_q(run) -> None:
    fitted = run("shared")
    found, rows = fitted.predict(split="test", of="a", draws=1500), rows_of(fitted)
    with torch.no_grad():
        q = fitted.model.q_w()
    x = rows["x"].double().numpy()
    mean, deviation = x @ q.mean.detach().double().numpy(), np.sqrt(x**2 @ q.variance.detach().double().numpy() + 0.25)
    mean, deviation = in_units(fitted, "a", mean, deviation)
    assert (np.abs(found["a"] - mean) < 0.1 * deviation).all()
    np.testing.assert_allclose(found["a_deviation"], deviation, rtol=0.1)


def test_behind_a_logarithm_means_are_those_of_the_data(run) -> None:
    """Of a log-normal law exp(m + s^2 / 2), and its deviation."""
    fitted = run("incomes")
    found, rows = fitted.predict(split="test", of="i", draws=40000), rows_of(fitted)
    with torch.no_grad():
        law = torch.distributions.LogNormal(fitted.model.p_i(rows["x"]).mean, 0.3)
    np.testing.assert_allclose(found["i"], law.mean, rtol=0.02)
    np.testing.assert_allclose(found["i_deviation"], law.stddev, rtol=0.04)


LINKED = """\
model linked
observed i : real from log("people.csv".income)
observed h : real from standardize("people.csv".height)
latent   z : real
p(z)     = Normal(0, 1)
p(i | z) = Normal(linear(z), param)
p(h | z) = Normal(linear(z), param)
train { epochs = 3, lr = 1e-1 }
"""


def test_behind_a_logarithm_the_moments_of_a_normal_law_are_exact(folder: Path) -> None:
    """The joint law of i and h, z integrated out, is normal: i given h in the units of the data is log-normal."""
    fitted = fit(folder, LINKED, "linked")
    found, h, m = fitted.predict(split="test", of="i"), rows_of(fitted)["h"].double(), fitted.model.double()
    assert tuple(found.notes) == ("i: exactly, normal given the rest",)
    with torch.no_grad():
        (i0, i1), (h0, h1) = ((p(z[0]), p(z[1])) for p in (m.p_i, m.p_h) for z in [torch.tensor([0.0, 1.0]).double()])
        slope, of_h = i1.mean - i0.mean, h1.mean - h0.mean
        variance = 1 / (1 + of_h**2 / h0.variance)
        centre = variance * of_h * (h - h0.mean) / h0.variance
        spread = (slope**2 * variance + i0.variance).sqrt().expand(len(h))
        law = torch.distributions.LogNormal(i0.mean + slope * centre, spread)
    m.float()
    np.testing.assert_allclose(found["i"], law.mean, rtol=1e-6)
    np.testing.assert_allclose(found["i_deviation"], law.stddev, rtol=1e-6)


def test_coverage_is_that_of_the_law_where_that_has_a_distribution_function(run) -> None:
    """Whether a value lies in the central 90 % is what SciPy says; else it is said that draws tell it."""
    fitted = run("waits")
    found, rows = fitted.predict(split="test", of="i"), rows_of(fitted)
    with torch.no_grad():
        shape = fitted.model.p_i(rows["x"]).concentration.double().numpy()
    inside = np.abs(gamma(shape, scale=100).cdf(rows["i"].double().numpy()) - 0.5) <= 0.45
    figure, estimate = found.figures["coverage"]
    assert estimate.mean == pytest.approx(inside.mean()) and figure.how == "exactly"
    assert not any("coverage" in note for note in found.notes)
    tails = run("tails").predict(split="test", of="i")
    assert np.isinf(tails["i_deviation"]).all()  # as of 1.5 degrees of freedom
    assert tails.figures["coverage"][0].how == "by draws" and "coverage: by 200 draws of that law" in tails.notes


def test_partial_variables_are_left_out_together_and_one_alone_where_it_is_named(run) -> None:
    fitted = run("two_partial")
    together, named = (fitted.predict(split="test", of=of) for of in ((), ("y", "a")))
    assert any("left out together" in n and "`--of y` leaves out one alone" in n for n in together.notes)
    for name in ("y_probability", "a"):
        np.testing.assert_array_equal(together[name], named[name])
    m, r = fitted.model, rows_of(fitted)
    rows, classes = len(r["x"]), [torch.full((len(r["x"]),), float(k)) for k in range(3)]
    with torch.no_grad():
        without = torch.stack([m.p_y().log_prob(c).expand(rows) + m.p_x(c).log_prob(r["x"]) for c in classes], -1)
        given = without + torch.stack([m.p_a(c).log_prob(r["a"]) for c in classes], -1)
    np.testing.assert_allclose(together["y_probability"], without.softmax(-1), atol=0.1)  # 1,000 draws, weighed
    np.testing.assert_allclose(fitted.predict(split="test", of="y")["y_probability"], given.softmax(-1), atol=1e-5)


def test_columns_of_a_vector_are_judged_one_by_one(run) -> None:
    """Of each the rows that have it: metres and kilograms make no number together."""
    fitted = run("gaps")
    table = people(40, seed=3).assign(age=40.0)
    table.loc[:9, "height"] = np.nan
    found = fitted.predict(table)  # what may be missing, where nothing is named
    assert "`x` may be missing" in found.notes[1]
    assert {n for n in found.figures if n != "NLL"} == {
        f"{kind}({column})" for kind in ("RMSE", "coverage") for column in ("height", "weight")
    }
    for k, column in enumerate(("height", "weight")):
        seen = table[column].notna()
        figure, estimate = found.figures[f"RMSE({column})"]
        assert estimate.rows == seen.sum() and figure.variables == ("x",)
        expected = root_mean_squared_error(table[column][seen], found["x"][seen, k])
        assert estimate.mean == pytest.approx(expected)


def test_gaps_in_what_does_not_matter_are_no_obstacle(run) -> None:
    fitted = run("gaps")
    table = people(5).assign(age=40.0, height=np.nan)
    found = fitted.predict(table, of="a")
    with torch.no_grad():
        law = fitted.model.p_a()
    mean, _ = in_units(fitted, "a", law.mean.item(), 0.0)
    np.testing.assert_allclose(found["a"], mean, rtol=1e-5)
    assert tuple(found.notes) == ("a: exactly, by p(a)",)


def normal_of(covariance: np.ndarray, seen: list[int], values: np.ndarray, of: int) -> tuple[float, float]:
    """The mean and the deviation of an element of a centred normal vector given those that are seen."""
    gain = covariance[[of]][:, seen] @ np.linalg.inv(covariance[np.ix_(seen, seen)])
    return (gain @ values).item(), np.sqrt((covariance[of, of] - gain @ covariance[seen, of]).item())


def with_gaps() -> pd.DataFrame:
    """Rows of which the second lacks a weight, and the third all of x."""
    table = people(3, seed=4).assign(age=[35.0, 45.0, 30.0])
    table.loc[1:, "weight"] = np.nan
    table.loc[2, "height"] = np.nan
    return table


def test_rows_with_gaps_are_told_what_is_seen_of_them_says(run) -> None:
    """Where the spec has no missing elements too; the whole row as it is told alone."""
    fitted = run("linear_gaussian")
    table = with_gaps()
    found = fitted.predict(table.drop(columns="age"))
    m = fitted.model.double()
    with torch.no_grad():
        eye, zero = torch.eye(2).double(), torch.zeros(1, 2).double()
        w, b = (m.p_x(eye).mean - m.p_x(zero).mean).T, m.p_x(zero).mean[0]
        nothing = torch.zeros(2, 2).double()
        c = m.p_a(zero, zero).mean
        u, v = m.p_a(eye, nothing).mean - c, m.p_a(nothing, eye).mean - c
    fitted.model.float()
    over = np.hstack([np.vstack([w, (u @ w + v)[None]]), np.vstack([0.5 * np.eye(2), 0.5 * u]), [[0], [0], [0.3]]])
    centre = np.append(b, u @ b + c)
    rows = fitted.fields["x"].apply(table[["height", "weight"]].to_numpy())
    for k, seen in enumerate(([0, 1], [0], [])):
        mean, deviation = normal_of(over @ over.T, seen, rows[k, seen] - centre[seen], 2)
        mean, deviation = in_units(fitted, "a", mean + centre[2], deviation)
        print(k, found["a"][k], mean, found["a_deviation"][k], deviation)
        assert found["a"][k] == pytest.approx(mean, rel=1e-5)
        assert found["a_deviation"][k] == pytest.approx(deviation, rel=1e-5)
    exactly = "a: exactly, normal given the rest"
    assert list(found.notes) == [exactly, f"rows that miss some of x: {exactly}"]


def test_a_class_given_part_of_what_it_hangs_on_is_that_of_quadrature(run) -> None:
    """What is missing of x is drawn from its law, and not from the q that the fit draws it from."""
    fitted, draws_ = run("regions"), 3000
    table = with_gaps()
    found = fitted.predict(table.drop(columns="size"), draws=draws_)
    grid = torch.linspace(-8, 8, 401)
    rows = fitted.fields["x"].apply(table[["height", "weight"]].to_numpy())
    for k in range(3):
        axes = [grid if np.isnan(v) else torch.tensor([v]).float() for v in rows[k]]
        x = torch.cartesian_prod(*axes)
        with torch.no_grad():
            weights = fitted.model.p_x().log_prob(x).softmax(0)
            expected = weights @ fitted.model.p_y(x).probs
        np.testing.assert_allclose(found["y_probability"][k], expected, atol=1e-5 if k == 0 else 0.03)
    assert "Markov chain" in found.notes[1] and "R of the chains" in found.notes[-1]


def test_a_number_given_part_of_what_a_latent_gives_is_that_of_quadrature(run) -> None:
    fitted, draws_ = run("seen"), 4000
    table = with_gaps()
    found = fitted.predict(table.assign(age=40.0), of="a", draws=draws_)
    z = torch.linspace(-12, 12, 2001)
    rows = torch.tensor(fitted.fields["x"].apply(table[["height", "weight"]].to_numpy())).float()
    with torch.no_grad():
        of_x, of_a, prior = fitted.model.p_x(z), fitted.model.p_a(z), fitted.model.p_z().log_prob(z)
        each = (
            torch.distributions.Normal(of_x.mean, of_x.stddev, validate_args=False)
            .log_prob(rows[:, None])
            .nan_to_num(nan=0.0)
        )
    weights = (prior + each.sum(-1)).double().softmax(-1).numpy()
    mean = weights @ of_a.mean.double().numpy()
    deviation = np.sqrt(weights @ (of_a.variance + of_a.mean**2).double().numpy() - mean**2)
    mean, deviation = in_units(fitted, "a", mean, deviation)
    assert (np.abs(found["a"] - mean) < 0.15 * deviation).all(), (found["a"], mean)
    np.testing.assert_allclose(found["a_deviation"], deviation, rtol=0.1)
    assert np.isfinite(found["effective_sample_size"][0]) and np.isnan(found["effective_sample_size"][1:]).all()
    assert found.figures["NLL"][1].rows == 1 and found.figures["RMSE"][1].rows == 3


def test_a_part_of_an_energy_is_drawn_by_a_chain(run) -> None:
    """The energy of a normal law, whose precision its second derivatives are."""
    fitted = run("quadratic")
    with torch.no_grad():
        w = fitted.model.w.normal_(0, 0.5).double().numpy()
    precision = np.eye(3)
    precision[2, :2] = precision[:2, 2] = -0.5 * w
    table = with_gaps()
    found = fitted.predict(table.drop(columns="age"), draws=4000)
    rows = fitted.fields["x"].apply(table[["height", "weight"]].to_numpy())
    for k, seen in enumerate(([0, 1], [0], [])):
        mean, deviation = normal_of(np.linalg.inv(precision), seen, rows[k, seen], 2)
        mean, deviation = in_units(fitted, "a", mean, deviation)
        assert abs(found["a"][k] - mean) < 0.15 * deviation
        assert found["a_deviation"][k] == pytest.approx(deviation, rel=0.1)


def test_dates_are_told_as_dates_and_their_deviations_in_days(run) -> None:
    fitted = run("born")
    found, rows = fitted.predict(split="test", of="d"), rows_of(fitted)
    with torch.no_grad():
        law = fitted.model.p_d(rows["x"])
    scale = fitted.fields["d"].transforms[-1]
    days = law.mean.double().numpy() * scale.deviation + scale.mean
    told = np.array(found["d"], dtype="datetime64[s]").astype(np.int64) / 86400
    np.testing.assert_allclose(told, days, atol=0.51)
    np.testing.assert_allclose(found["d_deviation"], law.stddev.numpy() * scale.deviation, rtol=1e-5)
    assert found.figures["RMSE"][1].mean > 100


def test_figures_of_classes_are_those_of_scikit_learn(run) -> None:
    fitted = run("naive_bayes")
    table = people(700, seed=5).assign(age=45.0)
    found = fitted.predict(table, of="y")
    p, names = found["y_probability"], fitted.fields["y"].classes
    values = {name: estimate.mean for name, (_, estimate) in found.figures.items()}
    assert values["error"] == pytest.approx(1 - accuracy_score(table["size"], found["y"].astype(str)))
    assert values["NLL"] == pytest.approx(log_loss(table["size"], p, labels=list(names)), rel=1e-6)
    assert values["entropy"] == pytest.approx(entropy(p, axis=1).mean(), rel=1e-6)
    confidence, right = p.max(1), (found["y"] == table["size"]).to_numpy()
    share, mean = calibration_curve(right, confidence, n_bins=15)
    counts = np.histogram(confidence, np.linspace(0, 1, 16))[0]
    assert values["ECE"] == pytest.approx((np.abs(share - mean) * counts[counts > 0]).sum() / 700, rel=1e-6)
    numbers = fitted.predict(table, of="a")
    assert numbers.figures["RMSE"][1].mean == pytest.approx(root_mean_squared_error(table.age, numbers["a"]))


def test_rows_of_a_file_lack_it(run, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fitted = run("naive_bayes")
    table = people(6, seed=2).assign(age=[40.0, 41, 42, 43, 44, 45])
    file, out = tmp_path / "others.csv", tmp_path / "predicted.csv"
    table.drop(columns="size").to_csv(file, index=False)
    assert main(["predict", str(fitted.path), "--data", str(file), "-o", str(out)]) == 0
    written = pd.read_csv(out)
    assert list(written) == ["size", "p(size = middling)", "p(size = short)", "p(size = tall)"]
    np.testing.assert_allclose(written.iloc[:, 1:].sum(axis=1), 1, rtol=1e-6)
    frame = fitted.predict(table, of="y").frame()
    np.testing.assert_allclose(frame.iloc[:, 1:], written.iloc[:, 1:], rtol=1e-6)
    table.to_csv(file, index=False)
    capsys.readouterr()
    assert main(["predict", str(fitted.path), "--data", str(file), "--of", "y", "--of", "a", "-o", str(out)]) == 0
    said = capsys.readouterr()
    assert "ECE(y)" in said.out and "RMSE(a)" in said.out and "importance sampling" in said.err


def test_memory_grows_neither_with_draws_nor_with_rows(run, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a model computes at once has an upper end, whatever is asked for; answers are those of small pieces."""
    fitted = run("table")
    sizes = []
    build = draws.with_prediction

    def watched(*given):
        model = build(*given)
        whole = model.predict
        model.predict = lambda *data: sizes.append(len(data[0])) or whole(*data)
        return model

    monkeypatch.setattr(draws, "with_prediction", watched)
    table = people(1200, seed=4).drop(columns="size").assign(age=40.0)
    fitted.predict(table, of="a", draws=100)["a"]
    assert len(sizes) > 10 and max(sizes) <= conditionals.AT_ONCE


REFUSED = {
    "nothing is left to predict": ("naive_bayes", {"split": "test"}),
    "is no variable of the data": ("naive_bayes", {"split": "test", "of": "z"}),
    "nothing models it": ("discriminative", {"split": "test", "of": "x"}),
    "all variables are left out": ("naive_bayes", {"split": "test", "of": ("x", "y", "a")}),
}


@pytest.mark.parametrize("why", REFUSED)
def test_what_cannot_be_predicted_is_said(run, why: str) -> None:
    kind, given = REFUSED[why]
    with pytest.raises(SpecError) as error:
        run(kind).predict(**given)
    assert error.value.diagnostics[0].code == "E660" and why in error.value.diagnostics[0].headline


def test_what_a_definition_reads_may_be_missing(tmp_path: Path) -> None:
    """x = u + W y has the mean W E[y] + b where y is missing, and is not NaN."""
    rng = np.random.default_rng(0)
    y = rng.normal(size=(60, 2))
    np.savez(tmp_path / "rows.npz", x=y @ rng.normal(size=(2, 2)) + rng.normal(size=(60, 2)), y=y)
    run = fit(tmp_path, DEFINED)
    rows = {"y": np.array([[0.5, -1.0], [np.nan, 2.0], [np.nan, np.nan]])}
    found = run.predict(rows, draws=2000)
    named = {name: values.detach().double().numpy() for name, values in run.model.state_dict().items()}
    loc, weight, bias = (next(v for n, v in named.items() if n.endswith(end)) for end in ("y_loc", "weight", "bias"))
    filled = np.where(np.isnan(rows["y"]), loc, rows["y"])
    np.testing.assert_allclose(found["x"], filled @ weight.T + bias, atol=0.25)
    assert "rows that miss some of y" in " ".join(found.notes)


DEFINED = """\
model defined
partial  y : real[2] elementwise from "rows.npz".y
observed x : real[2] from "rows.npz".x
latent   u : real[2]
flow f(o) = o + linear(y)
p(y) = Normal(param, 1)
p(u) = Normal(0, 1)
x    = f(u)
train { epochs = 1, units = false }
"""


ANSWERS = """\
model answers
observed a : ordinal(3)[2] from shift("answers.csv"[q1, q2], -1)
observed y : binary from "answers.csv".y
p(y) = Bernoulli(param)
p(a | y) = Categorical(linear(y))
train { epochs = 1 }
"""


@pytest.mark.parametrize("of", ["a", "q2"])
def test_probabilities_are_of_values_in_the_units_of_the_data(tmp_path: Path, of: str) -> None:
    """Also of vectors: answers from 1 to 3, of which the model has 0 to 2."""
    table = pd.DataFrame(np.random.default_rng(0).integers(1, 4, (40, 2)), columns=["q1", "q2"]).assign(y=1)
    table.to_csv(tmp_path / "answers.csv", index=False)
    frame = fit(tmp_path, ANSWERS).predict(table, of=of).frame()
    likeliest = frame[[f"p(q2 = {value})" for value in (1, 2, 3)]].to_numpy().argmax(1) + 1
    np.testing.assert_array_equal(frame["q2"], likeliest)
