"""Models that no rule mentions: priors, decoders, posteriors, flows, energies and games put together freely."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from dgmppl import pipeline
from dgmppl.runtime import Units
from tests.contracts.support import (
    COMPOSITIONS,
    build,
    checked,
    data_of,
    graph_of,
    name_of,
    samples_of,
    seed,
    verify_support,
)

composition = pytest.mark.parametrize("path", COMPOSITIONS, ids=name_of)

# What the structure calls for, in the words of the plan: the start of the objective's name, and the figure by which
# an epoch is judged.
OBJECTIVES = {
    "data_of_two_indices": ("exact log-likelihood log p(x[t, 1], x[t, 2], x[t, 3], g[t, 0], g[t, 1])", "log_prob"),
    "two_indices": ("ELBO, a lower bound on log p(x, y)", "elbo"),
    "all_above": ("ELBO, a lower bound on log p(x)", "elbo"),
    "state_space": ("ELBO, a lower bound on log p(x | c)", "elbo"),
    "chain_of_classes": ("ELBO, a lower bound on log p(x)", "elbo"),
    "chain": ("ELBO, a lower bound on log p(x | y)", "elbo"),
    "in_turn": ("ELBO, a lower bound on log p(x)", "elbo"),
    "uneven": ("ELBO, a lower bound on log p(x, y | n)", "elbo"),
    "uneven_exact": ("exact log-likelihood log p(n, k, a)", "log_prob"),
    "in_turn_data": ("exact log-likelihood log p(x, n)", "log_prob"),
    "grids_given_grids": ("ELBO, a lower bound on log p(x | g, y)", "elbo"),
    "class_of_pixels": ("exact log-likelihood log p(x)", "log_prob"),
    "class_of_a_flow": ("exact log-likelihood log p(x | c)", "log_prob"),
    "integrated_tree": ("exact log-likelihood log p(x, w | c)", "log_prob"),
    "factor_analysers": ("exact log-likelihood log p(x)", "log_prob"),
    "integrated_below": ("ELBO, a lower bound on log p(x)", "elbo"),
    "leaf": ("ELBO, a lower bound on log p(x)", "elbo"),
    "summed_sequence": ("exact log-likelihood log p(x)", "log_prob"),
    "grids_all_through": ("ELBO, a lower bound on log p(x, y) without y where it is missing", "elbo"),
    "bottom_up": ("ELBO, a lower bound on log p(x)", "elbo"),
    "energy_of_features": ("persistent contrastive divergence", None),
    "feature_of_a_base": ("exact log-likelihood log p(x, y)", "log_prob"),
    "formula_of_a_latent": ("exact log-likelihood log p(x, y | c)", "log_prob"),
    "mixture_of_the_past": ("exact log-likelihood log p(x, y | c)", "log_prob"),
    "finite_memory": ("exact log-likelihood log p(c, x, y, s | g)", "log_prob"),
    "recurrences": ("ELBO, a lower bound on log p(x, y, s)", "elbo"),
    "aligned_feature": ("ELBO, a lower bound on log p(x)", "elbo"),
    "features_together": ("ELBO, a lower bound on log p(x, y)", "elbo"),
    "colours": ("ELBO, a lower bound on log p(x, y | c)", "elbo"),
    "other_orders": ("ELBO, a lower bound on log p(x, y, w)", "elbo"),
    "aligned": ("ELBO, a lower bound on log p(x, y | c, g)", "elbo"),
    "plates": ("ELBO, a lower bound on log p(x, y, w)", "elbo"),
    "images": ("ELBO, a lower bound on log p(y, x)", "elbo"),
    "grids_in_order": ("ELBO, a lower bound on log p(x, s | y)", "elbo"),
    "normalised": ("ELBO, a lower bound on log p(s) + adversarial (nonsaturating)", None),
    "scales": ("ELBO, a lower bound on log p(x, y)", "elbo"),
    "sequences": ("ELBO, a lower bound on log p(y | s) + adversarial (nonsaturating)", None),
    "rows_of_matrices": ("ELBO, a lower bound on log p(y, x, v)", "elbo"),
    "energy_of_rows": ("contrastive divergence", "log_prob"),
    "two_definitions": ("exact log-likelihood log p(x)", "log_prob"),
    "inferred_through_a_flow": ("ELBO, a lower bound on log p(x)", "elbo"),
    "inferred_through_a_function": ("ELBO, a lower bound on log p(x)", "elbo"),
    "ali": ("adversarial (nonsaturating)", None),
    "weighed_beside_a_game": (
        "importance-weighted bound of 3 samples, a lower bound on log p(x) + adversarial",
        "iwae(3)",
    ),
    "weighed_energy_prior": (
        "importance-weighted bound of 3 samples, a lower bound on log p(x) up to log Z + persistent",
        None,
    ),
    "variational_dequantisation": ("ELBO, a lower bound on log p(x)", "elbo"),
    "clusters_of_flows": ("exact log-likelihood log p(x, n) without n where it is missing", "log_prob"),
    "family_of_flows": ("ELBO, a lower bound on log p(x | y)", "elbo"),
    "game_of_parts": ("ELBO, a lower bound on log p(x | y) + adversarial", "elbo"),
    "residual_of_classes": ("ELBO, a lower bound on log p(x, y) without y where it is missing", "elbo"),
    "scale_mixture": ("ELBO, a lower bound on log p(y | x)", "elbo"),
    "sequence_of_energies": ("ELBO, a lower bound on log p(x, y) up to log Z + persistent contrastive", None),
    "vamp_of_flows": ("ELBO, a lower bound on log p(x)", "elbo"),
    "adversarial_autoencoder": ("expected log-likelihood of x under q + adversarial", None),
    "drawn_then_summed": ("ELBO, a lower bound on log p(x)", "elbo"),
    "factorised_posterior": ("ELBO, a lower bound on log p(x, y)", "elbo"),
    "elements_seen": (
        "ELBO, a lower bound on log p(x, c, y) of what is seen of x, c without y where it is missing",
        "elbo",
    ),
    "elements_integrated": (
        "exact log-likelihood log p(x, t) of what is seen of x without t where it is missing",
        "log_prob",
    ),
    "elements_summed": ("exact log-likelihood log p(x, y) of what is seen of x", "log_prob"),
    "elements_imputed": ("ELBO, a lower bound on log p(x, c, y) of what is seen of x, c", "elbo"),
    "partial_energy": ("contrastive divergence", "log p(y | x)"),
    "partial_exact": ("exact log-likelihood log p(x, y) without y where it is missing", "log_prob"),
    "partial_flow_prior": ("ELBO, a lower bound on log p(x, y) without y where it is missing", "elbo"),
    "partial_hierarchy": (
        "ELBO, a lower bound on log p(x, y) without y where it is missing + 2 log q of the seen y",
        "elbo",
    ),
    "partial_imputed": ("weighted terms of the ELBO, a lower bound on log p(x, t, u) without t, u", "elbo"),
    "partial_label": ("ELBO, a lower bound on log p(x, y) without y where it is missing", "elbo"),
    "partial_leaves": ("ELBO, a lower bound on log p(x, y, w, s) without y, w, s where they are missing", "elbo"),
    "summed_energy_prior": ("ELBO, a lower bound on log p(x) up to log Z + persistent contrastive", None),
    "summed_flow": ("ELBO, a lower bound on log p(x)", "elbo"),
    "summed_pixels": ("exact log-likelihood log p(x)", "log_prob"),
    "two_mixtures": ("ELBO, a lower bound on log p(x)", "elbo"),
    "two_sums": ("ELBO, a lower bound on log p(x)", "elbo"),
    "arithmetic": ("ELBO, a lower bound on log p(x)", "elbo"),
    "autoregressive_decoder": ("ELBO, a lower bound on log p(x)", "elbo"),
    "mixture_of_elements": ("ELBO, a lower bound on log p(x)", "elbo"),
    "mixture_of_pixels": ("exact log-likelihood log p(x)", "log_prob"),
    "autoregressive_prior": ("ELBO, a lower bound on log p(x)", "elbo"),
    "bigan": ("adversarial (nonsaturating)", None),
    "bounded_flows": ("ELBO, a lower bound on log p(x)", "elbo"),
    "conditional_flow": ("exact log-likelihood log p(x | y)", "log_prob"),
    "conditional_vae": ("ELBO, a lower bound on log p(x | y)", "elbo"),
    "counts_with_dropouts": ("ELBO, a lower bound on log p(x, k | b) without k where it is missing", "elbo"),
    "counts": ("ELBO, a lower bound on log p(x)", "elbo"),
    "deep_boltzmann": ("contrastive divergence", None),
    "energy_prior": ("ELBO, a lower bound on log p(x) up to log Z + persistent contrastive", None),
    "flow_game": ("exact log-likelihood log p(x) + adversarial", "log_prob"),
    "flow_of_energy": ("exact log-likelihood log p(x) up to log Z + persistent contrastive", None),
    "gaussian_rbm": ("persistent contrastive divergence", None),
    "heavy_tails": ("ELBO, a lower bound on log p(x)", "elbo"),
    "hybrid": ("weighted terms of the exact log-likelihood log p(x, y)", "log_prob"),
    "weighed_cases": ("importance-weighted bound of 4 samples, a lower bound on log p(x)", "iwae(4)"),
    "importance": ("importance-weighted bound of 5 samples, a lower bound on log p(x)", "iwae(5)"),
    "labelled_rbm": ("contrastive divergence", "log_prob"),
    "latent_conditional_flow": ("ELBO, a lower bound on log p(x)", "elbo"),
    "linear_gaussian": ("ELBO, a lower bound on log p(x)", "elbo"),
    "masked_binary": ("exact log-likelihood log p(x, y)", "log_prob"),
    "mixture_decoder": ("ELBO, a lower bound on log p(x)", "elbo"),
    "mixture_decoder_fixed": ("ELBO, a lower bound on log p(x)", "elbo"),
    "planes": ("ELBO, a lower bound on log p(x)", "elbo"),
    "posterior_flow": ("ELBO, a lower bound on log p(x)", "elbo"),
    "rounded_flow": ("dequantised likelihood, a lower bound on log p(x)", "elbo"),
    "scalars": ("ELBO, a lower bound on log p(x)", "elbo"),
    "shared_net": ("ELBO, a lower bound on log p(x)", "elbo"),
    "shared_steps": ("ELBO, a lower bound on log p(x)", "elbo"),
    "skip_hierarchy": ("ELBO, a lower bound on log p(x)", "elbo"),
    "tabular": ("ELBO, a lower bound on log p(x, y, c)", "elbo"),
    "third_order": ("contrastive divergence", None),
    "topics": ("ELBO, a lower bound on log p(x)", "elbo"),
    "topographic": ("ELBO, a lower bound on log p(x)", "elbo"),
    "topographic_vamp": ("ELBO, a lower bound on log p(x)", "elbo"),
    "wasserstein": ("adversarial (wasserstein)", None),
    "category_energy": ("contrastive divergence", None),
    "class_mixture": ("exact log-likelihood log p(x)", "log_prob"),
    "networks_of_two_widths": ("ELBO, a lower bound on log p(x)", "elbo"),
    "ordered_classes": ("exact log-likelihood log p(y | x)", "log_prob"),
    "classification": ("exact log-likelihood log p(y | x)", "log_prob"),
    "classes_of_positions": ("exact log-likelihood log p(x, y)", "log_prob"),
    "tree_of_classes": ("exact log-likelihood log p(x, y, v)", "log_prob"),
    "words_of_topics": ("ELBO, a lower bound on log p(w)", "elbo"),
    "coarse_first": ("ELBO, a lower bound on log p(x)", "elbo"),
    "computed_latent": ("ELBO, a lower bound on log p(x)", "elbo"),
    "defined_latent": ("ELBO, a lower bound on log p(x)", "elbo"),
    "derived_posterior": ("ELBO, a lower bound on log p(x | y)", "elbo"),
    "elements": ("ELBO, a lower bound on log p(x | y)", "elbo"),
    "flows_everywhere": ("ELBO, a lower bound on log p(x)", "elbo"),
    "game_and_classifier": ("exact log-likelihood log p(y | x) + adversarial (nonsaturating)", None),
    "hidden_energy_prior": ("ELBO, a lower bound on log p(x) up to log Z + persistent contrastive", None),
    "histogram_mixture": ("exact log-likelihood log p(x)", "log_prob"),
    "integer_energy": ("contrastive divergence", None),
    "integer_sequence": ("exact log-likelihood log p(x)", "log_prob"),
    "labelled_game": ("exact log-likelihood log p(y) + adversarial (nonsaturating)", None),
    "labelled_vae": ("ELBO, a lower bound on log p(x, y)", "elbo"),
    "likelihoods": ("ELBO, a lower bound on log p(a, b, c, d, e, g, h)", "elbo"),
    "logistic_sequence": ("exact log-likelihood log p(x)", "log_prob"),
    "mean_field": ("ELBO, a lower bound on log p(x)", "elbo"),
    "mixed_energy": ("persistent contrastive divergence", None),
    "planes_residual": ("ELBO, a lower bound on log p(x)", "elbo"),
    "planes_vamp": ("ELBO, a lower bound on log p(x)", "elbo"),
    "players_in_pairs": ("ELBO, a lower bound on log p(result | side, place) of all N rows, 1/N of it a row", "elbo"),
    "positive_energy": ("persistent contrastive divergence", None),
    "positive_sequence": ("exact log-likelihood log p(x)", "log_prob"),
    "regression": ("exact log-likelihood log p(y | x)", "log_prob"),
    "rounded_logistic": ("dequantised likelihood, a lower bound on log p(x)", "elbo"),
    "scale_network": ("ELBO, a lower bound on log p(x)", "elbo"),
    "two_games": ("adversarial (nonsaturating)", None),
    "wasserstein_classes": ("adversarial (wasserstein)", None),
    "weighted_terms": ("weighted terms of the ELBO, a lower bound on log p(x, y)", "elbo"),
    "classifier_of_features": ("ELBO, a lower bound on log p(x, y)", "elbo"),
    "conditional_rounded_flow": ("dequantised likelihood, a lower bound on log p(x | y, c)", "elbo"),
    "conditional_vamp": ("ELBO, a lower bound on log p(x | y)", "elbo"),
    "hierarchical_flow": ("ELBO, a lower bound on log p(x)", "elbo"),
    "hierarchical_rounded_flow": ("ELBO, a lower bound on log p(x)", "elbo"),
    "sticks": ("ELBO, a lower bound on log p(x, w, v)", "elbo"),
    "proportions": ("ELBO, a lower bound on log p(x)", "elbo"),
    "quadratic_likelihood": ("ELBO, a lower bound on log p(x)", "elbo"),
    "shared_classes": ("ELBO, a lower bound on log p(x) of all N rows, 1/N of it a row", "elbo"),
    "shared_groups": ("ELBO, a lower bound on log p(y | g) of all N rows, 1/N of it a row", "elbo"),
    "shared_loadings": ("ELBO, a lower bound on log p(x) of all N rows, 1/N of it a row", "elbo"),
    "shared_mixing": ("ELBO, a lower bound on log p(x) of all N rows, 1/N of it a row", "elbo"),
    "shared_season": ("ELBO, a lower bound on log p(x) of all N rows, 1/N of it a row", "elbo"),
    "shared_walks": ("ELBO, a lower bound on log p(x | g) of all N rows, 1/N of it a row", "elbo"),
    "shared_weights": ("ELBO, a lower bound on log p(y | x) of all N rows, 1/N of it a row", "elbo"),
    "random_network": ("ELBO, a lower bound on log p(y | x) of all N rows, 1/N of it a row", "elbo"),
    "shared_coupling": ("exact log-likelihood log p(x)", "log_prob"),
    "shared_flow": ("ELBO, a lower bound on log p(x)", "elbo"),
    "two_pseudo_inputs": ("ELBO, a lower bound on log p(x, y)", "elbo"),
    "two_sequences": ("exact log-likelihood log p(x, w)", "log_prob"),
    "vamp_hierarchy": ("ELBO, a lower bound on log p(x)", "elbo"),
    "absorbing": ("ELBO, a lower bound on log p(x)", "elbo"),
    "chain_by_loss": ("ELBO, a lower bound on log p(x)", "elbo"),
    "guided_chain": ("ELBO, a lower bound on log p(x | y)", "elbo"),
    "guided_flow": ("flow matching of x along a linear path", "flow_matching"),
    "matched_classes": ("weighted flow matching of x along a cosine path + log-likelihood of y", "flow_matching"),
    "matched_score": ("flow matching of x along a variance-preserving path", "flow_matching"),
    "weighted_bound": ("weighted terms of the ELBO, a lower bound on log p(x)", "elbo"),
}


def test_every_composition_is_known() -> None:
    assert set(OBJECTIVES) == {name_of(path) for path in COMPOSITIONS}


@composition
def test_the_plan_names_what_the_structure_calls_for(path) -> None:
    plan = checked(path).plan
    assert plan is not None
    start, criterion = OBJECTIVES[name_of(path)]
    assert plan.objective.name.startswith(start)
    assert plan.criterion == criterion


def steps(model, data: list[Tensor], count: int) -> None:
    """Adam, each player in turn."""
    players = model.players()
    optimizers = [torch.optim.Adam(p.parameters, lr=1e-2) for p in players]
    for _ in range(count):
        for player, optimizer in zip(players, optimizers, strict=True):
            optimizer.zero_grad()
            player.loss(*data).backward()
            optimizer.step()


@composition
def test_a_fit_moves_every_parameter(path) -> None:
    """Also those behind a coupling's last layer, which starts at zero: after a few steps gradients reach them."""
    found = checked(path)
    model, data = build(found), data_of(found)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    steps(model, data, 8)
    assert before
    for name, p in model.named_parameters():
        assert p.isfinite().all(), name
        assert not torch.equal(p, before[name]), f"{name} never moved"


