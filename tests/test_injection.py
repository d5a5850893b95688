"""A spec made to inject code runs nothing: names, file names, strings, comments and numbers are data."""

from __future__ import annotations

import ast
import builtins
import keyword
import re

import pytest
import torch

from dgmppl import runtime
from dgmppl.diagnostics import SpecError
from dgmppl.graph.held import statements
from dgmppl.graph.names import ATTRIBUTES, LOCALS, safe_class
from dgmppl.graph.nodes import Graph
from dgmppl.graph.scope import Scope
from dgmppl.graph.values import Block, walk
from dgmppl.pipeline import Checked, build, check, emit
from dgmppl.runtime import GenerativeModel
from dgmppl.source import Source
from tests.contracts.support import conditions_of, data_of
from tests.contracts.test_names import NAMES as WORDS
from tests.harmless import verify_harmless
from tests.mutations import corpus

VAE = """\
model MODEL
const C = 3
observed X : real[2] from moons.point
latent Z : real[C]
param W : real[2] = normal(0.1)
net F = mlp[4]
flow G = coupling[mlp[4]] >> reverse
let R : real[4] = F(X)
p(Z) = Normal(0, 1) >> G
p(X | Z) = Normal(linear(Z) + W, 0.5)
q(Z | X) = Normal(mlp[4](R))
"""
GAN = """\
model MODEL
observed X : interval(-1, 1)[2] from rescale(moons.point, -1, 1)
observed Y : categorical(2) from moons.label
latent Z : real[3]
net F = mlp[4, out = tanh]
p(Z) = Normal(0, 1)
X = F(Z, Y)
adversary D(X, Y) = mlp[4]
"""
ENERGY = """\
model MODEL
observed X : binary[4] from "four.npz".x
latent H : binary[3]
param W : real[4, 3] = normal(0.1)
E(X, H) = -X @ W @ H + sum(i: X[i])
"""
FLOW = """\
model MODEL
observed X : integer(0..16)[64] from digits.image
latent U : real[64]
flow G = coupling[mlp[4]] >> reverse
p(U) = Normal(0, 1)
X = floor(G(U))
"""
FAMILY = """\
model MODEL
const C = 2
observed X : real[2] from moons.point
latent Z[D in 1..C] : real[2]
p(Z[C]) = mixture[U in grid(2, 2)](Normal(mlp[4](U)))
p(Z[D] | Z[D+1]) = Normal(mlp[4](Z[D+1], D))
p(X | Z[1]) = Normal(mlp[4](Z[1]))
q(Z[D] | X) = Normal(mlp[4](X, D))
"""
PLACES = ("MODEL", "C", "X", "Y", "Z", "W", "F", "G", "R", "D", "H", "U")
PLAIN = {place: f"v{k}" for k, place in enumerate(PLACES)}

# Names that emitted source uses itself, or that Python, torch or the base class give a meaning.
NAMES = sorted(
    {
        *keyword.kwlist,
        *keyword.softkwlist,
        *(name for name in dir(builtins) if not name.startswith("_")),
        *(name for name in dir(GenerativeModel) if not name.startswith("_")),
        *runtime.__all__,
        *LOCALS,
        *ATTRIBUTES,
        *WORDS,
        *("noisy_x", "log_det_u", "inner_1_z", "game_D", "loss_D", "q_z", "p_z", "p_x_net", "z_", "define_x"),
        *("os", "sys", "subprocess", "eval", "exec", "math", "dgmppl", "T", "K", "n_", "self_", "moons", "digits", "b"),
    }
)


def named(text: str, places: dict[str, str]) -> str:
    """A template with its places named."""
    return "".join(places.get(token, token) for token in _split(text))


def _split(text: str) -> list[str]:
    found, word = [], ""
    for c in text:
        if c.isalnum() or c == "_":
            word += c
        else:
            found += [word, c]
            word = ""
    return [*found, word]


