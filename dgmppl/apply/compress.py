"""`compress` and `decompress`: rows as bits by the model's own probabilities, and back, bit for bit."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
import torch

from dgmppl.apply.answers import Answers, Chunk, Progress, draft, quiet
from dgmppl.apply.lossy import Losses, codes_of, given_back, losses, lossy_program, mean_losses, told_losses
from dgmppl.coding.blocks import Differs, blocked, unblocked
from dgmppl.coding.coder import Coder
from dgmppl.coding.file import DIGEST, Head, read_blocks, read_head
from dgmppl.coding.program import Program, program_of
from dgmppl.coding.stack import CodingError
from dgmppl.data.transforms import Flatten
from dgmppl.diagnostics import Diagnostic, SpecError
from dgmppl.runtime import GenerativeModel
from dgmppl.syntax.format import format_spec
from dgmppl.train.units import DataUnits

if TYPE_CHECKING:
    from dgmppl.apply.fitted import FittedRun

SUFFIX = ".dgz"
_BLOCK = 2**22  # elements of the rows of a block


@dataclass
class Compressed:
    """Rows as bits, made as they are written.

    Attributes:
        rows: how many there are.
        give: makes the parts of the file.
        notes: how they are coded, in words.
        size: bytes that were made.
        bits: what an ideal code by the model's probabilities takes, -log2 p of all rows; with latents that are drawn,
            minus the bound at these draws. Of whole numbers without a range p is that given the range of the rows,
            which the file tells; of rows that have latents in common it is that given these at the mean of q.
        initial: bits that were there before the rows, from which the latents of the first of them were taken.
        losses: of a lossy code, what the variables that are not kept are off by, in the units of the data: the mean
            square, or of classes the share that are others.
    """

    rows: int
    give: Callable[[Compressed], Iterator[tuple[int, bytes]]] = field(repr=False)
    notes: tuple[str, ...] = ()
    size: int = 0
    bits: float = 0.0
    initial: int = 0
    losses: Losses = field(default_factory=dict)

    def parts(self, progress: Progress = quiet) -> Iterator[bytes]:
        """The bytes of the file, part by part."""
        self.size, self.bits, self.initial, done = 0, 0.0, 0, 0
        for rows, part in self.give(self):
            done, self.size = done + rows, self.size + len(part)
            progress(done, self.rows)
            yield part

    def __bytes__(self) -> bytes:
        return b"".join(self.parts())

    def write(self, path: Path | str, progress: Progress = quiet) -> None:
        """Writes the file, whole or not at all.

        Raises:
            SpecError: for another ending than .dgz (E703), or when the file cannot be written (E607).
        """
        path = Path(path)
        if path.suffix.lower() != SUFFIX:
            raise SpecError([Diagnostic("E703", f"compressed rows are written to {SUFFIX}, not to {path.name}")])
        try:
            with draft(path) as new, new.open("wb") as file:
                file.writelines(self.parts(progress))
        except OSError as error:
            raise SpecError([Diagnostic("E607", f"cannot write {path}: {error.strerror or error}")]) from None


def compress(fitted: FittedRun, data: Any = None, *, split: str | None = None, lossy: bool = False) -> Compressed:
    """Rows as bits, to within a few bytes of -log2 p.

    They are decoded again before they are written, and held against the rows.

    Args:
        lossy: keep codes in place of the rows, latents of finitely many values at their most probable ones; they take
            -log2 p(codes).

    Raises:
        SpecError: when the model gives its data no probabilities that can be coded (E670), or the rows are not as the
            run's types have them.
    """
    given = fitted.rows(data, split)
    program, size = _program(fitted, lossy), _rows_of_a_block(fitted)

    def give(found: Compressed) -> Iterator[tuple[int, bytes]]:
        yield 0, Head(_model_digest(fitted), given.rows, _schema(fitted), lossy).written()
        model, lost = _in_double(fitted), []
        coder = Coder(program, model)
        for chunk in given.chunks(size):
            n = len(next(iter(chunk.values())))
            with _telling(fitted, lossy):
                with _exactly(fitted, model):
                    rows = {name: v.double().cpu() for name, v in chunk.items()}
                    rows = codes_of(program, model, rows) if lossy else rows
                    block, bits = blocked(coder, rows)
                lost.append((n, losses(fitted, program, chunk, rows) if lossy else {}))
            found.bits += bits
            found.initial += 32 * block.initial
            yield n, replace(block, losses=tuple(lost[-1][1].values())).written()
        found.losses = mean_losses(lost)
        found.notes = (*notes, *told_losses(fitted, found.losses))

    notes = (program.words(), *_kept(fitted))
    return Compressed(given.rows, give, notes)


def decompress(fitted: FittedRun, source: Path | str | bytes | Compressed) -> Answers:
    """The rows of which `compress` made this, in the units of the data; of a lossy file what p gives for their codes.

    Args:
        source: the path of a file, its bytes, or what `compress` gave.

    Raises:
        SpecError: when it is no such file, damaged or cut off (E671), of another model (E672), or the probabilities of
            the model are not computed here as they were where it was written (E673).
    """
    name = str(source) if isinstance(source, Path | str) else "what is given"
    source = bytes(source) if isinstance(source, Compressed) else source
    with _opened(source) as file, _reading(name):
        head = read_head(file)
    if head.model != _model_digest(fitted) or head.schema != _schema(fitted):
        headline = f"{name} was written by another model than that of {fitted.path}: it is of {head.schema}"
        raise SpecError([Diagnostic("E672", headline, help="decompress it with the run that compressed it")])
    program, kept = _program(fitted, head.lossy), _kept(fitted)
    units = DataUnits(fitted.graph, fitted.fields)
    notes = [*kept]

    def give() -> Iterator[Chunk]:
        size, done, lost = _rows_of_a_block(fitted), 0, []
        model = _in_double(fitted)
        with _opened(source) as file, _reading(name):
            read_head(file)
            coder = Coder(program, model)
            blocks = read_blocks(file, coder.side_information.count, len(program.lost))
            while done < head.rows:
                count = min(size, head.rows - done)
                block = next(blocks, None)
                if block is None:
                    raise CodingError("it is cut off")
                with _exactly(fitted, model):
                    rows = unblocked(coder, block, count)
                done += count
                lost.append((count, dict(zip(program.lost, block.losses))))
                if head.lossy:
                    yield given_back(fitted, rows)
                else:
                    found = units.every({name: rows[name].numpy() for name in fitted.fields})
                    yield {name: _whole(fitted, name, values) for name, values in found.items()}
            if next(blocks, None) is not None:
                raise CodingError("it is damaged: something follows its rows")
        notes[:] = (*kept, *told_losses(fitted, mean_losses(lost)))

    columns = {f.name: f.labels for f in fitted.fields.values()}
    forms = units.forms(fitted.fields, head.lossy)
    return Answers(head.rows, give, columns, None, notes, forms=forms)


# --- the parts of a file ------------------------------------------------------------------------------


def _program(fitted: FittedRun, lossy: bool) -> Program:
    """What is coded of the rows of a run; where it has no code, that is told (E670)."""
    with _telling(fitted, lossy):
        return lossy_program(fitted) if lossy else program_of(fitted.graph, fitted.plan)


def _rows_of_a_block(fitted: FittedRun) -> int:
    elements = sum(int(np.prod(f.type.shape)) for f in fitted.fields.values())
    return max(1, min(2**16, _BLOCK // max(1, elements)))


def _model_digest(fitted: FittedRun) -> bytes:
    """A checksum of a model: its spec and its weights."""
    found = hashlib.sha256(format_spec(fitted.run.checked.source.text).encode())
    for name, value in sorted(fitted.model.state_dict().items()):
        found.update(name.encode())
        found.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return found.digest()[:DIGEST]


def _schema(fitted: FittedRun) -> str:
    return ", ".join(f"{f.name} : {f.type.describe()}" for f in fitted.fields.values())


def _kept(fitted: FittedRun) -> tuple[str, ...]:
    """What a transform leaves out."""
    return tuple(
        f"{f.name} is kept as the model has it, behind {', '.join(f.transform_names)}: that has no inverse"
        for f in fitted.fields.values()
        if not f.invertible
    )


def _whole(fitted: FittedRun, name: str, values: Any) -> Any:
    """Values of which none is missing as whole numbers, where they are such in the data too."""
    field_, variable = fitted.fields[name], fitted.graph[name]
    plain = not field_.invertible or all(isinstance(t, Flatten) for t in field_.transforms)
    gaps = variable.role == "partial" or variable.length
    return values.astype(np.int64) if plain and not gaps and values.dtype == np.float64 else values


# --- where it is computed -----------------------------------------------------------------------------


def _in_double(fitted: FittedRun) -> GenerativeModel:
    """A copy of the model in double precision."""
    return deepcopy(fitted.model).to("cpu").double().eval()


@contextmanager
def _exactly(fitted: FittedRun, model: GenerativeModel) -> Iterator[None]:
    """Inside, the numbers of such a copy are the same each time: by one thread of the processor."""
    threads, dtype = torch.get_num_threads(), torch.get_default_dtype()
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    try:
        with fitted.computing(0), model.unchecked():
            yield
    finally:
        torch.set_default_dtype(dtype)
        torch.set_num_threads(threads)


@contextmanager
def _telling(fitted: FittedRun, lossy: bool) -> Iterator[None]:
    """What cannot be coded is a mistake of who asks for it."""
    try:
        yield
    except Differs:
        headline = f"rows that {fitted.path} codes do not come back: its numbers differ from one time to the next"
        raise SpecError([Diagnostic("E670", headline)]) from None
    except CodingError as error:
        what = "has no codes to keep in place of its rows" if lossy else "cannot code its data"
        headline = f"the model of {fitted.path} {what}: {error}"
        help_ = "rows are coded by models of whole numbers or classes whose probabilities follow element by element"
        help_ = "codes are latents of finitely many values on which the data depend" if lossy else help_
        raise SpecError([Diagnostic("E670", headline, help=error.help or help_)]) from None


@contextmanager
def _reading(name: str) -> Iterator[None]:
    try:
        yield
    except Differs:
        headline = f"{name} cannot be decoded here: the model gives other probabilities than where it was written"
        help_ = "use the versions of torch and dgmppl, and a processor of the kind, that it was written with"
        raise SpecError([Diagnostic("E673", headline, help=help_)]) from None
    except CodingError as error:
        headline = f"{name} cannot be decoded: {error}"
        raise SpecError([Diagnostic("E671", headline, help="take it back from a copy")]) from None


@contextmanager
def _opened(source: Path | str | bytes) -> Iterator[IO[bytes]]:
    if not isinstance(source, Path | str):
        yield io.BytesIO(source)
        return
    try:
        with Path(source).open("rb") as file:
            yield file
    except OSError as error:
        raise SpecError([Diagnostic("E671", f"cannot read {source}: {error.strerror or error}")]) from None


__all__ = ["Compressed", "compress", "decompress"]
