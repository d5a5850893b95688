"""Declarations: constants, variables and their families, parameters, names of networks and flows."""

from __future__ import annotations

from dataclasses import replace

from dgmppl.catalogue.formats import format_of
from dgmppl.catalogue.signature import Argument, Signature
from dgmppl.diagnostics import Note
from dgmppl.graph.binding import bind
from dgmppl.graph.configuration import check_network
from dgmppl.graph.context import Context
from dgmppl.graph.folding import length_of
from dgmppl.graph.names import member_ident, member_name
from dgmppl.graph.nodes import Along, DataSource, Fixed, Parameter, Variable
from dgmppl.graph.random_weights import declare_weights
from dgmppl.graph.readings import verify_same_rows
from dgmppl.graph.scope import MAX_LENGTH, MAX_MEMBERS, IndexedFeature, NamedFlow, NamedNet, Scope, VariableFamily
from dgmppl.graph.ties import verify_ties
from dgmppl.graph.types import check_data, check_type
from dgmppl.supports import REAL, SUPPORTS, Type
from dgmppl.syntax import tree
from dgmppl.words import counted

START = Signature("normal", (Argument("scale", required=True),), usage="= normal(0.01)")
DEFAULT_SCALE = 0.01  # standard deviation of a parameter's initial values where none is written
ALL_ROWS = "data"  # `per data`: one for all rows


def declare_constants(scope: Scope, spec: tree.Spec) -> None:
    """The numbers that have a name."""
    for statement in spec.statements:
        name = getattr(statement, "name", "")
        if isinstance(statement, tree.Const):
            with scope.statement(name):
                value = scope.number(statement.value, {}, "a constant")
                scope.declare(name, value, statement.name_span)


def declare(scope: Scope, spec: tree.Spec) -> list[Variable]:
    """Everything that a spec declares by name but for constants, schedules and features. Returns the variables in
    order."""
    variables: list[Variable] = []
    for statement in _lengths_first(spec):
        with scope.statement(getattr(statement, "name", "")):
            if isinstance(statement, tree.Variable):
                _variable(scope, statement, variables)
            elif isinstance(statement, tree.Let):
                _feature(scope, statement)
            elif isinstance(statement, tree.Param):
                _parameter(scope, statement)
            elif isinstance(statement, tree.Tensor):
                _tensor(scope, statement)
            elif isinstance(statement, tree.Net):
                specs, alias = check_network(scope, statement.value, Context(statement.name))
                if alias is not None:
                    scope.fail(
                        "E217",
                        "a network has one name",
                        statement.value.span,
                        "names a network already",
                        help="use that name, or configure a second network: net g = mlp[256, 256]",
                    )
                scope.declare(statement.name, NamedNet(specs, statement.name_span), statement.name_span)
            elif isinstance(statement, tree.Flow):
                scope.declare(statement.name, NamedFlow(statement), statement.name_span)
    verify_same_rows(scope, ((v.name, v.data) for v in variables if v.data is not None))
    verify_ties(scope)
    for name, ties in scope.ties.items():
        family = scope.names.get(name)
        for number, tie in ties.items():
            found = scope.names.get(tie.variable)
            if isinstance(family, VariableFamily) and isinstance(found, Variable):
                family.members[number] = found
    declare_weights(scope, spec)
    return sorted(variables, key=lambda v: v.span.start)


def _lengths_first(spec: tree.Spec) -> list[tree.Statement]:
    """The statements of a spec with those first that declare the ends of ranges."""
    families = (getattr(s, "family", None) for s in spec.statements)
    ends = {length_of(f) for f in families if isinstance(f, tree.Axis)}
    return sorted(spec.statements, key=lambda s: not (isinstance(s, tree.Variable) and s.name in ends))


