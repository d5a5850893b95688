"""What a model is about: families along an index. Chains, pasts, recurrences, draws in turn, reads of members."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tests.contracts.random_specs.cores.gaps import apart, ended, incomplete
from tests.contracts.random_specs.draft import Draft, Unit
from tests.contracts.random_specs.parts.densities import DRAWN, factor
from tests.contracts.random_specs.parts.families import FAMILIES, LOCATED, family_of

LETTERS = "tnk"

DATA = ("real", "real", "binary", "categorical(3)", "integer(0..3)", "positive", "unit")


@dataclass(frozen=True)
class Index:
    """An index of a spec: its letter, its first and last number; `length`: the variable that says how far it goes in a
    row, if rows differ in that."""

    letter: str
    first: int
    last: int
    length: str = ""

    @property
    def range(self) -> str:
        return f"{self.letter} in {self.first}..{self.length or 'T'}"

    @property
    def end(self) -> str:
        """The last member, as an index."""
        return self.length or str(self.last)

    def at(self, unit: Unit, away: int = 0) -> Unit:
        """A member as the laws of others read it: `z[t - 1]`."""
        by = "" if away == 0 else f"{'+' if away > 0 else '-'}{abs(away)}"
        return Unit(f"{unit.name}[{self.letter}{by}]", unit.support, unit.shape, unit.role)


def _members(d: Draft, index: Index, stem: str, support: str, shape: tuple[int, ...], role: str) -> Unit:
    """Declares a family, and returns what stands for a member of it."""
    name = d.name(stem)
    unit = Unit(name, support, shape, role)
    source = "" if role == "latent" else f' from "rows.npz".{name}'
    gaps = role == "observed" and support != "simplex" and d.gaps.random() < 0.2
    how, missing = ("partial", " elementwise") if gaps else (role, "")
    d.say(f"{how} {name}[{index.range}] : {unit.type}{missing}{source}")
    return unit


def _law(d: Draft, head: Unit, of: Sequence[Unit], index: Index, alike: str = "") -> str:
    """The law of a member that reads these; `alike`: one of them, of the head's own type."""
    if head.support == "real":
        family = d.choose(LOCATED)
        if alike and d.often(0.5):
            others = [u for u in of if u.name != alike]
            moved = f" + linear({', '.join(u.name for u in others)})" if others else ""
            return f"{family}({d.choose(('0.5', '-0.8', '1'))} * {alike}{moved}, {d.choose(('param', '0.5'))})"
    else:
        family = d.choose(FAMILIES.get(head.support, ("Categorical",)))
    if not of:
        return f"{family}(param)" if d.often(0.5) or head.support != "real" else "Normal(0, 1)"
    inside = ", ".join([*(u.name for u in of), *([index.letter] if d.often(0.3) else [])])
    net = d.choose((f"mlp[4]({inside})", f"linear({inside})"))
    found = f"{family}({net})"
    if head.role == "observed" and d.often(0.2):
        return f"mixture[2]({found})"
    if head.support == "real" and head.shape and d.often(0.2):
        return f"{found} >> affine"
    return found


