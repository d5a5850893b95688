"""Small models as the compiler would write them, to test the training loop by itself."""

import torch
from torch import nn
from torch.distributions import Normal, kl_divergence

from dgmppl.runtime import GenerativeModel, Player


class Gaussian(GenerativeModel):
    """p(x) = Normal(loc, scale) with both learned: its best fit is known."""

    data = ("x",)
    criterion = "log_prob"

    def __init__(self):
        super().__init__()
        self.loc = nn.Parameter(torch.zeros(()))
        self.log_scale = nn.Parameter(torch.zeros(()))

    def terms(self, x):
        return {"log p(x)": Normal(self.loc, self.log_scale.exp()).log_prob(x)}

    def sample(self, n):
        return Normal(self.loc, self.log_scale.exp()).sample((n,))


class TinyVae(GenerativeModel):
    """p(z) p(x | z) with q(z | x), all normal."""

    data = ("x",)
    criterion = "elbo"

    def __init__(self):
        super().__init__()
        self.decoder = nn.Linear(2, 4)
        self.encoder = nn.Linear(4, 4)

    def terms(self, x):
        loc, scale = self.encoder(x).chunk(2, -1)
        q_z = Normal(loc, nn.functional.softplus(scale))
        z = q_z.rsample()
        prior = Normal(torch.zeros_like(loc), torch.ones_like(loc))
        return {
            "log p(x | z)": Normal(self.decoder(z), 0.5).log_prob(x).sum(-1),
            "-KL(z)": -kl_divergence(q_z, prior).sum(-1),
        }

    def sample(self, n):
        return Normal(self.decoder(torch.randn(n, 2)), 0.5).sample()


class TinyGan(GenerativeModel):
    """x = loc + noise against a linear adversary, each side with its own loss."""

    data = ("x",)

    def __init__(self):
        super().__init__()
        self.loc = nn.Parameter(torch.zeros(()))
        self.d = nn.Linear(1, 1)

    def _scores(self, x):
        return self.d(x[:, None]).squeeze(-1), self.d(self.sample(len(x))[:, None]).squeeze(-1)

    def adversary_loss(self, x):
        real, fake = self._scores(x)
        return fake.mean() - real.mean()

    def model_loss(self, x):
        return -self._scores(x)[1].mean()

    def players(self):
        return (
            Player("adversary", self.adversary_loss, list(self.d.parameters()), adversary=True),
            Player("model", self.model_loss, [self.loc]),
        )

    def sample(self, n):
        return self.loc + torch.randn(n)
