"""Predictions of what rows lack, against enumeration, quadrature and conditionals worked out by hand."""

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.special import logsumexp
from scipy.stats import multivariate_normal, norm

from dgmppl.apply.fitted import FittedRun
from tests.apply.predicting.cases import SEQUENCES, in_units, normalised, rows_of
from tests.apply.runs import fit

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