def _factors(d: Draft, side: str, index: Index, head: Unit, of: Sequence[Unit], how: str) -> None:
    """The factors of a family whose members read these at their own position, and each other's in some way."""
    here, first = index.at(head), index.first
    names = [u.name for u in of]
    if how == "apart":
        d.say(f"{d.head(side, here.name, names)} = {_law(d, head, of, index)}")
    elif how in ("forward", "backward"):
        before, end = (index.at(head, -1), first) if how == "forward" else (index.at(head, 1), index.end)
        reads = [before, *of]
        if d.often(0.7) or of:  # the first may read what the others do, or nothing
            ends = [Unit(u.name.replace(f"[{index.letter}]", f"[{end}]"), u.support, u.shape, u.role) for u in of]
            d.say(f"{d.head(side, f'{head.name}[{end}]', [u.name for u in ends])} = {_law(d, head, ends, index)}")
        else:
            d.say(f"{side}({head.name}[{end}]) = {_law(d, head, (), index)}")
        left = d.head(side, here.name, [u.name for u in reads])
        d.say(f"{left} = {_law(d, head, reads, index, before.name if head.support == 'real' else '')}")
    elif how == "past":
        past = f"{head.name}[<{index.letter}]"
        kind = d.choose(("gru[3]", "causal[4, kernel = 2]", "transformer[4, heads = 2]"))
        aligned = [u for u in of if "[" in u.name]
        others = [u for u in of if "[" not in u.name]
        inside = ", ".join([past, *(u.name for u in (*aligned, *others))])
        family = "Normal" if head.support == "real" else FAMILIES.get(head.support, ("Categorical",))[0]
        d.say(f"{d.head(side, here.name, [past, *names])} = {family}({kind}({inside}))")
    else:
        h, past = d.name("h"), index.at(head, -1).name
        inside = ", ".join([past, *(u.name for u in of), f"{h}[{index.letter}-1]"])
        d.say(f"let {h}[{index.range}] : real[3] = {d.choose(('gru_cell', 'mlp[4]'))}({inside})")
        t = index.letter
        pasts = [f"{head.name}[<{t}]", *(n.replace(f"[{t}]", f"[<{t}]") for n in names if "[" in n), *names]
        read = Unit(f"{h}[{t}]", "real", (3,))
        d.say(f"{d.head(side, here.name, pasts)} = {_law(d, head, [read], index)}")


HOW = ("apart", "forward", "forward", "backward", "past", "recurrent")


def along_an_index(d: Draft) -> None:
    """One or two families of data along an index, maybe with a latent state, a latent of the row, and what reads a
    member of them."""
    if d.gaps.random() < 0.2:
        share = d.gaps.random()
        (incomplete if share < 0.55 else apart if share < 0.7 else ended)(d)
        return
    first = d.choose((0, 1, 1))
    index = Index(d.choose(LETTERS), first, first + d.choose((1, 1, 2, 3)))
    d.say(f"const T = {index.last}")
    if d.often(0.3):
        n = d.unit("m", f"integer({first}..T)", (), "observed")
        index = Index(index.letter, first, index.last, n.name)
        if d.often(0.3):
            d.say(f"p({n.name}) = Categorical(param)")
    x = _members(d, index, "x", d.choose(DATA), d.choose(((), (), (2,))), "observed")
    count = index.last - index.first + 1
    whole = Unit(x.name, x.support, (count, *x.shape), "observed")
    d.data.append(whole)
    reads: list[Unit] = list(d.causes)
    if d.often(0.2):
        reads.append(index.at(_in_common(d, index)))
    if d.often(0.3):
        w = d.unit("w", "real", d.choose(((), (2,))))
        factor(d, "p", w, (), DRAWN[:1])
        read = _together(d, index, x) if d.gaps.random() < 0.4 else x.name
        d.say(f"q({w.name} | {x.name}) = Normal(mlp[4]({read}))")
        reads.append(w)
        d.drawn.append(w)
    if d.often(0.3):
        y = _members(d, index, "y", d.choose(DATA[:4]), (), "observed")
        _factors(d, "p", index, y, [u for u in reads if d.often(0.5)], d.choose(HOW))
        reads.append(index.at(y))
    if not d.often(0.6):
        _factors(d, "p", index, x, reads, d.choose(HOW))
        return
    if index.first and not index.length and d.often(0.15):  # a state before the first of the data
        earlier = Index(index.letter, first - 1, index.last)
        z = _members(d, earlier, "z", d.choose(("real", "categorical(2)")), (), "latent")
        _factors(d, "p", earlier, z, (), "forward")
        _factors(d, "p", index, x, [index.at(z)], "apart")
        return
    z = _members(d, index, "z", "real", d.choose(((), (2,))), "latent")
    of_z = [u for u in reads if d.often(0.5)]
    if d.often(0.25):  # in turn: each reads what comes before in the other
        given = [index.at(z, -1), index.at(x, -1), *of_z]
        d.say(f"p({z.name}[{index.first}]) = {_law(d, z, (), index)}")
        d.say(f"{d.head('p', index.at(z).name, [u.name for u in given])} = {_law(d, z, given, index)}")
        _factors(d, "p", index, x, [index.at(z), *reads], d.choose(("apart", "forward", "past")))
    else:
        _factors(d, "p", index, z, of_z, d.choose(HOW))
        _factors(d, "p", index, x, [index.at(z), *reads], d.choose(HOW))
    seen = [u for u in reads if u.role == "observed" or u in d.drawn]
    _posterior(d, index, z, x, seen)
    if d.often(0.3):
        member = d.choose((f"{z.name}[{index.end}]", f"{z.name}[{index.first}]", z.name))
        v = d.unit("v", "real", (), "observed")
        read = _together(d, index, z) if d.gaps.random() < 0.4 and member == z.name else member
        d.say(f"p({v.name} | {member}) = Normal({d.choose(('mlp[4]', 'linear'))}({read}))")


