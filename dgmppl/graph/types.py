"""Types as a spec writes them, and the fields of data sets that variables are read from."""

from __future__ import annotations

from collections.abc import Mapping

from dgmppl.catalogue.formats import FORMATS, Format, field_text, format_of
from dgmppl.catalogue.transforms import TRANSFORMS
from dgmppl.data.catalogue import DATASETS, Field
from dgmppl.diagnostics import Note, did_you_mean
from dgmppl.graph.binding import bind
from dgmppl.graph.nodes import DataSource
from dgmppl.graph.scope import MAX_ELEMENTS, Scope
from dgmppl.graph.supports import NAMES, PLAIN, Support, Type, number_text
from dgmppl.syntax import tree
from dgmppl.syntax.notation import FILES


def check_type(scope: Scope, node: tree.Type, env: Mapping[str, int]) -> Type:
    """The type that a declaration writes; E208, E209, E210, E216 for what is none."""
    support = _support(scope, node, env)
    shape = tuple(scope.integer(e, env, "a size", low=1) for e in node.shape)
    type_ = Type(support, shape)
    if type_.features > MAX_ELEMENTS:
        scope.fail("E216", f"{type_.describe()} has {type_.features:,} numbers a row", node.span, "too large")
    if support.name in ("simplex", "sphere") and not shape:
        scope.fail("E204", f"a {support.name} needs a shape", node.span, "a vector", help=f"{support.name}[3]")
    return type_


def _support(scope: Scope, node: tree.Type, env: Mapping[str, int]) -> Support:
    name, arguments = node.support, node.arguments
    if name in ("integer", "interval") and arguments:
        return _bounded(scope, node, env)
    if name == "categorical":
        if len(arguments) != 1 or isinstance(arguments[0], tree.Range):
            scope.fail("E209", "categorical takes the number of categories", node.span, help="categorical(10)")
        return Support(name, size=scope.integer(arguments[0], env, "the number of categories", low=2))
    if name in PLAIN:
        if arguments:
            scope.fail("E209", f"{name} takes no arguments", node.span, help=f"write {name}[16] for a shape")
        return PLAIN[name]
    if name == "interval":
        scope.fail("E209", "interval takes its two ends", node.span, help="interval(-1, 1)")
    scope.fail(
        "E208",
        f"unknown support `{name}`",
        node.span,
        "not a support",
        help=did_you_mean(name, NAMES, f"one of {', '.join(NAMES)}"),
    )


def _bounded(scope: Scope, node: tree.Type, env: Mapping[str, int]) -> Support:
    name, arguments = node.support, node.arguments
    ends: tuple[tree.Expr, ...]
    if name == "integer":
        if len(arguments) != 1 or not isinstance(arguments[0], tree.Range):
            scope.fail("E209", "integer takes a range", node.span, help="integer(0..16)")
        ends = (arguments[0].low, arguments[0].high)
        low, high = (float(scope.integer(e, env, "an end of the range")) for e in ends)
    else:
        if len(arguments) != 2 or any(isinstance(a, tree.Range) for a in arguments):
            scope.fail("E209", "interval takes its two ends", node.span, help="interval(-1, 1)")
        ends = tuple(a for a in arguments if not isinstance(a, tree.Range))
        low, high = (scope.number(e, env, "an end of the interval") for e in ends)
    if low >= high:
        scope.fail("E210", f"{number_text(low)} is not below {number_text(high)}", node.span, "empty range")
    return Support(name, low, high, int(high - low) + 1 if name == "integer" else None)


# --- data ----------------------------------------------------------------------------------------


def check_data(
    scope: Scope, node: tree.Field | tree.Transform, type_: Type, declared: tree.Type, role: str = "observed"
) -> DataSource:
    """Where a variable's values come from; E218 for unknown names, E219 where the types disagree.

    No file is opened: what is in one is checked when it is loaded.
    """
    transforms: list[tuple[str, tuple[float, ...]]] = []
    inner: tree.Field | tree.Transform = node
    while isinstance(inner, tree.Transform):
        if inner.name == "labelled":
            _verify_labelled(scope, inner, inner is node, role)
        transforms.insert(0, _transform(scope, inner))
        inner = inner.data
    if inner.file:
        _verify_file(scope, inner, type_, flat=any(name == "flatten" for name, _ in transforms))
    known = None if inner.file else _field(scope, inner)
    if known is not None:
        found = known_type(known, transforms)
        if not holds(type_, found):
            scope.fail(
                "E219",
                f"the data is {found.describe()}, declared as {type_.describe()}",
                node.span,
                found.describe(),
                notes=(Note(declared.span, "declared here"),),
                help=_mend(type_, found, known),
            )
    return DataSource(inner.dataset, inner.name or "", inner.file, tuple(transforms), node.span, inner.columns)


