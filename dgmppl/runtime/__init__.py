"""What emitted torch source imports: the public names of these modules, each in its own `__all__`."""

from dgmppl.runtime import (
    along,
    bijections,
    cases,
    causal,
    chains,
    composed,
    conditioners,
    contractions,
    counts,
    couplings,
    densities,
    directions,
    distributions,
    elementwise,
    finite_chains,
    functions,
    games,
    gated,
    gaussian,
    gaussian_chains,
    grids,
    incremental,
    inference,
    integrals,
    lengths,
    linear,
    lowrank,
    masked,
    matching,
    missing,
    model,
    networks,
    normals,
    own,
    placements,
    positives,
    ramps,
    random_weights,
    recurrent,
    reversible,
    rounding,
    samplers,
    schedules,
    sequences,
    simplices,
    sum_product,
    transforms,
    unet,
    units,
    ways,
)
from dgmppl.runtime.along import *
from dgmppl.runtime.bijections import *
from dgmppl.runtime.cases import *
from dgmppl.runtime.causal import *
from dgmppl.runtime.chains import *
from dgmppl.runtime.composed import *
from dgmppl.runtime.conditioners import *
from dgmppl.runtime.contractions import *
from dgmppl.runtime.counts import *
from dgmppl.runtime.couplings import *
from dgmppl.runtime.densities import *
from dgmppl.runtime.directions import *
from dgmppl.runtime.distributions import *
from dgmppl.runtime.elementwise import *
from dgmppl.runtime.finite_chains import *
from dgmppl.runtime.functions import *
from dgmppl.runtime.games import *
from dgmppl.runtime.gated import *
from dgmppl.runtime.gaussian import *
from dgmppl.runtime.gaussian_chains import *
from dgmppl.runtime.grids import *
from dgmppl.runtime.incremental import *
from dgmppl.runtime.inference import *
from dgmppl.runtime.integrals import *
from dgmppl.runtime.lengths import *
from dgmppl.runtime.linear import *
from dgmppl.runtime.lowrank import *
from dgmppl.runtime.masked import *
from dgmppl.runtime.matching import *
from dgmppl.runtime.missing import *
from dgmppl.runtime.model import *
from dgmppl.runtime.networks import *
from dgmppl.runtime.normals import *
from dgmppl.runtime.own import *
from dgmppl.runtime.placements import *
from dgmppl.runtime.positives import *
from dgmppl.runtime.ramps import *
from dgmppl.runtime.random_weights import *
from dgmppl.runtime.recurrent import *
from dgmppl.runtime.reversible import *
from dgmppl.runtime.rounding import *
from dgmppl.runtime.rows import RowsError
from dgmppl.runtime.samplers import *
from dgmppl.runtime.schedules import *
from dgmppl.runtime.sequences import *
from dgmppl.runtime.simplices import *
from dgmppl.runtime.sum_product import *
from dgmppl.runtime.transforms import *
from dgmppl.runtime.unet import *
from dgmppl.runtime.units import *
from dgmppl.runtime.ways import *

__all__ = ["RowsError"]
__all__ += bijections.__all__
__all__ += cases.__all__
__all__ += causal.__all__
__all__ += chains.__all__
__all__ += composed.__all__
__all__ += conditioners.__all__
__all__ += contractions.__all__
__all__ += counts.__all__
__all__ += couplings.__all__
__all__ += densities.__all__
__all__ += directions.__all__
__all__ += distributions.__all__
__all__ += elementwise.__all__
__all__ += finite_chains.__all__
__all__ += functions.__all__
__all__ += games.__all__
__all__ += gated.__all__
__all__ += gaussian.__all__
__all__ += gaussian_chains.__all__
__all__ += along.__all__
__all__ += incremental.__all__
__all__ += inference.__all__
__all__ += integrals.__all__
__all__ += lengths.__all__
__all__ += grids.__all__
__all__ += linear.__all__
__all__ += lowrank.__all__
__all__ += missing.__all__
__all__ += model.__all__
__all__ += networks.__all__
__all__ += normals.__all__
__all__ += masked.__all__
__all__ += matching.__all__
__all__ += own.__all__
__all__ += placements.__all__
__all__ += positives.__all__
__all__ += random_weights.__all__
__all__ += ramps.__all__
__all__ += recurrent.__all__
__all__ += reversible.__all__
__all__ += rounding.__all__
__all__ += samplers.__all__
__all__ += schedules.__all__
__all__ += sequences.__all__
__all__ += simplices.__all__
__all__ += sum_product.__all__
__all__ += transforms.__all__
__all__ += unet.__all__
__all__ += units.__all__
__all__ += ways.__all__