def _together(d: Draft, index: Index, of: Unit) -> str:
    """A feature of each member of a family, as something beside the index reads it: whole, in part, or in sum."""
    e, t = d.name("e"), index.letter
    cell = d.gaps.choice((f"mlp[4]({of.name}[{t}])", f"gru_cell({of.name}[{t}], {e}[{t} - 1])"))
    d.say(f"let {e}[{index.range}] : real[2] = {cell}")
    return str(d.gaps.choice((e, f"mean({e}, axis = 0)", f"{e}[{index.end}]", f"{e}[{index.first}]")))


def _in_common(d: Draft, index: Index) -> Unit:
    """A family of which all rows have one, or those of a group: its members apart, or each given the one before."""
    group = d.unit("s", d.choose(("categorical(3)", "integer(1..3)")), (), "observed") if d.often(0.7) else None
    m = Unit(d.name("m"), d.choose(("real", "positive")), d.choose(((), (2,))), per=group.name if group else "data")
    d.say(f"latent {m.name}[{index.range}] : {m.type} per {m.per}")
    above = [group] if group and d.often(0.3) else []
    _factors(d, "p", index, m, above, d.choose(("apart", "apart", "forward")))
    if d.often(0.5):
        family = "Normal" if m.real else "LogNormal"
        given = [group.name] if group else []
        inside = d.choose((f"linear({', '.join([*given, index.letter])})", "param"))
        d.say(f"{d.head('q', index.at(m).name, given)} = {family}({inside})")
    return m


def _posterior(d: Draft, index: Index, z: Unit, x: Unit, seen: Sequence[Unit]) -> None:
    """A posterior of the states: none that is written, all at once, or along the index either way."""
    names = [x.name, *(u.name for u in seen if "[" not in u.name)]
    how = d.choose(("derived", "whole", "apart", "forward", "backward", "recurrent"))
    if how == "derived" or (how == "whole" and index.length):
        return
    if how == "whole":
        d.say(f"{d.head('q', z.name, names)} = Normal(mlp[4]({', '.join(names)}))")
        return
    r, t = d.name("r"), index.letter
    net = f"{d.choose(('gru[3]', 'transformer[4, heads = 2]'))}({x.name})[{t}]" if x.shape else f"mlp[4]({x.name}, {t})"
    d.say(f"let {r}[{index.range}] : real[3] = {net}")
    given = [Unit(f"{r}[{t}]", "real", (3,))]
    before = {"apart": [], "forward": [index.at(z, -1)], "backward": [index.at(z, 1)]}.get(how)
    if before is None:
        h = d.name("h")
        d.say(f"let {h}[{index.range}] : real[3] = gru_cell({z.name}[{t}-1], {r}[{t}], {h}[{t}-1])")
        left = d.head("q", index.at(z).name, [f"{z.name}[<{t}]", x.name])
        d.say(f"{left} = Normal(linear({h}[{t}]))")
        return
    inside = [u.name for u in (*before, *given)]
    law = f"Normal(mlp[4]({', '.join(inside)}))"
    if before:
        end = index.first if how == "forward" else index.end
        d.say(f"q({z.name}[{end}] | {x.name}) = Normal(linear({r}[{end}]))")
    d.say(f"{d.head('q', index.at(z).name, [*(u.name for u in before), x.name])} = {law}")


