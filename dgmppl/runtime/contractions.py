"""Bijections made of a free network: ``x + g(x)`` for a contraction g.

Their log-determinant has no closed form. It is exact by default, from the whole Jacobian. ``estimated=True`` has it
estimated without bias while a model trains, at the cost of a few passes, and exact in evaluation: no figure that is
reported is an estimate.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from dgmppl.runtime.bijections import NOTHING, Bijection, Context, names_of, zero_last_layer
from dgmppl.runtime.functions import concat
from dgmppl.runtime.jacobians import Map, along, jacobian, log_det, polished
from dgmppl.runtime.networks import DenseNet
from dgmppl.runtime.shapes import broadcast_shapes

# Largest slopes of activations, where they are above 1.
_SLOPES: dict[type[nn.Module], float] = {nn.SiLU: 1.1, nn.GELU: 1.13}
_SURE_TERMS = 2


class ResidualFlow(Bijection):
    """``y = x + g(x)`` with a g of Lipschitz constant below 1 (Behrmann et al., 2019; Chen et al., 2019).

    The spectral norms of the network's matrices are brought down until g's constant is at most `lipschitz`; of a
    DenseNet, whose layers hand on what they read and so reach the root of 2 each, the last matrix makes up for it
    (Perugachi-Diaz et al., 2021, Sec. 3.1). The inverse is the fixed point of ``x = y - g(x)``.

    ``log |det| = log det(I + J) = sum_k (-1)^(k + 1) tr(J^k) / k``. Estimated, J^k is measured along one random
    direction, and the series is cut at random behind its second term, each further term with the chance `lipschitz` and
    its weight divided by that of being reached (Chen et al., 2019, Theorem 1). The variance is finite so.

    Args:
        features: number of features D.
        network: an MLP or a DenseNet without normalisation and dropout, ``D + K -> D``.
        lipschitz: bound on the constant of g, above 0 and below 1.
        context: names of vectors, of K numbers together, that the network reads as well.
        estimated: estimate the log-determinant in training.
    """

    def __init__(
        self,
        features: int,
        network: nn.Module,
        lipschitz: float = 0.9,
        context: str | tuple[str, ...] = (),
        estimated: bool = False,
    ) -> None:
        if not 0 < lipschitz < 1:
            raise ValueError("a Lipschitz constant between 0 and 1 makes a bijection")
        super().__init__()
        self.features, self.network, self.estimated = features, network, estimated
        self.reads = dict.fromkeys(names_of(context), 1)
        zero_last_layer(network)
        self.lipschitz = lipschitz
        layers = [name for name, m in network.named_modules() if isinstance(m, nn.Linear)]
        slope = math.prod(_SLOPES.get(type(m), 1.0) for m in network.modules())
        if isinstance(network, DenseNet):
            # One activation serves all layers, each of which it may steepen.
            steep = _SLOPES.get(type(network.activation), 1.0)
            hidden = len(network.layers)
            maps = [f"layers.{k}" for k in range(hidden)]
            self.bounds = dict.fromkeys(maps, 1 / steep) | {"last": lipschitz * 2 ** (-hidden / 2)}
        else:
            self.bounds = dict.fromkeys(layers, (lipschitz / slope) ** (1 / len(layers)))

    @property
    def estimates(self) -> bool:
        """Whether log-determinants are estimates now."""
        return self.estimated and self.training and torch.is_grad_enabled()

    def _beside(self, x: Tensor, context: Context) -> tuple[Tensor, list[Tensor]]:
        """x and the context, with one batch shape."""
        given = self._read(context)
        batch = broadcast_shapes(x.shape[:-1], *(v.shape[:-1] for v in given))
        return x.expand(*batch, x.shape[-1]).contiguous(), [v.expand(*batch, v.shape[-1]) for v in given]

    def _contraction(self, given: list[Tensor]) -> Map:
        """g, with matrices that keep to their bounds."""
        held: dict[str, Tensor] = dict(self.network.named_parameters())
        for name, bound in self.bounds.items():
            key = f"{name}.weight" if name else "weight"
            held[key] = held[key] * (bound / spectral_norm(held[key])).clamp_max(1)

        def g(x: Tensor) -> Tensor:
            found: Tensor = torch.func.functional_call(self.network, held, (concat(x, *given),))
            return found

        return g

    def forward_and_log_det(self, x: Tensor, context: Context = NOTHING) -> tuple[Tensor, Tensor]:
        x, given = self._beside(x, context)
        g = self._contraction(given)
        return x + g(x), self._log_det(g, x)

    def inverse_and_log_det(self, y: Tensor, context: Context = NOTHING) -> tuple[Tensor, Tensor]:
        y, given = self._beside(y, context)
        g = self._contraction(given)
        x = polished(lambda v: v + g(v), y, self._fixed_point(g, y), 1)
        return x, -self._log_det(g, x)

    @torch.no_grad()
    def _fixed_point(self, g: Map, y: Tensor) -> Tensor:
        """``x = y - g(x)`` to the precision of y, which so many steps reach at most."""
        eps = torch.finfo(y.dtype).eps
        x = y
        for k in range(math.ceil(math.log(eps) / math.log(self.lipschitz))):
            before, x = x, y - g(x)
            # A tensor of the meta device has no values: one step has the shape of all.
            if x.is_meta or (k % 8 == 7 and bool(((x - before).abs() <= eps * x.abs().clamp_min(1)).all())):
                break
        return x

    def _log_det(self, g: Map, x: Tensor) -> Tensor:
        if not self.estimates:
            return log_det(torch.eye(self.features, dtype=x.dtype, device=x.device) + jacobian(g, x))
        terms = _SURE_TERMS + int(torch.empty(()).geometric_(1 - self.lipschitz).item()) - 1
        noise = torch.randn_like(x)
        power, total, chance = noise, self._zero(x), 1.0
        for k in range(1, terms + 1):
            power = along(g, x, power)
            chance *= self.lipschitz if k > _SURE_TERMS else 1.0
            total = total + (-1) ** (k + 1) / (k * chance) * (noise * power).sum(-1)
        return total


def spectral_norm(matrix: Tensor) -> Tensor:
    """The largest singular value, ``()``, above 0."""
    with torch.no_grad():
        wide = matrix.shape[0] <= matrix.shape[1]
        square = matrix @ matrix.mT if wide else matrix.mT @ matrix
        first = torch.linalg.eigh(square.double()).eigenvectors[:, -1].to(matrix)
        other = (matrix.mT if wide else matrix) @ first
        other = other / other.norm().clamp_min(torch.finfo(matrix.dtype).tiny)
    left, right = (first, other) if wide else (other, first)
    return (left @ matrix @ right).clamp_min(torch.finfo(matrix.dtype).tiny)


__all__ = ["ResidualFlow"]