def _variable(scope: Scope, statement: tree.Variable, variables: list[Variable]) -> None:
    if statement.role == "latent" and statement.data is not None:
        scope.report(
            "E221",
            f"`{statement.name}` is latent and has data",
            statement.data.span,
            "a latent is never seen",
            help=f"observed {statement.name} : ...",
        )
    _verify_elementwise(scope, statement)
    if statement.role != "latent" and statement.data is None:
        field = "digits.image" if statement.role == "observed" else "labelled(digits.label, 100)"
        scope.report(
            "E218",
            f"`{statement.name}` is {statement.role} and has no data",
            statement.name_span,
            "where from?",
            help=f"{statement.role} {statement.name} : ... from {field}",
        )
    rows, group = _per(scope, statement)
    if statement.family is None or isinstance(statement.family, tree.Axis):
        type_ = check_type(scope, statement.type, {})
        data, along = None, None
        if statement.family is not None:
            members = _members(scope, statement, statement.family)
            length = length_variable(scope, statement.family)
            along = Along(statement.family.index, members.start, "" if length is None else length.name)
            _verify_uneven(scope, statement, length)
            type_ = Type(type_.support, (len(members), *type_.shape))
        elementwise = statement.elementwise is not None
        if statement.data is not None and statement.role != "latent":
            with scope.statement():  # the declared type stands, whatever is wrong with the data
                data = _data(scope, statement, type_, elementwise)
        variable = Variable(
            statement.name,
            scope.ident(statement.name),
            statement.role,
            type_,
            statement.name_span,
            data,
            along=along,
            rows=rows,
            group=group,
            elementwise=elementwise,
        )
        scope.declare(statement.name, variable, statement.name_span)
        variables.append(variable)
        return
    if statement.role != "latent":
        scope.fail(
            "E215",
            f"{'an observed' if statement.role == 'observed' else 'a partial'} variable is no family",
            statement.family.span,
            "its shape says how many elements it has",
        )
    family = VariableFamily(statement.name, statement.family.index)
    for index in _members(scope, statement, statement.family):
        type_ = check_type(scope, statement.type, {family.index: index})
        variable = member(scope, family, index, statement.role, statement, type_, rows, group)
        variables.append(variable)
    scope.declare(statement.name, family, statement.name_span)


def _data(scope: Scope, statement: tree.Variable, type_: Type, elementwise: bool) -> DataSource:
    """Where a variable's values come from; of a family of several indices a part of the data."""
    assert statement.data is not None
    places = statement.family.places if statement.family is not None else ()
    whole = DataSource("", "", places=places).whole(type_)
    found = check_data(scope, statement.data, whole, statement.type, statement.role, elementwise)
    return replace(found, places=places)


def _per(scope: Scope, statement: tree.Variable) -> tuple[bool, str | None]:
    """Whether each row has a value of its own, and the column of whose values each has one. Whether there is such a
    column is asked once all is declared."""
    per = statement.per
    if per is None:
        return True, None
    if statement.role != "latent":
        scope.fail(
            "E221",
            f"`{statement.name}` is {statement.role}, and so one a row",
            per.span,
            "of latents only",
            help=f"leave `per {per.name}` out: what the data holds is what its rows hold",
        )
    return per.name != ALL_ROWS, None if per.name == ALL_ROWS else per.name


def _verify_elementwise(scope: Scope, statement: tree.Variable) -> None:
    """Only of what is partial elements are missing, and only where each has a value of its own (E227)."""
    if statement.elementwise is None:
        return
    if statement.role != "partial":
        scope.report(
            "E227",
            f"`elementwise` says how elements are missing, and none of {statement.role} `{statement.name}` is",
            statement.type.span,
            f"{statement.role}",
            help=f"partial {statement.name} : ... elementwise, or leave `elementwise` out",
        )
    kind = SUPPORTS.get(statement.type.support)
    if kind is not None and kind.event_rank:
        scope.report(
            "E227",
            f"a {kind.word} has no elements that could be missing one by one",
            statement.type.span,
            "one value together",
            help="leave `elementwise` out: a row has it, or misses it",
        )


def _members(scope: Scope, statement: tree.Variable, family: tree.Family) -> range:
    """The numbers of a family's members but for those that are other variables."""
    declared = family_range(scope, family)
    scope.declared[statement.name] = declared
    ties = scope.ties.get(statement.name, {})
    return range(declared.start + (declared.start in ties), declared.stop - (declared.stop - 1 in ties))


