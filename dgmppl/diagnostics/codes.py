"""The catalogue of codes: `dgmppl explain E203`. To add one, write its entry in the module of its stage."""

from __future__ import annotations

import json
from dataclasses import asdict

from dgmppl.diagnostics import Diagnostic, SpecError, did_you_mean
from dgmppl.diagnostics.code import Code
from dgmppl.diagnostics.codes_data import CODES as _DATA
from dgmppl.diagnostics.codes_graph import CODES as _GRAPH
from dgmppl.diagnostics.codes_plan import CODES as _PLAN
from dgmppl.diagnostics.codes_run import CODES as _RUN
from dgmppl.diagnostics.codes_syntax import CODES as _SYNTAX
from dgmppl.diagnostics.codes_usage import CODES as _USAGE

CODES: dict[str, Code] = {**_SYNTAX, **_GRAPH, **_PLAN, **_DATA, **_RUN, **_USAGE}


def explain_code(code: str, format: str = "text") -> str:
    """What a code means, why it is one, and a spec that has it beside its repair; as "text" or "json".

    Raises:
        SpecError: no diagnostic has this code, or another format is asked for (E702).
    """
    if code not in CODES:
        way_out = did_you_mean(code.upper(), CODES, f"codes go from {min(CODES)} to {max(CODES)}")
        raise SpecError([Diagnostic("E702", f"no diagnostic has the code {code}", help=way_out)])
    entry = CODES[code]
    if format == "json":
        return json.dumps({"code": code, **asdict(entry)}, indent=2, ensure_ascii=False)
    if format != "text":
        headline = f"a code is explained as text or json, not as {format}"
        raise SpecError([Diagnostic("E702", headline, help=f"{format} is for what is derived from a spec")])
    parts = [f"{code}: {entry.title}", entry.what, entry.why]
    parts += [
        f"{label}\n" + "\n".join(f"    {line}".rstrip() for line in text.strip().split("\n"))
        for label, text in (("wrong:", entry.bad), ("right:", entry.good))
        if text
    ]
    return "\n\n".join(part for part in parts if part)


__all__ = ["CODES", "Code", "explain_code"]
