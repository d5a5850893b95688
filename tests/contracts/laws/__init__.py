"""What must hold of every compiled spec, whoever wrote it: compositions, the library, random ones."""

from tests.contracts.laws.bounds import verify_bound, verify_bound_of_all
from tests.contracts.laws.commands import verify_commands
from tests.contracts.laws.factors import verify_factors, verify_precision
from tests.contracts.laws.fits import verify_fits
from tests.contracts.laws.forecasts import verify_forecasts
from tests.contracts.laws.likelihood import verify_inferred, verify_marginals, verify_missing, verify_seen, verify_whole
from tests.contracts.laws.order import verify_order, verify_source
from tests.contracts.laws.samples import verify_samples, verify_saved
from tests.contracts.laws.stages import verify_stages
from tests.contracts.laws.taught import missed, unreached, untaught

__all__ = [
    "missed",
    "unreached",
    "untaught",
    "verify_bound",
    "verify_bound_of_all",
    "verify_commands",
    "verify_factors",
    "verify_fits",
    "verify_forecasts",
    "verify_inferred",
    "verify_marginals",
    "verify_missing",
    "verify_order",
    "verify_precision",
    "verify_samples",
    "verify_saved",
    "verify_seen",
    "verify_source",
    "verify_stages",
    "verify_whole",
]