def family_range(scope: Scope, family: tree.Family) -> range:
    """The indices of `[t in 1..T]`."""
    if family.index in scope.names:
        scope.fail(
            "E202",
            f"the index `{family.index}` is already declared",
            family.span,
            "choose another letter",
            notes=(Note(scope.places[family.index], "declared here"),),
        )
    low = scope.integer(family.range.low, {}, "an end of the range")
    _verify_end(scope, family)
    length = length_variable(scope, family)
    if length is None:
        high = scope.integer(family.range.high, {}, "an end of the range")
    else:
        high = _longest(scope, family, length, low)
    if low > high:
        scope.fail("E215", f"the range {low}..{high} is empty", family.range.span, "no member")
    most = MAX_LENGTH if isinstance(family, tree.Axis) else MAX_MEMBERS
    if high - low >= most:
        scope.fail(
            "E216", f"a family of {counted(high - low + 1, 'member', ',')}", family.range.span, f"at most {most:,}"
        )
    return range(low, high + 1)


def _verify_end(scope: Scope, family: tree.Family) -> None:
    """Reports an end that nothing declares, and that no file has said (E201), once."""
    name, end = length_of(family), family.range.high
    if not isinstance(family, tree.Axis) or not name or name in scope.names or name in scope.poisoned:
        return
    scope.poisoned.add(name)
    scope.fail(
        "E201",
        f"`{name}` is not declared, and no data along `{family.index}` say it",
        end.span,
        "how far?",
        help=f"const {name} = 20, or observed {name} : integer(1..20) for one a row; left out it follows from the data "
        f"of a variable along `{family.index}`: from the catalogue, or a .npz or .npy file that is there",
    )


def length_variable(scope: Scope, family: tree.Family) -> Variable | None:
    """The variable that says how far an index goes, `n` of `[t in 1..n]`; None where a number does."""
    binding = scope.names.get(length_of(family))
    return binding if isinstance(binding, Variable) and isinstance(family, tree.Axis) else None


def _longest(scope: Scope, family: tree.Family, length: Variable, low: int) -> int:
    """The last number of an index that goes as far as `length` says. Reports what is no length (E228)."""
    support = length.type.support
    notes = (Note(scope.places[length.name], "declared here"),)
    if length.role != "observed" or length.type.shape or not length.rows:
        what = f"a {length.role} variable" if length.role != "observed" else "not one number"
        scope.fail(
            "E228",
            f"the end of a range is an observed whole number a row, and `{length.name}` is {what}",
            family.range.high.span,
            length.type.describe(),
            notes=notes,
            help=f"observed {length.name} : integer({low}..20) from ...",
        )
    if not support.integral or support.high is None or support.low is None or support.low < low:
        scope.fail(
            "E228",
            f"`{length.name}` is {length.type.describe()}: a length is a whole number from {low} to a largest",
            family.range.high.span,
            "no length",
            notes=notes,
            help=f"each row has one member at least: observed {length.name} : integer({low}..20) from ...",
        )
    return int(support.high)


def _verify_uneven(scope: Scope, statement: tree.Variable, length: Variable | None) -> None:
    """What has as many members as a row says is one a row (E228)."""
    family = statement.family
    if length is None or family is None or statement.per is None:
        return
    scope.fail(
        "E228",
        f"`{statement.name}` has as many members as each row says, and is one for several rows",
        family.span,
        f"`{length.name}` is one a row",
        help=f"leave `per ...` out, or give all rows one length, [{family.index} in 1..20]",
    )


def member(
    scope: Scope,
    family: VariableFamily,
    index: int,
    role: str,
    statement: tree.Variable | tree.Let,
    type_: Type,
    rows: bool = True,
    group: str | None = None,
) -> Variable:
    """Adds a family's member."""
    name = member_name(family.name, index)
    ident = scope.ident(member_ident(family.name, index))
    variable = Variable(
        name,
        ident,
        role,
        type_,
        statement.name_span,
        None,
        family.name,
        index,
        family.index,
        rows,
        group=group,
    )
    family.members[index] = variable
    return variable