def is_likelihood(path) -> bool:
    """Whether the objective is one function that a fit descends."""
    plan = checked(path).plan
    return plan is not None and not plan.samplers and not plan.played


@pytest.mark.parametrize("path", [p for p in COMPOSITIONS if is_likelihood(p)], ids=name_of)
def test_a_fit_lowers_the_loss(path) -> None:
    found = checked(path)
    model, data = build(found), data_of(found)

    def loss() -> float:
        with seed(3), torch.no_grad():
            return sum(float(model.loss(*data)) for _ in range(8)) / 8

    before = loss()
    steps(model, data, 40)
    assert loss() < before


@composition
def test_samples_lie_in_the_declared_support(path) -> None:
    found = checked(path)
    graph = graph_of(found)
    n = 16
    model, data = build(found, scale=0.1), data_of(found, n)
    drawn = samples_of(found, model, n, data)
    assert set(drawn) == {v.name for v in graph.data if v.name not in graph.conditions}
    for name, values in drawn.items():
        verify_support(graph[name].type, values, n)


@composition
def test_figures_are_one_number_an_example(path) -> None:
    found = checked(path)
    model, data = build(found, scale=0.1), data_of(found, 7)
    figures = model.figures(*data)
    assert (model.criterion in figures) == (model.criterion is not None)
    for name, values in figures.items():
        # How well a partial variable is predicted is a figure of the rows that have it.
        some = name.startswith(("error", "log p(")) and graph_of(found).partial
        assert values.dim() == 1 and 0 < len(values) <= 7 if some else values.shape == (7,), name
        assert values.isfinite().all(), name