def paths_along_an_index(d: Draft) -> None:
    """Latents of few values along an index, one or two chains, and data that read them, and perhaps their own past."""
    count = d.choose((2, 3, 4))
    index = Index("t", 1, count)
    d.say(f"const T = {count}")
    x = _members(d, index, "x", d.choose(("real", "natural", "categorical(3)")), d.choose(((), (2,))), "observed")
    d.data.append(Unit(x.name, x.support, (count, *x.shape), x.role))
    causes, above = [u.name for u in d.causes], []
    end, away = d.choose(((1, -1), (1, -1), (count, 1)))
    for _ in range(d.choose((1, 1, 2))):
        s = _members(d, index, "s", d.classes(d.choose(("binary", "categorical(3)", "integer(1..2)"))), (), "latent")
        if d.gaps.random() < 0.3:  # some states are known
            how = d.gaps.choice((" elementwise", " elementwise", ""))  # or as a whole, in some rows
            d.statements[-1] = d.statements[-1].replace("latent", "partial") + f'{how} from "rows.npz".{s.name}'
        family, now = family_of(s), [f"{u.name}[t]" for u in above if d.often(0.6)]
        if d.often(0.8):
            first = d.head("p", f"{s.name}[{end}]", [n.replace("[t]", f"[{end}]") for n in now])
            given = ", ".join(n.replace("[t]", f"[{end}]") for n in now) or "param"
            d.say(f"{first} = {family}({f'mlp[4]({given})' if now else given})")
            before = [f"{s.name}[t{away:+}]", *([f"{x.name}[t-1]"] if away < 0 and d.often(0.3) else []), *now]
            reads = ", ".join([*before, *(["t"] if d.often(0.4) else [])])
            d.say(f"{d.head('p', f'{s.name}[t]', before)} = {family}({d.choose(('linear', 'mlp[4]'))}({reads}))")
        else:
            d.say(f"{d.head('p', f'{s.name}[t]', now)} = {family}(mlp[4]({', '.join([*now, 't'])}))")
        above.append(s)
    reads = [f"{u.name}[t]" for u in above]
    if d.often(0.4):
        one = ", ".join([*(f"{u.name}[1]" for u in above), *causes])
        d.say(f"p({x.name}[1] | {one}) = {family_of(x)}(mlp[4]({one}))")
        reads += [f"{x.name}[t-1]", *([f"{above[0].name}[t-1]"] if away < 0 and d.often(0.4) else [])]
    beside = ", ".join([*reads, *causes])
    d.say(f"p({x.name}[t] | {beside}) = {family_of(x)}(mlp[4]({beside}))")
    if d.often(0.3):
        v = d.unit("v", d.choose(("real", "binary")), (), "observed")
        member = f"{above[-1].name}[{d.choose((1, count))}]"
        d.say(f"p({v.name} | {member}) = {family_of(v)}(mlp[4]({member}))")


