"""Normal latents along an index, of which all that reads them is normal with an affine mean: Kalman's filter."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.distributions import constraints

from dgmppl.runtime.affine_means import AffineMean, alike, each_row, root_of, solved, times
from dgmppl.runtime.choices import drawing
from dgmppl.runtime.densities import _Density
from dgmppl.runtime.distributions import Distribution, MultivariateNormal, Size
from dgmppl.runtime.finite_chains import Link
from dgmppl.runtime.lengths import within
from dgmppl.runtime.missing import OfSeen
from dgmppl.runtime.placements import OnlyAt, Placed


class GaussianChain:
    """The integral over latents z along an index of densities that are normal, with means affine in z.

    The members at L successive positions are the state ``s_t`` of a linear Gaussian model,

        s_t = A_t s_(t-1) + a_t + Normal(0, Q_t),    x_t = C_t s_t + c_t + Normal(0, R_t),

    with what is `still` as a part of it that keeps its value. The likelihood, and means and covariances of states given
    the data so far, follow position by position (Kalman, 1960). A covariance is kept by its root U, ``P = U U'``. With
    L the root of what is predicted and ``W = I + L' C' R^-1 C L``, that of the update is ``L W^-1/2``, and ``-2 log
    p(x_t | x_(<t))`` is ``log |2 pi R| + log |W| + |R^-1/2 (x_t - C m - c)|^2 + |L^-1 (m - mu)|^2``, mu and m the
    state's means before and after: only sums of what is not negative, so that no jitter is needed. Smoothing goes
    backward (Rauch, Tung and Striebel, 1965), and draws by what remains of each state given the next. A, C, and the
    rest are read off the densities at 0 and at unit vectors. All of it is in double precision. Where a covariance has
    no root in that, or is not finite, all that follows is NaN.

    Args:
        length: how many positions there are, T.
        latents: of each latent, the shape of a member.
        links: the densities, of the latents and of what depends on them.
        lengths: how many members each row has, ``(n,)``, where that differs. Those beyond go on by the law of the
            latents, which integrates to 1; of a path that is read they are 0.
        still: of each latent that is one a row, its shape. Its link is a density of one value, which reads others of
            them alone.
        backward: whether densities look at members after theirs: all is then done from the last position to the first.
        seen: of latents of which some numbers are known, those, ``(n, T, ...)``, NaN where they are not. Whatever reads
            a number that is known reads it as data, and its own density is one of data: the integral is over the rest.
    """

    def __init__(
        self,
        length: int,
        latents: Mapping[str, tuple[int, ...]],
        *links: Link,
        lengths: Tensor | None = None,
        still: Mapping[str, tuple[int, ...]] | None = None,
        backward: bool = False,
        seen: Mapping[str, Tensor] | None = None,
    ) -> None:
        self.length, self.latents, self.lengths = length, dict(latents), lengths
        self.still, self.backward, self.seen = dict(still or {}), backward, dict(seen or {})
        self.places, self.size = _side_by_side(self.latents)
        self.still_places, self.still_size = _side_by_side(self.still)
        told = [link.value for link in links if isinstance(link.value, Tensor)]
        self.like = next(iter((*told, *self.seen.values())))
        self._in_part: set[int] = set()
        named = {link.value: link for link in links if isinstance(link.value, str)}
        known = self._known()
        moves = {name: self._read_off(named[name]).given(known) for name in self.latents}
        of_data = [
            (link.value, self._read_off(link).given(known), id(link) in self._in_part)
            for link in links
            if isinstance(link.value, Tensor)
        ]
        of_data += [(value, moves[name], True) for name, value in self.seen.items()]
        back = max([-m.first for m in moves.values()] + [1 - affine.first for _, affine, _ in of_data])
        self.lag = max(back, 1)
        self._move({n: m if known is None else m.idle(~known[..., self.places[n]].isnan()) for n, m in moves.items()})
        self._see(of_data)
        self._start([named[name] for name in self.still])
        self._filter()

    # --- the model ---------------------------------------------------------------------------------

    def _known(self) -> Tensor | None:
        """The numbers that are known of the latents side by side, ``(n, T, size)``, in the order of the filter; NaN
        where they are not. None where all are latent."""
        if not self.seen:
            return None
        n = len(next(iter(self.seen.values())))
        found = self.like.new_full((n, self.length, self.size), math.nan, dtype=torch.double)
        for name, value in self.seen.items():
            whole = value if self.lengths is None else within(value, self.lengths, value.dim() - 2, math.nan)
            found[..., self.places[name]] = whole.double().reshape(n, self.length, -1)
        return found.flip(1) if self.backward else found

    def _read_off(self, link: Link) -> AffineMean:
        """The mean and the deviation of a density as affine functions of the latents."""
        windows = {n: w for n, w in link.reads.items() if n in self.latents}
        first = min((a for a, _ in windows.values()), default=0)
        last = max((b for _, b in windows.values()), default=-1)
        span = last - first + 1 if windows else 0
        units = [k for n in windows for k in range(self.places[n].start, self.places[n].stop)]
        zero = self.like.new_zeros(1, self.length, self.size)
        if not span:
            return self._turned(
                AffineMean(0, (), *self._moments(link, zero, link.given, link.value), self._beside(link))
            )
        # 0, then each unit vector at the positions whose number is r modulo the span, for each r.
        time = torch.arange(self.length, device=self.like.device)
        there = (time % span == torch.arange(span, device=time.device).unsqueeze(1)).to(zero)
        one = torch.eye(self.size).to(zero)[units]
        paths = torch.cat([zero, (there[:, None, :, None] * one[:, None]).flatten(0, 1)])
        given = tuple(g[:1] for g in link.given) if link.alike else link.given
        value = link.value[:1] if link.alike and isinstance(link.value, Tensor) else link.value
        means, scales = (m.unflatten(0, (-1, len(paths))) for m in self._moments(link, paths, given, value))
        offset, scale = means[:, 0], scales[:, 0]
        if link.alike and (link.given or link.own):
            offset, _ = self._moments(link, zero, link.given, link.value)
        slopes = (means[:, 1:] - means[:, :1]).unflatten(1, (span, len(units))).permute(0, 1, 3, 4, 2)
        if len(units) < self.size or units != sorted(units):
            whole = slopes.new_zeros(*slopes.shape[:-1], self.size)
            whole[..., units] = slopes
            slopes = whole
        if span == 1:
            return self._turned(AffineMean(first, (slopes[:, 0],), offset, scale, self._beside(link)))
        found = (slopes[:, (time + away) % span, time] for away in range(first, last + 1))
        return self._turned(AffineMean(first, tuple(found), offset, scale, self._beside(link)))

    def _beside(self, link: Link) -> Tensor | None:
        """What a mean is multiplied with of what is still, ``(n or 1, T, size, numbers of it)``; None where there is
        none."""
        if not self.still:
            return None
        fixed = [k for n, p in self.still_places.items() if n in link.reads for k in range(p.start, p.stop)]
        units = torch.eye(self.still_size).to(self.like)[fixed]
        points = torch.cat([self.like.new_zeros(1, self.still_size), units])
        given = tuple(g[:1] for g in link.given) if link.alike else link.given
        value = link.value[:1] if link.alike and isinstance(link.value, Tensor) else link.value
        zero = self.like.new_zeros(len(points), self.length, self.size)
        means, _ = self._moments(link, zero, given, value, points)
        means = means.unflatten(0, (-1, len(points)))
        found = means.new_zeros(len(means), self.length, means.shape[-1], self.still_size)
        found[..., fixed] = (means[:, 1:] - means[:, :1]).permute(0, 2, 3, 1)
        return found

    def _turned(self, affine: AffineMean) -> AffineMean:
        return affine.turned() if self.backward else affine

    def _moments(
        self,
        link: Link,
        paths: Tensor,
        given: tuple[Tensor, ...],
        value: Tensor | str,
        points: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """The mean and the deviation of each element of a density at paths of the latents, ``(rows paths, T, size)``,
        the paths of a row one after another; at `points` of what is still, or at 0."""
        count, rows = len(paths), 1
        if given or (link.own and isinstance(value, Tensor)):
            rows = len(given[0]) if given else len(value)
        paths = paths.repeat(rows, 1, 1) if rows > 1 else paths
        repeated = [g.repeat_interleave(count, 0) for g in given]
        members = {n: paths[..., p].reshape(len(paths), self.length, *self.latents[n]) for n, p in self.places.items()}
        if self.still:
            still = self.like.new_zeros(count, self.still_size) if points is None else points
            parts = {n: still[..., p].repeat(rows, 1) for n, p in self.still_places.items()}
            members |= {n: part.reshape(len(part), *self.still[n]) for n, part in parts.items()}
        law = link.law(*(members[n] for n in link.reads if n != value), *repeated)
        if isinstance(law, (OfSeen, OnlyAt, Placed)) or law.lengths is not None:
            self._in_part.add(id(link))
            law = law.p if isinstance(law, OfSeen) else law
        if isinstance(value, str):
            context = members[value]
        else:
            context = value.repeat_interleave(count, 0) if link.own else value[:1]
        shape = (len(paths), *law.event_shape)
        mean, scale = (m.expand(shape).reshape(len(paths), self.length, -1) for m in law.moments(context))
        return mean.double(), scale.double()

    def _start(self, priors: list[Link]) -> None:
        """The mean and a root of the covariance of the state before the first position, in which what is still has the
        values that it keeps: ``f = G f + g + Normal(0, Q)``. Of members before the first nothing is read."""
        states = self.transition.shape[-1]
        self.mean, self.spread = self.offset.new_zeros(1, states), torch.eye(states).to(self.offset).unsqueeze(0)
        if not priors:
            return
        points = torch.cat([self.like.new_zeros(1, self.still_size), torch.eye(self.still_size).to(self.like)])
        means, scales = [], []
        for link in priors:
            rows = len(link.given[0]) if link.given else 1
            values = [points[:, self.still_places[n]].reshape(len(points), *self.still[n]) for n in link.reads]
            law = link.law(
                *(v.repeat(rows, *[1] * (v.dim() - 1)) for v in values),
                *(g.repeat_interleave(len(points), 0) for g in link.given),
            )
            shape = (rows * len(points), *self.still[str(link.value)])
            mean, scale = (m.expand(shape).double().reshape(rows, len(points), -1) for m in (law.mean, law.stddev))
            means.append(mean)
            scales.append(scale[:, 0])
        found, root = torch.cat(alike(means), -1), torch.diag_embed(torch.cat(alike(scales), -1))
        left = torch.eye(self.still_size).to(found) - (found[:, 1:] - found[:, :1]).mT
        rows, place = len(found), slice(states - self.still_size, states)
        self.mean, self.spread = self.mean.repeat(rows, 1), self.spread.repeat(rows, 1, 1)
        self.mean[:, place] = solved(left, found[:, 0].unsqueeze(-1)).squeeze(-1)
        self.spread[:, place, place] = solved(left, root)

    def _move(self, moves: Mapping[str, AffineMean]) -> None:
        """A, a and the root of Q: what a state adds to the one before."""
        names = list(self.latents)
        offset = torch.cat(alike([moves[n].offset for n in names]), -1)
        scale = torch.cat(alike([moves[n].scale for n in names]), -1)

        def block(away: int) -> Tensor | None:
            parts = [moves[n].slope(away) for n in names]
            if all(p is None for p in parts):
                return None
            blank = self.like.new_zeros((), dtype=torch.double)
            filled = [
                blank.expand(1, self.length, moves[n].offset.shape[-1], self.size) if p is None else p
                for n, p in zip(names, parts)
            ]
            return torch.cat(alike(filled), -2)

        root = torch.diag_embed(scale)
        blocks = [block(-k) for k in range(1, self.lag + 1)]
        now, beside = block(0), [m.still for n in names if (m := moves[n]).still is not None]
        still = [torch.cat(alike(beside), -2)] if beside else []
        if now is not None:  # z_t = G z_t + ... where some read others at their own position
            mixed = torch.eye(self.size).to(now) - now
            root = solved(mixed, root)
            offset = solved(mixed, offset.unsqueeze(-1)).squeeze(-1)
            blocks = [None if b is None else solved(mixed, b) for b in blocks]
            still = [solved(mixed, g) for g in still]
        known = [b if b is not None else root.new_zeros(1, self.length, self.size, self.size) for b in blocks]
        above = torch.cat(alike([*known, *still]), -1)
        states, kept = above.shape[-1], self.size * (self.lag - 1)
        below = above.new_zeros(kept + self.still_size, states)
        below[:kept, :kept] = torch.eye(kept)
        below[kept:, states - self.still_size :] = torch.eye(self.still_size)
        self.transition = torch.cat([above, below.expand(*above.shape[:2], *below.shape)], -2)
        self.root = torch.nn.functional.pad(root, (0, 0, 0, len(below)))
        self.offset = torch.nn.functional.pad(offset, (0, len(below)))

    def _see(self, seen: list[tuple[Tensor, AffineMean, bool]]) -> None:
        """C over the root of R, and what is left of the data without c, over it as well; 0 for elements that are
        missing, of data that is seen in part."""
        matrices, targets, logs = [], [], []
        for whole, affine, in_part in seen:
            value = whole if self.lengths is None else within(whole, self.lengths, whole.dim() - 2, math.nan)
            found = [affine.slope(-k) for k in range(self.lag)]
            blank = affine.offset.new_zeros(1, self.length, affine.offset.shape[-1], self.size)
            parts = [blank if m is None else m for m in found] + ([] if affine.still is None else [affine.still])
            matrix = torch.cat(alike(parts), -1)
            flat = value.double().reshape(len(value), self.length, -1)
            flat = flat.flip(1) if self.backward else flat
            target = ((flat.nan_to_num() if in_part else flat) - affine.offset) / affine.scale
            matrix = matrix / affine.scale.unsqueeze(-1)
            log = affine.scale.log() + 0.5 * math.log(2 * math.pi)
            if in_part:
                there = ~flat.isnan()
                matrix = torch.where(there.unsqueeze(-1), matrix, 0.0)
                target, log = torch.where(there, target, 0.0), torch.where(there, log, 0.0)
            matrices.append(matrix)
            targets.append(target)
            logs.append(log)
        self.matrix, self.target = torch.cat(alike(matrices), -2), torch.cat(alike(targets), -1)
        sums = [log.sum((-1, -2)) for log in logs]
        self.logs = sum(sums[1:], sums[0])

    # --- what follows from it ----------------------------------------------------------------------

    def _filter(self) -> None:
        """The predicted and the updated states of all positions, and the logarithm of the integral."""
        information = self.matrix.mT @ self.matrix
        told = times(self.matrix.mT, self.target)
        alike = max(map(len, (self.transition, self.root, information, self.spread))) == 1
        moves, noises, precisions = (
            (m.squeeze(0) if alike else m).unbind(-3) for m in (self.transition, self.root @ self.root.mT, information)
        )
        lowers, inners, roots, lost = self._roots(moves, noises, precisions)
        rows = max(map(len, (self.offset, told, self.mean)))
        mean = self.mean.expand(rows, -1)
        predicted: list[Tensor] = []
        updated: list[Tensor] = []
        halves: list[Tensor] = []
        offsets, tells = self.offset.unbind(1), told.unbind(1)
        for move, offset, precise, tell, root in zip(moves, offsets, precisions, tells, roots):
            mean = times(move, mean, offset)
            predicted.append(mean)
            half = times(root.mT, times(precise, mean, tell, -1))
            mean = times(root, half, mean)
            updated.append(mean)
            halves.append(half)
        # What has no root leaves its row without a value, which all that is read backward starts from.
        updated[-1] = torch.where(lost.unsqueeze(-1), torch.nan, mean)
        self.predicted, self.updated = list(zip(predicted, lowers)), list(zip(updated, roots))
        means, inner = torch.stack(updated, 1), torch.stack(inners, -3)
        error = self.target - times(self.matrix, means)
        # L^-1 (m - mu), each row in a column where the matrices are those of all.
        behind = torch.stack(halves, 0).mT if alike else torch.stack(halves, 1).unsqueeze(-1)
        moved = torch.linalg.solve_triangular(inner.mT, behind, upper=True).square()
        squares = error.square().sum((-1, -2)) + (moved.sum((0, 1)) if alike else moved.sum((-1, -2, -3)))
        logs = inner.diagonal(dim1=-2, dim2=-1).log().sum((-1, -2))
        self.total = -(0.5 * squares + logs + self.logs)

    def _roots(
        self, moves: tuple[Tensor, ...], noises: tuple[Tensor, ...], precisions: tuple[Tensor, ...]
    ) -> tuple[list[Tensor], list[Tensor], list[Tensor], Tensor]:
        """At each position the root of what is predicted, that of W, and that of the update; and which rows have none,
        ``(n or 1,)``. They are matrices where those given are, and one of each row else."""
        one = torch.eye(moves[0].shape[-1]).to(moves[0])
        root = self.spread.squeeze(0) if moves[0].dim() == 2 else self.spread
        lowers, inners, roots, failures = [], [], [], []
        for move, noise, precise in zip(moves, noises, precisions):
            spread = move @ root
            lower, failed = torch.linalg.cholesky_ex(spread @ spread.mT + noise)
            inner, failed_too = torch.linalg.cholesky_ex(one + lower.mT @ precise @ lower)
            root = torch.linalg.solve_triangular(inner, lower.mT, upper=False).mT
            lowers.append(lower)
            inners.append(inner)
            roots.append(root)
            failures += [failed.reshape(-1), failed_too.reshape(-1)]
        rows = max(map(len, failures))
        return lowers, inners, roots, torch.stack([f.expand(rows) for f in failures]).any(0)

    def log_density(self) -> Tensor:
        """The logarithm of the integral for each row, ``(n,)``, nats."""
        return self.total.to(self.like.dtype)

    def log_posterior(self, path: Tensor) -> Tensor:
        """The logarithm of the density that the posterior of all members has at a path, ``(..., n, T, size)`` with the
        latents side by side, ``(..., n)`` nats."""
        z = path.double().flip(-2) if self.backward else path.double()
        past = [torch.nn.functional.pad(z, (0, 0, k, 0))[..., : self.length, :] for k in range(self.lag + 1)]
        before, states = torch.cat(past[1:], -1), torch.cat(past[:-1], -1)
        moved = (self.transition @ before.unsqueeze(-1)).squeeze(-1) + self.offset
        root = self.root[..., : self.size, :]
        error = torch.linalg.solve(root, (states - moved)[..., : self.size].unsqueeze(-1)).squeeze(-1)
        seen = self.target - (self.matrix @ states.unsqueeze(-1)).squeeze(-1)
        squares = error.square().sum((-1, -2)) + seen.square().sum((-1, -2))
        logs = torch.linalg.slogdet(root).logabsdet.sum(-1) + self.logs
        logs = logs + 0.5 * self.length * self.size * math.log(2 * math.pi)
        return (-(0.5 * squares + logs) - self.total).to(self.like.dtype)

    def read(self, mean: bool) -> tuple[Tensor, ...]:
        """A value of each latent ``(n, T, ...)``: the mean of its posterior, or a joint draw."""
        last, root = self.updated[-1]
        moving = self.size * self.lag
        latest = range(self.length - 1, self.length - 1 - self.lag, -1)
        state = last if mean else self._drawn(last, root, latest, True)
        path, still = list(state[..., :moving].split(self.size, -1))[::-1], state[..., moving:]  # the oldest first
        for t in reversed(range(self.lag - 1, self.length - 1)):
            known = torch.cat([*path[: self.lag][::-1], still], -1)
            gain, rest = self._behind(t)
            before, after = self.updated[t][0], self.predicted[t + 1][0]
            oldest = slice(moving - self.size, moving)
            found = (before + times(gain, known - after))[..., oldest]
            if not mean:
                found = self._drawn(found, root_of(rest[..., oldest, oldest]), [t - self.lag + 1], False)
            path.insert(0, found)
        return (*self._members(torch.stack(path[-self.length :], 1)), *self._of_rows(still))

    def _drawn(self, mean: Tensor, root: Tensor, positions: Sequence[int], still: bool) -> Tensor:
        """Members at some positions side by side, and what is still, of this mean and root of their covariance."""

        def side_by_side(values: Mapping[str, Tensor]) -> Tensor:
            members = torch.cat([values[n].double().reshape(len(values[n]), self.length, -1) for n in self.latents], -1)
            members = members.flip(1) if self.backward else members
            rows = [values[n].double().reshape(len(values[n]), -1) for n in self.still if still]
            return torch.cat([*(members[:, t] for t in positions), *rows], -1)

        draw = drawing()
        return mean + times(root, torch.randn_like(mean)) if draw is None else draw(mean, root, side_by_side)

    def marginals(self) -> dict[str, Distribution]:
        """The posterior of each member of each latent alone, of batch shape ``(n, T)``, its elements one after
        another; of what is still, of batch shape ``(n,)``. Of those of which numbers are known none."""
        mean, root = self.updated[-1]
        spread = each_row(root @ root.mT)
        found = self._still_given(mean, spread)
        means, spreads = [mean], [spread]
        for t in reversed(range(self.length - 1)):
            gain, rest = self._behind(t)
            mean = self.updated[t][0] + times(gain, mean - self.predicted[t + 1][0])
            spread = rest + gain @ spread @ gain.mT
            means.insert(0, mean)
            spreads.insert(0, spread)
        loc, covariance = torch.stack(means, 1), torch.stack(spreads, 1)
        loc, covariance = (m.flip(1) if self.backward else m for m in (loc, covariance))
        dtype = self.like.dtype
        return found | {
            name: MultivariateNormal(
                loc[..., place].to(dtype),
                scale_tril=root_of(covariance[..., place, place]).to(dtype).expand(*loc.shape[:2], -1, -1),
            )
            for name, place in self.places.items()
            if name not in self.seen
        }

    def _still_given(self, mean: Tensor, spread: Tensor) -> dict[str, Distribution]:
        """The posterior of each of what is still, by that of the last state."""
        before, dtype = self.size * self.lag, self.like.dtype
        found: dict[str, Distribution] = {}
        for name, place in self.still_places.items():
            part = slice(before + place.start, before + place.stop)
            root = root_of(spread[..., part, part]).to(dtype).expand(len(mean), -1, -1)
            found[name] = MultivariateNormal(mean[..., part].to(dtype), scale_tril=root)
        return found

    def _behind(self, t: int) -> tuple[Tensor, Tensor]:
        """Of the state at t given the next: how its mean moves with that, and the covariance that is left."""
        root, after, move = each_row(self.updated[t][1]), each_row(self.predicted[t + 1][1]), self.transition[:, t + 1]
        gain = torch.cholesky_solve(move @ root @ root.mT, after).mT
        left = (torch.eye(move.shape[-1]).to(move) - gain @ move) @ root
        noise = gain @ self.root[:, t + 1]
        return gain, left @ left.mT + noise @ noise.mT

    def _members(self, path: Tensor) -> tuple[Tensor, ...]:
        path = path.to(self.like.dtype)
        path = path.flip(1) if self.backward else path
        path = path if self.lengths is None else within(path, self.lengths, 1)
        found = {n: path[..., self.places[n]].reshape(*path.shape[:2], *shape) for n, shape in self.latents.items()}
        for name, value in self.seen.items():
            found[name] = torch.where(value.isnan(), found[name], value)
        return tuple(found.values())

    def _of_rows(self, rows: Tensor) -> tuple[Tensor, ...]:
        rows = rows.to(self.like.dtype)
        return tuple(rows[..., self.still_places[n]].reshape(len(rows), *shape) for n, shape in self.still.items())


def _side_by_side(shapes: Mapping[str, tuple[int, ...]]) -> tuple[dict[str, slice], int]:
    """The places of values of these shapes in one vector, and its size."""
    places: dict[str, slice] = {}
    end = 0
    for name, shape in shapes.items():
        places[name] = slice(end, end := end + math.prod(shape))
    return places, end


class PathNormal(_Density):
    """The posterior of the latent of a `GaussianChain`: that of all of its members together."""

    has_rsample = True
    support = constraints.real

    def __init__(self, chain: GaussianChain) -> None:
        self.chain = chain
        ((_, shape),) = chain.latents.items()
        super().__init__(chain.total.shape, torch.Size((chain.length, *shape)))

    def _expand_parameters(self) -> None:
        pass

    @property
    def mean(self) -> Tensor:
        return self.chain.read(mean=True)[0].expand(self._batch_shape + self._event_shape)

    def rsample(self, sample_shape: Size = ()) -> Tensor:
        shape = self._extended_shape(torch.Size(sample_shape))
        many = shape.numel() // (len(self.chain.total) * self._event_shape.numel())
        return torch.stack([self.chain.read(mean=False)[0] for _ in range(many)]).reshape(shape)

    def log_prob(self, value: Tensor) -> Tensor:
        """The density of a path, nats."""
        return self.chain.log_posterior(value.reshape(*value.shape[: value.dim() - len(self._event_shape) + 1], -1))


__all__ = ["GaussianChain", "PathNormal"]
