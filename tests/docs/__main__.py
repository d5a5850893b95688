"""`python -m tests.docs`: writes into the pages what the code says now. Read the difference before you commit it."""

from __future__ import annotations

import tempfile
from pathlib import Path

from . import people, readme, reference

for path, updated in (
    (reference.PATH, reference.updated),
    (reference.ARCHITECTURE, reference.updated),
    (readme.PATH, readme.updated),
):
    path.write_text(updated(path.read_text(encoding="utf-8")), encoding="utf-8", newline="\n")
with tempfile.TemporaryDirectory() as folder:
    page = people.updated(people.PATH.read_text(encoding="utf-8"), Path(folder))
people.PATH.write_text(page, encoding="utf-8", newline="\n")
readme.draw(readme.PICTURE)