def _verify_labelled(scope: Scope, node: tree.Transform, outermost: bool, role: str) -> None:
    if role != "partial":
        headline = f"`labelled` leaves values missing in some rows, and the variable is {role}"
        scope.fail("E219", headline, node.span, "some rows only", help="declare it `partial`, or leave `labelled` out")
    if not outermost:
        scope.fail(
            "E219",
            "`labelled` is the last of the transforms",
            node.span,
            "values are missing after it",
            help="labelled(threshold(digits.label, 5), 100)",
        )


def _transform(scope: Scope, node: tree.Transform) -> tuple[str, tuple[float, ...]]:
    if node.name not in TRANSFORMS:
        help_ = did_you_mean(node.name, TRANSFORMS, f"one of {', '.join(TRANSFORMS)}")
        scope.fail("E218", f"unknown transform `{node.name}`", node.span, help=help_)
    signature, _ = TRANSFORMS[node.name]
    given = bind(scope, signature, node.arguments, node.span).given.values()
    numbers = tuple(
        float(scope.integer(b.value, {}, f"`{b.argument.name}`", low=1))
        if b.argument.kind == "count"
        else scope.number(b.value, {}, f"`{b.argument.name}`")
        for b in given
    )
    if node.name == "rescale" and numbers[0] >= numbers[1]:
        low, high = number_text(numbers[1]), number_text(numbers[0])
        scope.fail(
            "E210", "rescale takes its low end first", node.span, "empty range", help=f"rescale(..., {low}, {high})"
        )
    return node.name, numbers


def _field(scope: Scope, node: tree.Field) -> Field:
    if node.name in FILES:
        file = f'"{node.dataset}.{node.name}"'
        scope.fail("E218", "a file stands in quotes", node.span, "looks like a file", help=f"{file}.x")
    if node.dataset not in DATASETS:
        help_ = did_you_mean(node.dataset, DATASETS, f'one of {", ".join(DATASETS)}, or a file: "mine.npz".x')
        scope.fail("E218", f"unknown data set `{node.dataset}`", node.span, "not in the catalogue", help=help_)
    fields = DATASETS[node.dataset].fields
    if node.columns:
        headline = f"{node.dataset} has no columns to choose from"
        scope.fail("E218", headline, node.span, help=f"{node.dataset} has {', '.join(fields)}: one follows a dot")
    if node.name is None:
        help_ = f"{node.dataset} has {', '.join(fields)}"
        scope.fail("E218", f"a field of `{node.dataset}` is missing", node.span, "no field is named", help=help_)
    if node.name not in fields:
        help_ = did_you_mean(node.name, fields, f"{node.dataset} has {', '.join(fields)}")
        scope.fail("E218", f"{node.dataset} has no field `{node.name}`", node.span, help=help_)
    return fields[node.name]


def _verify_file(scope: Scope, node: tree.Field, type_: Type, flat: bool) -> None:
    """What can be known of a file's field by its name: whether there is such a kind of field, and some of its shape."""
    name = format_of(node.dataset)
    if not name:
        help_ = "one of " + ", ".join(format.example for format in FORMATS.values())
        scope.fail("E218", f'the name "{node.dataset}" says no format', node.span, "of which kind?", help=help_)
    format = FORMATS[name]
    here = field_text(node.dataset, "", True)
    after = node.dataset.partition(":")[2]
    if format.names and after not in format.names:
        help_ = did_you_mean(after, format.names, f"one of {', '.join(format.names)}")
        scope.fail("E218", f"`{after}` of torchvision is not read", node.span, help=help_)
    if "" in (node.name, *node.columns):
        scope.fail("E218", f"a field of {here} has no name", node.span, "an empty name")
    if node.columns:
        _verify_columns(scope, node, format, here)
    elif node.name is None and not format.alone:
        options = " or ".join(f"{here}.{field}" for field in format.fields or ("x",))
        scope.fail("E218", f"a field of {here} is missing", node.span, "no field is named", help=options)
    elif node.name is not None and not format.named:
        scope.fail("E218", f"{here} has no fields", node.span, f"it is {format.holds}", help=here)
    elif node.name is not None and format.fields and node.name not in format.fields:
        help_ = did_you_mean(node.name, format.fields, f"it has {' and '.join(format.fields)}")
        scope.fail("E218", f"{here} has no field `{node.name}`", node.span, help=help_)
    _verify_file_shape(scope, node, name, type_, flat)