EXACT = [p for p in COMPOSITIONS if OBJECTIVES.get(name_of(p), ("", ""))[1] == "log_prob"]


@pytest.mark.parametrize("path", EXACT, ids=name_of)
def test_rows_are_independent(path) -> None:
    """An exact log-likelihood of a row is the same in any company, also alone."""
    found = checked(path)
    model, data = build(found, scale=0.1), data_of(found, 5)
    with torch.no_grad():
        together = model.log_prob(*data)
        alone = torch.cat([model.log_prob(*(d[k : k + 1] for d in data)) for k in range(5)])
    assert torch.allclose(together, alone, atol=1e-4)


@composition
def test_one_row_is_enough(path) -> None:
    found = checked(path)
    model, data = build(found, scale=0.1), data_of(found, 1)
    for player in model.players():
        loss = player.loss(*data)
        assert loss.shape == ()
        assert loss.isfinite()


@composition
def test_weights_say_what_the_plan_counts(path) -> None:
    found = checked(path)
    assert found.plan is not None
    assert sum(p.numel() for p in build(found).parameters()) == found.plan.structure.weights


def test_an_index_as_input_shares_one_network() -> None:
    """shared_steps: three levels, one network for p and one for q between them."""
    model = build(checked(next(p for p in COMPOSITIONS if p.stem == "shared_steps")))
    networks = [m for m in model.children() if not isinstance(m, Units)]
    assert len(networks) == 4  # p(z | z + 1), p(x | z), q(z1 | x), q(z | z - 1)


