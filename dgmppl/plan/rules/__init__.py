"""The rules of elimination, the cheapest first: what becomes known by one is never left to a later one.

To add a rule: its module here, with its kinds of steps and terms, and its entry in `RULES`; then one function of the
emitter for each kind of step and term.
"""

from dgmppl.plan.rules.compose import Composing
from dgmppl.plan.rules.compute import Computing
from dgmppl.plan.rules.density import Evaluating
from dgmppl.plan.rules.draw import Drawing, DrawingShared
from dgmppl.plan.rules.energy import Energies
from dgmppl.plan.rules.enumerate import Enumerating
from dgmppl.plan.rules.filter import IntegratingAlong
from dgmppl.plan.rules.forward import SummingAlong
from dgmppl.plan.rules.game import Games
from dgmppl.plan.rules.impute import Imputing
from dgmppl.plan.rules.in_turn import DrawingInTurn
from dgmppl.plan.rules.integrate import Integrating
from dgmppl.plan.rules.invert import Inverting
from dgmppl.plan.rules.marginalise import Marginalising
from dgmppl.plan.rules.observe import Observe
from dgmppl.plan.rules.rule import Rule
from dgmppl.plan.rules.sum_in_common import SummingInCommon
from dgmppl.plan.rules.sum_product import SummingProducts
from dgmppl.plan.rules.sum_under_q import SummingUnderQ

RULES: tuple[Rule, ...] = (
    Observe(),
    Computing(),
    DrawingShared(),
    Inverting(),
    Games(),
    Composing(),
    Drawing(),
    DrawingInTurn(),
    Imputing(),
    SummingInCommon(),
    Enumerating(),
    SummingUnderQ(),
    SummingAlong(),
    SummingProducts(),
    Marginalising(),
    Integrating(),
    IntegratingAlong(),
    Energies(),
    Evaluating(),
)