def states_along_an_index(d: Draft) -> None:
    """Normal latents along an index whose means are affine in each other, and in normal latents of the row, which are
    integrated out; beside a class, or given what rows have in common."""
    index = Index("t", 1, d.choose((2, 3)))
    d.say(f"const T = {index.last}")
    x = _members(d, index, "x", "real", d.choose(((), (2,))), "observed")
    d.data.append(Unit(x.name, x.support, (index.last, *x.shape), x.role))
    causes = [u.name for u in d.causes if u.role != "partial"]
    if d.often(0.3):
        k = d.unit("k", "categorical(2)")
        factor(d, "p", k, ())
        causes.append(k.name)
    above, still = [], _causes_of_the_row(d)
    end, away = d.choose(((1, -1), (1, -1), (index.last, 1)))
    for _ in range(d.choose((0, 1, 1, 2) if still else (1, 1, 2))):
        z = _members(d, index, "z", "real", d.choose(((), (2,))), "latent")
        now = [u.name for u in above if d.often(0.6)]
        first = [*(f"{n}[{end}]" for n in now), *(n for n in still if d.often(0.5))]
        mean = f"linear({', '.join(first)})" if first else d.choose(("0", "param"))
        d.say(f"{d.head('p', f'{z.name}[{end}]', first)} = Normal({mean}, {d.choose(('1', 'param'))})")
        before = [f"{z.name}[t{away:+}]", *(f"{n}[t]" for n in now), *(n for n in still if d.often(0.5))]
        beside = [*causes, *([f"{x.name}[t-1]"] if away < 0 and d.often(0.3) else [])]
        moved = d.choose((f"linear({', '.join(before)})", f"0.8 * {before[0]}"))
        pushed = f" + mlp[4]({', '.join(beside)})" if beside and d.often(0.6) else ""
        reads = before[: 1 if moved.startswith("0.8") else None] + (beside if pushed else [])
        scale = d.choose(("param", "0.5", "exp(0.1 * t)"))
        d.say(f"{d.head('p', f'{z.name}[t]', reads)} = Normal({moved}{pushed}, {scale})")
        above.append(z)
    inside = [*(f"{u.name}[t]" for u in above), *(n for n in still if not above or d.often(0.7))]
    pushed = f" + mlp[4]({', '.join(causes)})" if causes else ""
    left = d.head("p", f"{x.name}[t]", inside + causes)
    d.say(f"{left} = Normal(linear({', '.join(inside)}){pushed}, {d.choose(('param', '0.5'))})")
    if d.often(0.3):
        v = d.unit("v", "real", (), "observed")
        member = f"{above[-1].name}[{d.choose((1, index.last))}]" if above else still[0]
        d.say(f"p({v.name} | {member}) = Normal(linear({member}), param)")


def _causes_of_the_row(d: Draft) -> list[str]:
    """The names of normal latents of a row, each maybe given the one before; often none."""
    names: list[str] = []
    for _ in range(d.choose((0, 0, 1, 1, 2))):
        f = d.unit("f", "real", d.choose(((), (2,))))
        of = names[-1:] if d.often(0.5) else []
        d.say(f"{d.head('p', f.name, of)} = Normal({f'linear({of[0]})' if of else d.choose(('0', 'param'))}, 0.7)")
        names.append(f.name)
    return names


def of_two_indices(d: Draft) -> None:
    """States along an index at several levels, each level given the one above."""
    t, levels = d.choose(LETTERS), d.choose((2, 3))
    d.say(f"const T = {d.choose((2, 3))}")
    support = d.choose(DATA[:4])
    x = Unit("x", support, d.choose(((), (2,))) if support == "real" else (), "observed")
    d.say(f'observed x[{t} in 1..T] : {x.type} from "rows.npz".x')
    d.say(f"latent z[{t} in 1..T, l in 1..{levels}] : real{d.choose(('', '[2]'))}")
    law, family = d.choose(LOCATED), "Normal" if support == "real" else FAMILIES.get(support, ("Categorical",))[0]
    d.say(f"p(z[1, {levels}]) = {law}(param)")
    d.say(f"p(z[{t}, {levels}] | z[{t}-1, {levels}]) = {law}(linear(z[{t}-1, {levels}]))")
    d.say(f"p(z[{t}, l] | z[{t}, l+1]) = Normal({d.choose(('mlp[3]', 'linear'))}(z[{t}, l+1]))")
    read = d.choose((f"z[{t}, 1]", ", ".join(f"z[{t}, {k}]" for k in range(1, levels + 1))))
    d.say(f"p(x[{t}] | {read}) = {family}(mlp[4]({read}))")
    d.data.append(Unit("x", support, (2, *x.shape), "observed"))
    way = d.choose(("derived", "apart", "down"))
    if way == "apart":
        d.say(f"q(z[{t}, l] | x) = Normal(mlp[4](x, {t}))")
    if way == "down":
        d.say(f"q(z[{t}, {levels}] | x) = Normal(gru[3](x)[{t}])")
        d.say(f"q(z[{t}, l] | z[{t}, l+1], x) = Normal(mlp[4](z[{t}, l+1], gru[2](x)[{t}]))")


