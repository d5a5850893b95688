"""`python -m tests.docs`: writes into the pages what the code says now. Read the difference before you commit it."""

from __future__ import annotations

from . import readme, reference

for path, updated in (
    (reference.PATH, reference.updated),
    (reference.ARCHITECTURE, reference.updated),
    (readme.PATH, readme.updated),
):
    path.write_text(updated(path.read_text(encoding="utf-8")), encoding="utf-8", newline="\n")
readme.draw(readme.PICTURE)
