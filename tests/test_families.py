"""Families in words: what is said of members one after another is said once, and nothing is left out."""

from __future__ import annotations

from dgmppl import pipeline
from dgmppl.plan.explain import explain_plan
from dgmppl.plan.families import Families, FamilyLine
from dgmppl.plan.nodes import Plan
from dgmppl.plan.typeset import objective_latex

ONE = Families([FamilyLine("z", ("t",), tuple(f"z[{k}]" for k in range(1, 6)))])
TWO = Families([FamilyLine("z", ("t", "l"), tuple(f"z[{t}, {k}]" for t in (1, 2) for k in (1, 2)))])

LEVELS = """model levels
observed x : real[2] from moons.point
latent z[l in 1..4] : real[2 * l]
p(z[4])          = Normal(0, 1)
p(z[l] | z[l+1]) = Normal(mlp[4](z[l+1]))
p(x | z[1])      = Normal(mlp[4](z[1]))
q(z[1] | x)      = Normal(mlp[4](x))
q(z[l] | z[l-1]) = Normal(mlp[4](z[l-1]))
"""


def _plan(text: str) -> Plan:
    plan = pipeline.read(text).plan
    assert plan is not None
    return plan


def test_members_one_after_another_are_their_range_and_all_of_them_the_family() -> None:
    assert ONE.shortened("p(x | z[2], z[3], z[4])") == "p(x | z[2..4])"
    assert ONE.shortened("p(x | z[1], z[2], z[3], z[4], z[5])") == "p(x | z)"
    assert ONE.shortened("q(x | z[1], z[3])") == "q(x | z[1], z[3])"
    assert ONE.shortened("q(x | y[1], y[2])") == "q(x | y[1], y[2])"
    assert TWO.shortened("p(x | z[1, 1], z[1, 2], z[2, 1], z[2, 2])") == "p(x | z)"


def test_texts_that_differ_in_members_alone_are_one_with_its_range() -> None:
    links = [f"p(z[{t}] | z[{t + 1}])" for t in range(1, 5)]
    assert ONE.lines([*links, "p(z[5])"]) == ["p(z[t] | z[t + 1]), t = 1..4", "p(z[5])"]
    assert ONE.lines(links[::-1]) == ["p(z[t] | z[t + 1]), t = 4..1"]
    assert ONE.lines([links[0], links[2]]) == [links[0], links[2]]
    assert ONE.lines(["p(z[2] | z[1])", "p(z[3] | z[1])", "p(z[4] | z[1])"]) == ["p(z[t] | z[1]), t = 2..4"]
    pasts = ["p(z[3] | z[1], z[2])", "p(z[4] | z[1], z[2], z[3])"]
    assert ONE.lines(pasts) == ["p(z[t] | z[1..t - 1]), t = 3..4"]
    grid = [f"q(z[{t}, {k}] | x)" for k in (1, 2) for t in (1, 2)]
    assert TWO.lines(grid) == ["q(z[t, l] | x), t = 1..2, l = 1..2"]


def test_what_takes_turns_is_said_together() -> None:
    turns = [text for t in (1, 2, 3) for text in (f"draw z[{t}]", f"weigh z[{t}]")]
    assert ONE.lines(turns) == ["for t = 1..3: draw z[t], weigh z[t]"]
    terms = ["+ log p(x | z[1])", *(t for k in (2, 3) for t in (f"+ log p(z[{k}])", f"- log q(z[{k}])"))]
    assert ONE.sums(terms) == ["+ log p(x | z[1])", "+ sum_{t = 2..3}( log p(z[t]) - log q(z[t]) )"]


def test_what_stands_beside_members_is_that_of_the_first_and_the_last() -> None:
    assert ONE.rows([("z[1]", "real[2]"), ("z[2]", "real[2]")]) == [("z[t], t = 1..2", "real[2]")]
    assert ONE.rows([("z[1]", "2"), ("z[2]", "4"), ("z[3]", "6")]) == [("z[t], t = 1..3", "2 .. 6")]
    assert ONE.rows([("z[1]", "a"), ("z[2]", "b")], differ=False) == [("z[1]", "a"), ("z[2]", "b")]