def outcome(found: Checked) -> list[float]:
    """Losses and samples of a model under one seed, as numbers."""
    torch.manual_seed(0)
    model = build(found)
    data = data_of(found, n=2)
    torch.manual_seed(0)
    losses = [player.loss(*data).item() for player in model.players()]
    drawn = model.sample(2, **conditions_of(found, data))
    values = list(drawn.values()) if isinstance(drawn, dict) else [drawn]
    return [*losses, *(v.double().sum().item() for v in values)]


@pytest.mark.parametrize("template", [VAE, GAN, ENERGY, FLOW, FAMILY], ids=["vae", "gan", "energy", "flow", "family"])
def test_no_name_changes_what_a_model_computes(template: str) -> None:
    """Every name at every place of a spec: refused as a word of the language, or a name like any other. What is emitted
    is looked at each time, and run for a part (`tests/contracts/test_names.py` runs other models)."""
    present = [p for p in PLACES if p in _split(template)]
    wanted = outcome(check(Source("s", named(template, PLAIN))))
    allowed = [n for n in NAMES if _may_be_declared(n)]
    assert {"self", "torch", "loss", "None", "lambda", "class", "prior", "terms", "forward"} <= set(allowed)
    stride = 30 if template is ENERGY else 3  # a chain takes its time to mix
    for shift in range(0, len(allowed), stride):
        # Several hostile names at once, each at another place from one spec to the next.
        names = {p: allowed[(shift + 41 * k) % len(allowed)] for k, p in enumerate(present)}
        if len(set(names.values())) < len(names):
            continue
        found = check(Source("s", named(template, names)))
        assert found.ok, (names, [d.headline for d in found.diagnostics])
        verify_harmless(emit(found).text)
        if shift // stride % 4 == 0:
            assert outcome(found) == pytest.approx(wanted, rel=1e-4, abs=1e-4), names


def _may_be_declared(name: str) -> bool:
    text = f"model m\nobserved {name} : real[2] from moons.point\np({name}) = Normal(param)\n"
    found = check(Source("s", text))
    if not found.ok:
        codes = {d.code for d in found.diagnostics}
        assert codes & {"E103", "E104", "E217", "E106", "E101", "E108"}, (name, found.diagnostics)
    return found.ok


# --- names that emitted source uses --------------------------------------------------------------


# Locals named after a variable, `cases_y`; what such a name gives way to is tried in tests/contracts/test_names.py.
def _derived(name: str, own: set[str]) -> bool:
    """Whether a local is named after a variable, `q_x`, `cases_x`, `x_by_s`, or after the place of a member."""
    by_place = re.fullmatch(r"(at|from|along)_\d+|(log_det|inner)_\d+_.*|game_.*", name) is not None
    return by_place or any(name.endswith(f"_{ident}") for ident in own)


