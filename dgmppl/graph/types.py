"""Types as a spec writes them, and the fields of data sets that variables are read from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from dgmppl.catalogue.formats import FORMATS, Format, field_text, format_of
from dgmppl.catalogue.readings import TABLES
from dgmppl.catalogue.transforms import TRANSFORMS
from dgmppl.data.catalogue import DATASETS, DataField
from dgmppl.diagnostics import Note, did_you_mean
from dgmppl.graph.binding import bind
from dgmppl.graph.nodes import DataSource
from dgmppl.graph.readings import check_readings
from dgmppl.graph.scope import MAX_ELEMENTS, Scope
from dgmppl.supports import SUPPORTS, Support, Type, number_text
from dgmppl.syntax import tree
from dgmppl.syntax.notation import FILES
from dgmppl.words import counted


def check_type(scope: Scope, node: tree.Type, env: Mapping[str, int]) -> Type:
    """The type that a declaration writes; E208, E209, E210, E216 for what is none."""
    support = _support(scope, node, env)
    shape = tuple(scope.integer(e, env, "a size", low=1) for e in node.shape)
    type_ = Type(support, shape)
    if type_.features > MAX_ELEMENTS:
        scope.fail(
            "E216", f"{type_.describe()} has {counted(type_.features, 'number', ',')} a row", node.span, "too large"
        )
    if len(shape) < support.event_rank:
        scope.fail("E204", f"a {support.word} needs a shape", node.span, "a vector", help=f"{support.word}[3]")
    if support.event_rank and shape[-1] < support.shortest:
        headline = f"vectors of a {support.word} have {support.shortest} numbers or more"
        scope.fail("E204", headline, node.span, f"this is of {shape[-1]}", help=f"{support.word}[{support.shortest}]")
    return type_


def _support(scope: Scope, node: tree.Type, env: Mapping[str, int]) -> Support:
    kind = SUPPORTS.get(node.support)
    if kind is None:
        help_ = did_you_mean(node.support, SUPPORTS, f"one of {', '.join(SUPPORTS)}")
        scope.fail("E208", f"unknown support `{node.support}`", node.span, "not a support", help=help_)
    if not node.arguments and kind.bare:
        return kind.of()
    if not kind.arguments:
        help_ = f"write {node.support}[16] for a shape"
        scope.fail("E209", f"{node.support} takes no arguments", node.span, help=help_)
    takes, example, read = _ARGUMENTS[kind.arguments]
    numbers = read(scope, node.arguments, env)
    if numbers is None:
        scope.fail("E209", f"{node.support} takes {takes}", node.span, help=f"{node.support}({example})")
    try:
        return kind.of(*numbers)
    except ValueError as error:
        scope.fail("E210", str(error), node.span, "empty range")


Arguments = tuple["tree.Expr | tree.Range", ...]


def _range(scope: Scope, given: Arguments, env: Mapping[str, int]) -> tuple[float, ...] | None:
    if len(given) != 1 or not isinstance(given[0], tree.Range):
        return None
    return tuple(float(scope.integer(e, env, "an end of the range")) for e in (given[0].low, given[0].high))


def _ends(scope: Scope, given: Arguments, env: Mapping[str, int]) -> tuple[float, ...] | None:
    ends = [a for a in given if not isinstance(a, tree.Range)]
    if len(given) != 2 or len(ends) != 2:
        return None
    return tuple(scope.number(e, env, "an end of the interval") for e in ends)


def _count(scope: Scope, given: Arguments, env: Mapping[str, int]) -> tuple[float, ...] | None:
    if len(given) != 1 or isinstance(given[0], tree.Range):
        return None
    return (float(scope.integer(given[0], env, "the number of categories", low=2)),)


# `Support.arguments` -> (what they are, an example, their numbers; None where something else stands there)
_Reader = Callable[[Scope, Arguments, Mapping[str, int]], "tuple[float, ...] | None"]
_ARGUMENTS: dict[str, tuple[str, str, _Reader]] = {
    "range": ("a range", "0..16", _range),
    "ends": ("its two ends", "-1, 1", _ends),
    "count": ("the number of categories", "10", _count),
}


# --- data ----------------------------------------------------------------------------------------


def check_data(
    scope: Scope,
    node: tree.Field | tree.Transformed,
    type_: Type,
    declared: tree.Type,
    role: str = "observed",
    elementwise: bool = False,
) -> DataSource:
    """Where a variable's values come from; E218 for unknown names, E219 where the types disagree.

    No file is opened: what is in one is checked when it is loaded.
    """
    transforms: list[tuple[str, tuple[float, ...]]] = []
    inner: tree.Field | tree.Transformed = node
    while isinstance(inner, tree.Transformed):
        if inner.name == "labelled":
            _verify_labelled(scope, inner, inner is node, role)
        if inner.name == "missing" and not elementwise:
            headline = f"`missing` leaves out single elements, and the variable is {role}"
            help_ = "partial x : ... elementwise from missing(..., 0.2)" if type_.shape else "labelled(..., 100)"
            scope.fail("E219", headline, inner.span, "some elements only", help=help_)
        transforms.insert(0, _transform(scope, inner))
        inner = inner.data
    if inner.file:
        _verify_file(scope, inner, type_, [name for name, _ in transforms])
    known = None if inner.file else _field(scope, inner)
    if known is not None:
        found = known_type(known, transforms)
        if len(found.shape) > 1 and type_.shape == (found.elements,):  # its flat form, where a vector is declared
            transforms.insert(0, ("flatten", ()))
            found = Type(found.support, type_.shape)
        if type_.shape != found.shape or not type_.support.holds(found.support):
            scope.fail(
                "E219",
                f"the data is {found.describe()}, declared as {type_.describe()}",
                node.span,
                found.describe(),
                notes=(Note(declared.span, "declared here"),),
                help=_mend(type_, found),
            )
    reading = check_readings(scope, inner)
    _verify_dates(scope, node, inner)
    return DataSource(inner.dataset, inner.name or "", inner.file, tuple(transforms), node.span, inner.columns, reading)


def _verify_dates(scope: Scope, node: tree.Field | tree.Transformed, field: tree.Field) -> None:
    """`dates` reads texts, so nothing stands between it and a table."""
    while isinstance(node, tree.Transformed):
        if node.name == "dates" and node.data is not field:
            scope.fail("E219", "`dates` is the first of the transforms", node.span, "these are numbers already")
        if node.name == "dates" and not (field.file and format_of(field.dataset) in TABLES):
            help_ = 'dates("table.csv".born)'
            scope.fail("E219", "`dates` reads texts of a table", node.span, "no table", help=help_)
        node = node.data


def _verify_labelled(scope: Scope, node: tree.Transformed, outermost: bool, role: str) -> None:
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


def _transform(scope: Scope, node: tree.Transformed) -> tuple[str, tuple[float, ...]]:
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
    if node.name in ("rescale", "clip") and numbers[0] >= numbers[1]:
        low, high = number_text(numbers[1]), number_text(numbers[0])
        way_out = f"{node.name}(..., {low}, {high})" if numbers[0] > numbers[1] else ""
        scope.fail("E210", f"{node.name} takes its low end first", node.span, "empty range", help=way_out)
    if node.name == "scale" and numbers[0] == 0:
        scope.fail("E210", "a scale is not 0", node.span, "all values become 0", help="scale(..., 0.01)")
    if node.name == "missing" and not 0 < numbers[0] < 1:
        found = f"this is {number_text(numbers[0])}"
        help_ = f"missing(..., {number_text(numbers[0] / 100)})" if 1 < numbers[0] < 100 else "missing(..., 0.2)"
        scope.fail("E210", "`share` lies between 0 and 1", node.span, found, help=help_)
    return node.name, numbers


def _field(scope: Scope, node: tree.Field) -> DataField:
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


def _verify_file(scope: Scope, node: tree.Field, type_: Type, transforms: Sequence[str]) -> None:
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
    _verify_file_shape(scope, node, name, type_, transforms)


def _verify_columns(scope: Scope, node: tree.Field, format: Format, here: str) -> None:
    if not format.columns:
        ways = f"{here}.{format.fields[0] if format.fields else 'x'}" if format.named else here
        scope.fail("E218", f"{here} has no columns", node.span, f"it is {format.holds}", help=ways)
    twice = next((c for i, c in enumerate(node.columns) if c in node.columns[:i]), None)
    if twice is not None:
        scope.fail("E218", f"column `{twice}` is named twice", node.span, help="each column stands there once")


def _verify_file_shape(scope: Scope, node: tree.Field, format: str, type_: Type, transforms: Sequence[str]) -> None:
    found: tuple[int, ...] | None = None
    if "total" in transforms:
        found = ()
    elif node.columns:
        found = (len(node.columns),)
    elif (FORMATS[format].cells and node.name is not None) or node.name == "label" in FORMATS[format].fields:
        found = ()
    if found is not None and found != type_.shape:
        what = f"a row of {len(found) and found[0]} columns" if found else "one number a row"
        here = "a total" if "total" in transforms else field_text(node.dataset, node.name or "", True, node.columns)
        shown = f"{type_.support.describe()}[{found[0]}]" if found else type_.support.describe()
        scope.fail(
            "E219",
            f"{here} is {what}, declared as {type_.describe()}",
            node.span,
            shown,
            help=f"declare it {shown}",
        )
    if (
        format in ("folder", "torchvision")
        and node.name == "image"
        and not {"flatten", "total"} & {*transforms}
        and len(type_.shape) not in (2, 3)
    ):
        headline = f"an image has the shape [height, width], or [height, width, 3], declared as {type_.describe()}"
        here = field_text(node.dataset, node.name, True)
        scope.fail("E219", headline, node.span, "an image", help=f"flatten({here}) makes it a vector")


def known_type(field: DataField, transforms: list[tuple[str, tuple[float, ...]]]) -> Type:
    """The type of a catalogue field after its transforms."""
    type_ = field.type
    for name, numbers in transforms:
        type_ = TRANSFORMS[name][1](type_, numbers)
    return type_


def _mend(declared: Type, found: Type) -> str:
    if declared.shape != found.shape:
        flat = f", or as one vector [{found.elements}]" if len(found.shape) > 1 else ""
        return f"the data has shape {list(found.shape)}{flat}"
    transform = declared.support.transform(found.support)
    return (f"transform it: {transform}, or " if transform else "") + f"declare it {found.describe()}"