def test_the_total_of_members_is_their_sum_whether_their_letter_is_known_or_not() -> None:
    values = {f"{s}(z[{t}])": t * w for t in (1, 2, 3) for s, w in (("log p", 1.0), ("-log q", 10.0))}
    values["log p(x)"] = 7.0
    assert ONE.totals(values) == {"log p(z[t]), t = 1..3": 6.0, "-log q(z[t]), t = 1..3": 60.0, "log p(x)": 7.0}
    assert Families(None).totals(values) == {"log p(z[1..3])": 6.0, "-log q(z[1..3])": 60.0, "log p(x)": 7.0}


def test_a_plan_is_explained_by_families_and_by_members_if_asked() -> None:
    plan = _plan(LEVELS)
    folded, members = explain_plan(plan), explain_plan(plan, members=True)
    assert "z[l]  real[2] .. real[8], l = 1..4" in folded
    assert "p(z[l] | z[l + 1]), l = 1..3   4 -> 4 -> 4 .. 8 -> 4 -> 12" in folded
    assert "z[2]  real[4]" in members and "z[l]" not in members


def test_a_second_index_is_named_as_it_was_written() -> None:
    plan = _plan(
        'model m observed x[t in 1..3] : real from "rows.npz".x latent z[t in 1..3, l in 1..2] : real '
        "p(z[t, 2]) = Normal(0, 1) p(z[t, 1] | z[t, 2]) = Normal(linear(z[t, 2])) "
        "p(x[t] | z[t, 1]) = Normal(linear(z[t, 1])) q(z[t, l] | x) = Normal(mlp[3](x, t)) "
        "train { objective = elbo(weight = { z[t, 1] = 2, z[t, 2] = 3 }) }"
    )
    assert {t.owner: t.weight for t in plan.terms} == {"x": 1.0, "z[t, 1]": 2.0, "z[t, 2]": 3.0}
    assert [v.name for v in plan.structure.variables] == ["x[t]", "z[t, 1]", "z[t, 2]"]
    assert "z[t, l]  real, t = 1..3, l = 1..2" in explain_plan(plan)
    assert all("z_1" not in text for text in (*plan.structure.p, *plan.structure.q, plan.objective.formula))


def test_latex_has_sums_and_products_over_members() -> None:
    plan = _plan(LEVELS)
    found = objective_latex(plan)
    assert found == (
        r"\mathbb{E}_{q(z_{1} \mid x), \prod_{l=2}^{4} q(z_{l} \mid z_{l-1})}\left[ \log p(x \mid z_{1}) "
        r"- \mathrm{KL}\left(q(z_{4} \mid z_{3}) \,\|\, p(z_{4})\right) "
        r"+ \log p(z_{1} \mid z_{2}) - \log q(z_{1} \mid x) "
        r"+ \sum_{l=2}^{3} \left( \log p(z_{l} \mid z_{l+1}) - \log q(z_{l} \mid z_{l-1}) \right) \right]"
    )
    assert objective_latex(plan, members=True) == plan.objective.latex
    two = "model two\nobserved x : real[2] from moons.point\nlatent z[t in 1..2, l in 1..2] : real[2]\n"
    two += "p(z[t, l]) = Normal(0, 1)\np(x | z) = Normal(mlp[4](z))\nq(z[t, l] | x) = Normal(mlp[4](x))\n"
    assert objective_latex(_plan(two)) == (
        r"\mathbb{E}_{\prod_{l=1}^{2} \prod_{t=1}^{2} q(z_{t, l} \mid x)}\left[ \log p(x \mid z) "
        r"- \sum_{l=1}^{2} \sum_{t=1}^{2} \mathrm{KL}\left(q(z_{t, l} \mid x) \,\|\, p(z_{t, l})\right) \right]"
    )
