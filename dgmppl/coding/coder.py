"""Rows on a stack: a model's sampling program, drawn backward to put rows on it, and forward to take them off."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torch import distributions as td

from dgmppl.coding.cells import Bins, Cells, Intervals
from dgmppl.coding.common import of_rows
from dgmppl.coding.factors import Factors, Row
from dgmppl.coding.gaps import missing, of_elements
from dgmppl.coding.inverting import Flow
from dgmppl.coding.laws import draw, draw_alike, draw_in_turn
from dgmppl.coding.mapped import Mapped, noise
from dgmppl.coding.program import Part, Program
from dgmppl.coding.side_information import SideInformation
from dgmppl.coding.stack import Chooser, CodingError, Popping, Recording, Scattered, Stack
from dgmppl.runtime import GenerativeModel
from dgmppl.runtime.affine_means import root_of
from dgmppl.runtime.choices import SideBySide, chosen_by
from dgmppl.runtime.functions import dequantised_to


class Coder:
    """Codes rows by a model in double precision, once its side information has been told of them."""

    def __init__(self, program: Program, model: GenerativeModel) -> None:
        self.program, self.graph = program, program.graph
        self.factors = Factors(program, model)
        self.side_information = SideInformation(self.factors)

    def encode(self, rows: Row, stack: Stack) -> None:
        """Puts rows ``(n, ...)`` on a stack, from which it takes the bits of their latents."""
        gaps = {name: missing(self.graph[name], rows[name]) for name in self.program.missing}
        env = self.factors.known(rows)
        self._infer(env, Scattered(Popping(stack)), None)
        recording = Recording()
        self._generate(env, gaps, recording, len(next(iter(rows.values()))))
        recording.push(stack)

    def decode(self, n: int, stack: Stack) -> Row:
        """Takes n rows from a stack, and puts the bits of their latents back."""
        env, gaps = self._generate({}, {}, Popping(stack), n)
        recording = Recording()
        found = {name: self.factors.value(name, env) for name in self.program.gives}
        found |= {m: found[m].masked_fill(of_elements(self.graph[m], gap), torch.nan) for m, gap in gaps.items()}
        # A copy: what is inferred of a row is put beside it.
        for part in self.program.inferred:
            for name in part.names:
                self.factors.value(name, env)
        self._infer({**found, **of_rows(self.graph, self.factors.common, found)}, Scattered(recording), env)
        recording.push(stack)
        return found

    def _generate(self, env: Row, gaps: Row, chooser: Chooser, n: int) -> tuple[Row, Row]:
        """The sampling program, with what is missing before it: what is not known is chosen."""
        gaps = {name: self._gap(name, gaps.get(name), chooser, n) for name in self.program.missing}
        known = dict(env)
        found = {k: v for k, v in env.items() if k not in self.program.coded}
        for name in self.program.conditions:
            shape = (n, *self.graph[name].type.shape)
            found[name] = draw_alike(self.side_information.cells(name), shape, chooser, known.get(name))
        found |= of_rows(self.graph, self.factors.common, found)
        seen = {name: ~of_elements(self.graph[name], gaps[name]) for name in self.program.apart}
        for part in self.program.parts:
            if part.flow is not None:
                self._map(part.flow, found, chooser, known)
            else:
                self._draw(part, found, chooser, known, n, seen)
        return found, gaps

    def _gap(self, name: str, known: Tensor | None, chooser: Chooser, n: int) -> Tensor:
        """What is missing of a variable, ``(n, gaps)``, by the share of rows in which it is."""
        share = self.side_information.shares[name].expand(n, -1)
        table = torch.stack([1 - share, share], -1).log().flatten(0, 1)
        found = chooser.choose(table, None if known is None else known.long().reshape(-1))
        return found.reshape(n, -1).bool()

    def _infer(self, env: Row, chooser: Chooser, known: Row | None) -> None:
        """The latents of rows: those of `known`, or chosen ones. They are put into `env`."""
        n = len(next(iter(env.values())))
        for part in self.program.inferred:
            if part.flow is not None:
                self._undo(part.flow, env, chooser, known)
                continue
            rows = {name: env[name] for name in part.names if name in self.program.missing}
            where = {name: v.isnan() for name, v in rows.items()}
            self._draw(part, env, chooser, known or {}, n, where, lambda name: self.side_information.under_q(name, env))
            for name, value in rows.items():
                env[name] = torch.where(value.isnan(), env[name], value)
        if self.program.summed:
            self._sum(env, chooser, known, n)
        if self.program.chained:
            self._follow(env, chooser, known)
        for part in self.program.inferred:
            if part.flow is not None and {*part.names} & {*self.program.later}:
                self._invert(part.flow, env, chooser, known)

    def _draw(
        self,
        part: Part,
        env: Row,
        chooser: Chooser,
        known: Row,
        n: int,
        where: Row,
        cells: Callable[[str], Cells] | None = None,
    ) -> None:
        """Puts values of a part into `env`: known ones, or chosen ones. `where`: the elements that there are of each
        variable, where that is not all of them. `cells`: what elements are one of, where it is not as the side
        information has it."""
        cells = cells or self.side_information.cells
        factors = [self.graph.keyed(key) for key in part.keys]
        try:
            if part.turns is None:
                (name,) = part.names
                law = self.factors.law(factors[0], env)
                law = law if law.batch_shape == (n,) else law.expand(torch.Size((n,)))
                env[name] = draw(law, cells(name), chooser, known.get(name), where.get(name))
                return
            found = draw_in_turn(
                [self.factors.function(f, part, env) for f in factors],
                [(n, *self.graph[name].type.shape) for name in part.names],
                [cells(name) for name in part.names],
                chooser,
                [known.get(name) for name in part.names],
                part.turns.backward,
            )
            env |= dict(zip(part.names, found))
        except CodingError as error:
            raise CodingError(f"{' '.join(part.keys)}: {error}", error.help) from None

    def _sum(self, env: Row, chooser: Chooser, known: Row | None, n: int) -> None:
        """Latents of few values by their exact posterior, ``p(k | x)`` by Bayes' rule over all cases."""
        names = self.program.summed
        every, repeated = self.factors.cases(env)
        count = len(next(iter(every.values())))
        total = torch.zeros(n, count)
        for name in names:
            if name in env:  # of which something is seen
                seen = env[name].unsqueeze(1)
                agrees = ((seen == every[name]) | seen.isnan()).reshape(n, count, -1).all(-1)
                total = total.masked_fill(~agrees, -torch.inf)
        for part in self.program.inferred:
            if part.flow is not None and {*part.names} & {*self.program.later}:
                log_det = self.factors.invert(part.flow, repeated)
                total = total if log_det is None else total + log_det.reshape(n, count)
        for factor in self.graph.factors:
            reads = {factor.head, *self.graph.roots(self.graph.reads(factor))}
            touched = reads & {*names, *self.program.later}
            if factor.side == "p" and touched and factor.head in self.program.drawn:
                total = total + self.factors.log_prob(factor, repeated).reshape(n, count)
        index = None
        if known is not None:
            same = [(known[m].unsqueeze(1) == v.unsqueeze(0)).reshape(n, count, -1).all(-1) for m, v in every.items()]
            index = torch.stack(same).all(0).to(torch.uint8).argmax(-1)
        found = chooser.choose(total, index)
        env |= {name: v[found] for name, v in every.items()}

    def _follow(self, env: Row, chooser: Chooser, known: Row | None) -> None:
        """Latents that are summed or integrated out one after another, or along an index, by their exact posterior, as
        `infer` draws them: each given those that it has drawn before."""

        def choose(scores: Tensor, of: Callable[[Mapping[str, Tensor]], Tensor]) -> Tensor:
            index = None if known is None else of(known).expand(scores.shape[:-1]).reshape(-1)
            return chooser.choose(scores.flatten(0, -2), index).reshape(scores.shape[:-1])

        def draw_normal(mean: Tensor, root: Tensor, side_by_side: SideBySide) -> Tensor:
            """Of latents that are integrated out."""
            bins = {self.graph[m].ident: self.side_information.cells(m) for m in self.program.chained}
            loc, scale = (
                side_by_side({m: getattr(of, part).unsqueeze(0) for m, of in bins.items() if isinstance(of, Bins)})[0]
                for part in ("loc", "scale")
            )
            this = None
            if known is not None:
                this = side_by_side({self.graph[m].ident: known[m] for m in self.program.chained})
            law = td.MultivariateNormal(mean, scale_tril=root_of(root @ root.mT), validate_args=False)
            return draw(law.expand(torch.Size([n])), Bins(loc, scale), chooser, this)

        n = len(next(iter(env.values())))
        noisy = [env[part.flow.before] for part in self.program.inferred if part.flow is not None and part.flow.rounded]
        with chosen_by(choose, draw_normal), dequantised_to(noisy), self.factors.fixed(env):
            found = self.factors.model.infer(*(env[v.name] for v in self.graph.data))
        env |= {name: found[name] for name in self.program.chained}

    # --- definitions that are read backwards ---------------------------------------------------------

    def _undo(self, flow: Flow, env: Row, chooser: Chooser, known: Row | None) -> None:
        """The noise of what is rounded; and the latents, where they do not depend on what is summed out."""
        if flow.rounded:
            steps = self.side_information.steps(flow.image).rounded_to(env[flow.image])
            this = None if known is None else known[flow.latents[0] if flow.direct else flow.before]
            env[flow.before] = noise(steps, env[flow.image].shape, chooser, this)
        if not {*flow.latents} & {*self.program.later}:
            self._invert(flow, env, chooser, known)

    def _invert(self, flow: Flow, env: Row, chooser: Chooser, known: Row | None) -> None:
        """Puts the latents of a value into `env`: real ones by local bits back, others as the inverse has them."""
        if flow.direct or flow.exact:
            self.factors.invert(flow, env)
        else:
            env |= self._mapped(flow, env).latents(self.factors.image(flow, env), chooser, known)

    def _map(self, flow: Flow, env: Row, chooser: Chooser, known: Row) -> None:
        """Puts the value of latents into `env`."""
        env[flow.before] = self._mapped(flow, env).value(env, chooser, known.get(flow.before))
        if flow.rounded:
            env[flow.image] = env[flow.before].floor()

    def _mapped(self, flow: Flow, env: Row) -> Mapped:
        of = self.side_information
        image = of.steps(flow.image) if flow.rounded else of.cells(flow.image)
        assert isinstance(image, Intervals)
        others = self.factors.others(flow, env)
        return Mapped(flow, self.factors.model, others, [of.cells(n) for n in flow.latents], image)


__all__ = ["Coder"]
