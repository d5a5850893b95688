"""Networks compiled by torch, `dgmppl train --compile`."""

from __future__ import annotations

import shutil

from dgmppl.diagnostics import Diagnostic, SpecError
from dgmppl.runtime import MLP, CausalConv, CausalMLP, GenerativeModel
from dgmppl.train.players import trainable_groups


def compile_networks(model: GenerativeModel) -> None:
    """Has torch compile the networks when they are first used.

    Those of an adversary are left as they are: a penalty on their gradients is differentiated twice, which torch
    cannot do with compiled networks.

    Raises:
        SpecError: where there is no compiler, on the CPU.
    """
    if model.device.type == "cpu" and not any(shutil.which(name) for name in ("c++", "g++", "clang++", "gcc")):
        headline = "--compile needs a C++ compiler, and there is none on the path"
        raise SpecError([Diagnostic("E628", headline, help="install g++, or leave --compile out")])
    adversaries = [player for player in model.players() if player.adversary]
    spared = {id(p) for player in adversaries for group in trainable_groups(player) for p in group["params"]}
    for module in model.modules():
        if isinstance(module, (MLP, CausalConv, CausalMLP)) and not any(id(p) in spared for p in module.parameters()):
            module.compile()