def test_a_base_that_the_data_gives_stands_for_the_data() -> None:
    """hierarchical_flow: q(z | u) leaves nothing out, since u is a bijection of x."""
    found = checked(next(p for p in COMPOSITIONS if p.stem == "hierarchical_flow"))
    assert found.diagnostics == ()


def test_a_derived_posterior_comes_before_those_that_read_it() -> None:
    """partial_label: z is inferred from y, so y is inferred from x alone."""
    plan = checked(next(p for p in COMPOSITIONS if p.stem == "partial_label")).plan
    assert plan is not None
    assert plan.derived == ("q(y | x) = Categorical(mlp[8](x))",)


REFUSED = {
    # A factor speaks about the units of an energy: their positive phase is no longer the energy's alone, and they
    # are too many to be summed under a q.
    "E306": """\
observed x : real[4] from "rows.npz".x
latent   h : binary[30]
param    c : real[30]
E(h) = -c @ h
p(x | h) = Normal(linear(h), 0.5)
""",
    # A coupling acts on a vector, and an element is a number.
    "E213": """\
observed x : real[4] from "rows.npz".x
p(x[d] | x[<d]) = Normal(causal[8](x[<d])) >> coupling[mlp[8]] >> reverse
""",
    # The components would share the network of a coupling.
    "E217": """\
observed x : real[4] from "rows.npz".x
p(x) = mixture[3](Normal(param) >> coupling[mlp[8]])
""",
    # A generator has no density.
    "E301": """\
observed x : real[4] from "rows.npz".x
latent   z : real[2]
p(z) = Normal(0, 1)
x    = mlp[8](z)
""",
}


@pytest.mark.parametrize("density", ["q(w | param)", "mixture[2](q(w | param))"])
def test_a_distribution_of_all_elements_is_not_that_of_one(density) -> None:
    text = (
        'observed x : real[4] from "rows.npz".x\nlatent w : real[4]\np(w) = Normal(0, 1)\nq(w | x) = Normal(linear(x))'
    )
    found = pipeline.read(f"model refused\n{text}\np(x[d] | x[<d]) = {density}")
    assert [d.code for d in found.errors] == ["E223"]


@pytest.mark.parametrize("code", REFUSED)
def test_what_would_be_a_wrong_model_is_refused(code) -> None:
    found = pipeline.read(f"model refused\n{REFUSED[code]}")
    assert not found.ok
    assert [d.code for d in found.errors] == [code]
