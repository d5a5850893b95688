"""What emitted source may consist of, and nothing else: a list of what is allowed, not of what is known to be bad."""

from __future__ import annotations

import ast

# What emitted source imports.
_IMPORTS = frozenset(
    {
        "import torch",
        "from torch import Tensor",
        "from torch import Tensor, nn",
        "import pyro",
        "import pyro.distributions as dist",
        "from dgmppl import runtime as rt",
        "from dgmppl.runtime import pyro_distributions as rt_dist",
    }
)
# Functions of Python itself that it calls.
_BUILTINS = frozenset({"super", "len", "list", "range"})
_STATEMENTS = (
    ast.ClassDef,
    ast.FunctionDef,
    ast.Return,
    ast.Assign,
    ast.AnnAssign,
    ast.Expr,
    ast.Import,
    ast.ImportFrom,
    ast.With,
    ast.For,
    ast.If,
)
_DUNDERS = frozenset({"__init__"})


def verify_harmless(source: str) -> None:
    """Fails for source that does anything but define one class out of the runtime's parts."""
    module = ast.parse(source)
    known: set[str] = set(_BUILTINS)
    for node in ast.walk(module):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            assert ast.unparse(node) in _IMPORTS, ast.unparse(node)
            known.update(alias.asname or alias.name for alias in node.names)
    doc, *rest = module.body
    assert isinstance(doc, ast.Expr) and isinstance(doc.value, ast.Constant)
    *imports, cls = rest
    assert isinstance(cls, ast.ClassDef) and not cls.decorator_list
    assert all(isinstance(node, (ast.Import, ast.ImportFrom)) for node in imports), "code beside the class"
    assert [ast.unparse(base) for base in cls.bases] == ["rt.GenerativeModel"]
    for node in ast.walk(cls):
        assert not isinstance(node, ast.stmt) or isinstance(node, _STATEMENTS), ast.unparse(node)
        assert not isinstance(node, (ast.Await, ast.NamedExpr, ast.Yield)), ast.unparse(node)
        if isinstance(node, ast.Attribute):
            assert not node.attr.startswith("__") or node.attr in _DUNDERS, ast.unparse(node)
    for function in cls.body:
        if isinstance(function, ast.FunctionDef):
            _verify_function(function, known)
        else:
            assert isinstance(function, (ast.Assign, ast.AnnAssign, ast.Expr)), ast.unparse(function)
            assert not any(isinstance(node, ast.Call) for node in ast.walk(function)), ast.unparse(function)


def _verify_function(function: ast.FunctionDef, known: set[str]) -> None:
    """Every name that a function reads is its own, imported, or an allowed one of Python's."""
    own = {
        a.arg for node in ast.walk(function) if isinstance(node, ast.arguments) for a in (*node.args, *node.kwonlyargs)
    }
    own |= {n.id for n in ast.walk(function) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    own |= {n.name for n in ast.walk(function) if isinstance(n, ast.FunctionDef) and n is not function}
    hidden = own & known
    assert not hidden, f"{function.name} hides {hidden}"
    annotations = {
        id(n) for a in ast.walk(function) if isinstance(a, ast.arg) and a.annotation for n in ast.walk(a.annotation)
    }
    if function.returns is not None:
        annotations |= {id(n) for n in ast.walk(function.returns)}
    for node in ast.walk(function):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and id(node) not in annotations:
            assert node.id in own | known, f"{function.name} reads {node.id}"
