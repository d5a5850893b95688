"""Losses of a game between a model and an adversary that scores its inputs, high for data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True)
class Game:
    """What each side minimises, given the scores ``(n,)`` of real and of generated inputs; each is a scalar.

    ``model_loss_real`` is for an adversary whose real inputs depend on the model too, as in BiGAN, where they
    hold an inferred latent.
    """

    adversary_loss: Callable[[Tensor, Tensor], Tensor]
    model_loss_fake: Callable[[Tensor], Tensor]
    model_loss_real: Callable[[Tensor], Tensor]


GAMES: dict[str, Game] = {
    # Goodfellow et al. (2014, Sec. 3): the score is a logit; the model raises log D, not lowers log(1 - D).
    "nonsaturating": Game(
        adversary_loss=lambda real, fake: F.softplus(-real).mean() + F.softplus(fake).mean(),
        model_loss_fake=lambda fake: F.softplus(-fake).mean(),
        model_loss_real=lambda real: F.softplus(real).mean(),
    ),
    # Arjovsky et al. (2017, Eq. 2): a difference of means; `gradient_penalty` keeps the score 1-Lipschitz.
    "wasserstein": Game(
        adversary_loss=lambda real, fake: fake.mean() - real.mean(),
        model_loss_fake=lambda fake: -fake.mean(),
        model_loss_real=lambda real: real.mean(),
    ),
    # Lim and Ye (2017): scores beyond the margin no longer count for the adversary.
    "hinge": Game(
        adversary_loss=lambda real, fake: F.relu(1 - real).mean() + F.relu(1 + fake).mean(),
        model_loss_fake=lambda fake: -fake.mean(),
        model_loss_real=lambda real: real.mean(),
    ),
    # Mao et al. (2017, Eq. 9): targets 1 for data and 0 for the model.
    "least_squares": Game(
        adversary_loss=lambda real, fake: 0.5 * ((real - 1).square().mean() + fake.square().mean()),
        model_loss_fake=lambda fake: 0.5 * (fake - 1).square().mean(),
        model_loss_real=lambda real: 0.5 * real.square().mean(),
    ),
}


def gradient_penalty(
    critic: Callable[..., Tensor],
    real_inputs: tuple[Tensor, ...],
    fake_inputs: tuple[Tensor, ...],
    discrete: tuple[int, ...] = (),
) -> Tensor:
    """``E[(|grad critic| - 1)^2]`` between real and generated inputs (Gulrajani et al., 2017, Eq. 3).

    Args:
        critic: maps inputs ``(n, ...)`` to scores ``(n,)``.
        real_inputs, fake_inputs: the critic's inputs in order, batch first; one mixing weight is drawn for
            each example and used for all of them.
        discrete: positions of inputs that take whole values. There is nothing between two of those, nor a gradient:
            each example has the real one with the mixing weight as its probability, and the generated one otherwise.
    """
    n = real_inputs[0].shape[0]
    mix = torch.rand(n, dtype=real_inputs[0].dtype, device=real_inputs[0].device)
    picked = torch.rand_like(mix) < mix if discrete else mix
    between: list[Tensor] = []
    for k, (real, fake) in enumerate(zip(real_inputs, fake_inputs, strict=True)):
        weight = (picked if k in discrete else mix).reshape(n, *(1,) * (real.dim() - 1))
        mixed = torch.where(weight, real, fake) if k in discrete else weight * real + (1 - weight) * fake
        between.append(mixed.detach().requires_grad_(k not in discrete))
    with torch.enable_grad():
        smooth = [value for value in between if value.requires_grad]
        gradients = torch.autograd.grad(critic(*between).sum(), smooth, create_graph=True)
    squares = torch.cat([g.reshape(n, -1) for g in gradients], dim=-1).square().sum(-1)
    # The square root has no gradient at 0.
    return ((squares + 1e-12).sqrt() - 1).square().mean()


__all__ = ["GAMES", "Game", "gradient_penalty"]