def test_what_emitted_source_imports_is_taken_and_what_it_binds_is_tried() -> None:
    """No variable of a spec is called like anything that the source of any spec imports, is told, or takes from
    Python; and each local that it binds is among the names that are tried as variables here."""
    for text in corpus():
        found = check(Source("s", text))
        assert found.graph is not None
        own = {v.ident for v in (*found.graph.variables, *found.graph.features)} | _of_fields(found.graph)
        for target in ("torch", "pyro"):
            try:
                emitted = emit(found, target)
            except SpecError:
                continue
            module = ast.parse(emitted.text)
            imports = [n for n in module.body if isinstance(n, (ast.Import, ast.ImportFrom))]
            imported = {alias.asname or alias.name for n in imports for alias in n.names}
            functions = [f for f in ast.walk(module) if isinstance(f, ast.FunctionDef)]
            nodes = [n for f in functions if f.name != "__init__" for n in ast.walk(f)]  # which names no variable
            inner = [n for n in functions if n not in module.body[-1].body]
            told = _arguments([f for f in functions if f not in inner and f.name != "__init__"])
            names = {n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}
            bound = {n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
            bound |= {f.name for f in inner} | _arguments(inner)
            outside = {n for n in names if hasattr(builtins, n)} - _annotations(nodes)
            for name in imported | (told - own) | (outside - own - bound):
                assert Scope(found.source).ident(name) != name, (name, text)
            assert {n for n in bound - own if not _derived(n, own)} <= {*NAMES, "_"}, text
            for name in imported - {"torch", "nn", "pyro"}:
                assert safe_class(name) != name, (name, text)


def _of_fields(graph: Graph) -> set[str]:
    """What fields of flows call their argument and its time, which no variable may be called."""
    blocks = (t for term, _ in statements(graph) for t in walk(term) if isinstance(t, Block))
    return {name for b in blocks if b.field is not None for name in (b.field.argument, b.field.time)}


def _arguments(functions: list[ast.FunctionDef]) -> set[str]:
    return {a.arg for f in functions for a in (*f.args.args, *f.args.kwonlyargs)}


def _annotations(nodes: list[ast.AST]) -> set[str]:
    """Python's names that annotations alone read: they are looked up outside the function."""
    notes = [n.annotation for n in nodes if isinstance(n, ast.arg) and n.annotation is not None]
    notes += [n.returns for n in nodes if isinstance(n, ast.FunctionDef) and n.returns is not None]
    inside = {id(n) for note in notes for n in ast.walk(note)}
    read = [n for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)]
    return {n.id for n in read if id(n) in inside} - {n.id for n in read if id(n) not in inside}


# --- files, strings, comments, numbers -----------------------------------------------------------

HOSTILE = (
    'x"""\nimport os; os.system("touch OWNED")\n"""',
    "x'''\nraise SystemExit\n'''",
    "x\nraise SystemExit  #",
    "x\\\nraise SystemExit",
    "x\rraise SystemExit",
    "x\u2028raise SystemExit",
    "x\x0craise SystemExit",
    '"; import os #',
    "{__import__('os').system('touch OWNED')}",
    "%s %(x)s {0} {}",
    "..\\..\\etc\\n",
    "\\N{QUOTATION MARK}\\x22\\u0022",
)


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("target", ["torch", "pyro"])
def test_the_name_of_a_file_is_never_code(name: str, target: str) -> None:
    text = named(VAE, PLAIN)
    plain, hostile = (emit(check(Source(n, text)), target).text for n in ("x", f"{name}.dgm"))
    verify_harmless(hostile)
    assert len(plain.split("\n")) == len(hostile.split("\n"))
    assert _code(plain) == _code(hostile)


def _code(source: str) -> str:
    """A module without its docstring, which names the file."""
    return ast.dump(ast.Module(ast.parse(source).body[1:], []))


@pytest.mark.parametrize("name", HOSTILE)
def test_strings_and_comments_reach_no_source(name: str) -> None:
    inside = "".join(c for c in name if c not in '"\n')
    text = named(VAE, PLAIN)
    plain = check(Source("s", text.replace("moons.point", '"x.npz".x')))
    hostile = check(Source("s", text.replace("moons.point", f'"{inside}.npz".x  # {inside}')))
    if hostile.ok:
        assert emit(hostile).text == emit(plain).text
    else:
        assert {d.code for d in hostile.errors} <= {"E103", "E218"}


@pytest.mark.parametrize(
    "number", ["1e400", "1e308", "3e38", "9" * 400, "0x10", "1_000", "1j", "nan", "inf", "1e-400", "1.", ".5"]
)
def test_numbers_are_numbers_or_refused(number: str) -> None:
    found = check(Source("s", named(VAE, PLAIN).replace("0.5)", f"{number})")))
    assert found.ok == (number in ("3e38", "1.", ".5")), [d.headline for d in found.diagnostics]
    if found.ok:
        verify_harmless(emit(found).text)
        build(found)