def _feature(scope: Scope, statement: tree.Let) -> None:
    """A let-bound family's members are known from its range; a single feature is declared with its value."""
    if isinstance(statement.family, (tree.Indices, tree.Axis)):
        _indexed(scope, statement, statement.family)
    elif statement.family is not None:
        if statement.type is None:
            scope.fail(
                "E211",
                "a family of features needs a type",
                statement.name_span,
                help=f"let {statement.name}[...] : real[64] = ...",
            )
        family = VariableFamily(statement.name, statement.family.index)
        for index in family_range(scope, statement.family):
            type_ = check_type(scope, statement.type, {family.index: index})
            member(scope, family, index, "let", statement, type_)
        scope.declare(statement.name, family, statement.name_span)
    elif statement.type is not None:
        type_ = check_type(scope, statement.type, {})
        variable = Variable(statement.name, scope.ident(statement.name), "let", type_, statement.name_span)
        scope.declare(statement.name, variable, statement.name_span)


def _indexed(scope: Scope, statement: tree.Let, family: tree.Indices | tree.Axis) -> None:
    """A feature with a value at each position, which is worked out where it is read."""
    indices = family.names if isinstance(family, tree.Indices) else (family.index,)
    members = family_range(scope, family) if isinstance(family, tree.Axis) else None
    if statement.type is None:
        scope.fail(
            "E211",
            "a feature of each position needs a type, that of one of them",
            statement.name_span,
            help=f"let {statement.name}[{', '.join(indices)}] : real[64] = ...",
        )
    taken = next((i for i in indices if i in scope.names), None)
    if taken is not None or len(set(indices)) < len(indices):
        scope.fail("E202", f"the index `{taken or indices[0]}` is already taken", family.span, "choose another")
    ident, type_ = scope.ident(statement.name), check_type(scope, statement.type, {})
    feature = IndexedFeature(statement, indices, ident, type_, members)
    scope.declare(statement.name, feature, statement.name_span)


def _parameter(scope: Scope, statement: tree.Param) -> None:
    type_ = check_type(scope, statement.type, {})
    if type_.support != REAL:
        scope.fail(
            "E208",
            "a parameter is real",
            statement.type.span,
            type_.support.describe(),
            help="use a function of it: exp(a), sigmoid(a)",
        )
    scale = DEFAULT_SCALE
    value = statement.value
    if value is not None:
        if not (isinstance(value, tree.Call) and isinstance(value.target, tree.Name) and value.target.name == "normal"):
            scope.fail("E209", "a parameter starts at normal(scale)", value.span, help=START.usage)
        given = bind(scope, START, value.arguments, value.span)
        scale = scope.number(given["scale"].value, {}, "a scale")
        if scale < 0:
            scope.fail("E210", "the scale of initial values is not negative", value.span, help=START.usage)
    attribute = scope.attribute(statement.name, own=True)
    variable = Parameter(statement.name, attribute, type_, scale, statement.name_span)
    scope.declare(statement.name, variable, statement.name_span)


def _tensor(scope: Scope, statement: tree.Tensor) -> None:
    """A tensor of fixed values. Reports what is no .npy file (E218); its values are checked when it is read."""
    type_ = check_type(scope, statement.type, {})
    data = statement.data
    alone = isinstance(data, tree.Field) and data.file and data.name is None and not (data.columns or data.readings)
    if not (alone and isinstance(data, tree.Field) and format_of(data.dataset) == "npy"):
        headline = "a fixed tensor is the one array of a .npy file"
        help_ = f'numpy.save writes one: const {statement.name} : ... from "{statement.name}.npy"'
        scope.fail("E218", headline, data.span, "no .npy file", help=help_)
    source = DataSource(data.dataset, "", True, (), data.span)
    attribute = scope.attribute(statement.name, own=True)
    fixed = Fixed(statement.name, attribute, type_, 0.0, statement.name_span, source)
    scope.declare(statement.name, fixed, statement.name_span)