def data_of_two_indices(d: Draft) -> None:
    """Data along two indices, columns one after another at each step, maybe of a class that changes along the first."""
    t, support, x = d.choose(LETTERS), d.choose(DATA), d.name("x")
    family, last = family_of(Unit(x, support, (), "observed")), d.choose((2, 3))
    d.say(f"const T = {d.choose((2, 3))}")
    d.say(f'observed {x}[{t} in 1..T, j in 1..{last}] : {support} from "rows.npz".{x}')
    state = d.name("s") if d.choose((True, False, False)) else ""
    if state:
        d.say(f"latent {state}[{t} in 1..T] : categorical(2)")
        d.say(f"p({state}[1]) = Categorical(param)")
        d.say(f"p({state}[{t}] | {state}[{t}-1]) = Categorical(linear({state}[{t}-1]))")
    net = d.choose(("mlp[3]", "linear"))

    def law(step: str, column: str, *read: str) -> None:
        given = ", ".join((*(f"{x}[{r}]" for r in read), *([f"{state}[{step}]"] if state else [])))
        inside = f"{net}({given})" if given else "param"
        d.say(f"p({x}[{step}, {column}]{' | ' if given else ''}{given}) = {family}({inside})")

    if d.choose((True, False)):
        law("1", "1")
        law("1", "j", "1, <j")
        law(t, "1", d.choose((f"{t}-1, 1", f"{t}-1, 1..2", f"{t}-1, {last}")))
        law(t, "j", f"{t}, <j", f"{t}-1, j")
    else:
        law("1", "j")
        law(t, "j", d.choose((f"{t}-1, j", f"{t}-1, 1..2")))


def rows_with_priors(d: Draft) -> None:
    """Classes along an index whose values pick members of families that all rows have in common."""
    t, x, s, f = d.choose(LETTERS), d.name("x"), d.name("s"), d.name("f")
    d.say(f"const T = {d.choose((2, 3))}")
    support, rows, prior, law = d.choose(
        (
            ("categorical(4)", "simplex[4]", "Dirichlet(2)", "Categorical(log({}))"),
            ("real", "real", "Normal(0, 1)", "Normal({}, param)"),
            ("real[2]", "real[2]", "Laplace(0, 1)", "Normal({}, 1)"),
        )
    )
    d.say(f'observed {x}[{t} in 1..T] : {support} from "rows.npz".{x}')
    d.say(f"latent {f}[c in 0..2] : {rows} per data p({f}[c]) = {prior}")
    d.say(f"latent {s}[{t} in 1..T] : categorical(3) p({s}[1]) = Categorical(param)")
    if d.choose((True, False)):
        a = d.name("a")
        d.say(f"latent {a}[c in 0..2] : simplex[3] per data p({a}[c]) = Dirichlet(2)")
        d.say(f"p({s}[{t}] | {s}[{t}-1], {a}) = Categorical(log({a}[{s}[{t}-1]]))")
    else:
        d.say(f"p({s}[{t}] | {s}[{t}-1]) = Categorical(linear({s}[{t}-1]))")
    d.say(f"p({x}[{t}] | {s}[{t}], {f}) = {law.format(f'{f}[{s}[{t}]]')}")


CORES = (
    *(along_an_index, along_an_index, along_an_index, paths_along_an_index, states_along_an_index),
    *(of_two_indices, data_of_two_indices, rows_with_priors),
)