def _verify_columns(scope: Scope, node: tree.Field, format: Format, here: str) -> None:
    if not format.columns:
        ways = f"{here}.{format.fields[0] if format.fields else 'x'}" if format.named else here
        scope.fail("E218", f"{here} has no columns", node.span, f"it is {format.holds}", help=ways)
    twice = next((c for i, c in enumerate(node.columns) if c in node.columns[:i]), None)
    if twice is not None:
        scope.fail("E218", f"column `{twice}` is named twice", node.span, help="each column stands there once")


def _verify_file_shape(scope: Scope, node: tree.Field, format: str, type_: Type, flat: bool) -> None:
    found: tuple[int, ...] | None = None
    if node.columns:
        found = (len(node.columns),)
    elif (format == "csv" and node.name is not None) or node.name == "label" in FORMATS[format].fields:
        found = ()
    if found is not None and found != type_.shape:
        what = f"a row of {len(found) and found[0]} columns" if found else "one number a row"
        here = field_text(node.dataset, node.name or "", True, node.columns)
        shown = f"{type_.support.describe()}[{found[0]}]" if found else type_.support.describe()
        scope.fail(
            "E219",
            f"{here} is {what}, declared as {type_.describe()}",
            node.span,
            shown,
            help=f"declare it {shown}",
        )
    if format in ("folder", "torchvision") and node.name == "image" and not flat and len(type_.shape) not in (2, 3):
        headline = f"an image has the shape [height, width], or [height, width, 3], declared as {type_.describe()}"
        here = field_text(node.dataset, node.name, True)
        scope.fail("E219", headline, node.span, "an image", help=f"flatten({here}) makes it a vector")


def known_type(field: Field, transforms: list[tuple[str, tuple[float, ...]]]) -> Type:
    """The type of a catalogue field after its transforms."""
    type_ = field.type
    for name, numbers in transforms:
        type_ = TRANSFORMS[name][1](type_, numbers)
    return type_


def holds(declared: Type, found: Type) -> bool:
    """Whether every value of `found` is a value of `declared`."""
    if declared.shape != found.shape:
        return False
    d, f = declared.support, found.support
    if d == f or d.name == "real":
        return d == f or f.name != "categorical"
    if d.name == "integer":
        if f.name not in ("integer", "binary"):
            return False
        return d.low is None or (f.low is not None and d.low <= f.low and f.high <= d.high)  # type: ignore[operator]
    if d.name in ("interval", "unit"):
        return f.low is not None and f.high is not None and d.low <= f.low and f.high <= d.high  # type: ignore[operator]
    if d.name == "categorical" and d.size is not None and f.size is not None:
        return f.size <= d.size and f.low in (None, 0.0)
    return d.name == "positive" and f.low is not None and f.low > 0


def _mend(declared: Type, found: Type, field: Field) -> str:
    if declared.shape != found.shape:
        return f"the data has shape {list(found.shape)}"
    if declared.support.name == "binary" and field.low is not None and field.high is not None:
        middle = number_text((field.low + field.high) / 2)
        return f"make it binary: threshold(..., {middle}), or declare it {found.describe()}"
    if declared.support.name == "interval" and declared.support.low is not None:
        low, high = number_text(declared.support.low), number_text(declared.support.high or 0.0)
        return f"scale it: rescale(..., {low}, {high}), or declare it {found.describe()}"
    return f"declare it {found.describe()}"
