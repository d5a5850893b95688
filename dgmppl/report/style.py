"""The look of a page: one style sheet, light and dark, nothing fetched."""

from __future__ import annotations

from dgmppl.train.plots import PALETTE

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
"""Content-Security-Policy: a browser fetches nothing and runs no script, whatever else the page says."""

COLOURS = len(PALETTE)
"""How many groups of points have a colour of their own (`.s0` and on)."""

STYLE = """
:root {
  color-scheme: light dark;
  --ground: #fdfdfc; --panel: #ffffff; --ink: #1f2328; --soft: #5d6670; --line: #dfe3e8; --accent: #0b62a8;
  --good: #1a7f4b; --bad: #b3261e; --code: #f5f6f8;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #14171b; --panel: #1b1f24; --ink: #e3e7ec; --soft: #9aa4af; --line: #333a42; --accent: #74b8f0;
    --good: #62c794; --bad: #ff8a80; --code: #20252b;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; background: var(--ground); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
}
main { max-width: 68rem; margin: 0 auto; padding: 2.5rem 1.25rem 5rem; }
h1 { font-size: 2.1rem; line-height: 1.2; margin: 0 0 .25rem; overflow-wrap: anywhere; }
h2 { font-size: 1.3rem; margin: 3rem 0 .75rem; padding-top: .75rem; border-top: 1px solid var(--line); }
h3 { font-size: 1rem; margin: 1.5rem 0 .5rem; }
p, li { max-width: 46rem; overflow-wrap: anywhere; }
.lead, .note, figcaption { color: var(--soft); }
.note, figcaption { font-size: .875rem; }
a { color: var(--accent); text-underline-offset: .15em; }
nav { margin: 1.25rem 0 0; display: flex; flex-wrap: wrap; gap: .35rem 1.1rem; font-size: .9rem; }
.state { font-size: .8rem; font-weight: 600; border: 1px solid; border-radius: 1rem; padding: .15rem .7rem;
  vertical-align: middle; color: var(--soft); white-space: nowrap; }
.state.finished { color: var(--good); }
.state.failed, .state.interrupted { color: var(--bad); }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(9.5rem, 1fr)); gap: .75rem; margin: 1.5rem 0 0;
  padding: 0; list-style: none; }
.tiles li { background: var(--panel); border: 1px solid var(--line); border-radius: .5rem; padding: .7rem .9rem; }
.tiles span { display: block; color: var(--soft); font-size: .8rem; }
.tiles strong { font-size: 1.15rem; font-weight: 600; font-variant-numeric: tabular-nums; }
.wide { overflow-x: auto; margin: .5rem 0 1rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .925rem; }
th, td { text-align: left; vertical-align: top; padding: .35rem 1.4rem .35rem 0; border-bottom: 1px solid var(--line); }
thead th { color: var(--soft); font-weight: 600; font-size: .8rem; }
.pairs th { font-weight: 400; color: var(--soft); white-space: nowrap; }
td { overflow-wrap: anywhere; }
td.number, th.number { text-align: right; white-space: nowrap; }
code, pre { font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; font-size: .875em; }
pre { background: var(--code); border-radius: .5rem; padding: 1rem 1.1rem; margin: 0;
  white-space: pre-wrap; overflow-wrap: anywhere; }
pre b { font-weight: 600; color: var(--accent); }
pre i { color: var(--soft); }
.maths { overflow-x: auto; padding: .75rem 0; font-size: 1.2rem; }
.panels { display: grid; grid-template-columns: repeat(auto-fill, minmax(19rem, 1fr)); gap: 1rem; }
figure { margin: 0 0 1rem; min-width: 0; }
.panels figure, .card { background: var(--panel); border: 1px solid var(--line); border-radius: .5rem; padding: .8rem; }
.panels h3 { margin: 0 0 .3rem; font-size: .9rem; overflow-wrap: anywhere; }
.paper { background: #fff; border: 1px solid var(--line); border-radius: .5rem; padding: .8rem; }
img { max-width: 100%; height: auto; display: block; }
.pixels { image-rendering: pixelated; border-radius: .2rem; }
.beside { display: grid; grid-template-columns: repeat(auto-fit, minmax(17rem, 1fr)); gap: 1.25rem;
  align-items: start; }
.chart { width: 100%; }
.legend { display: flex; flex-wrap: wrap; gap: .2rem .9rem; margin: .4rem 0 0; padding: 0; list-style: none;
  font-size: .85rem; }
.legend li::before { content: ""; display: inline-block; width: .7em; height: .7em; border-radius: 50%;
  background: currentColor; margin-right: .4em; }
.legend span { color: var(--ink); }
@media print {
  main { max-width: none; padding: 0; }
  h2 { break-after: avoid; }
  figure { break-inside: avoid; }
  nav { display: none; }
}
""" + "".join(f".s{k} {{ color: {colour}; }}\n" for k, colour in enumerate(PALETTE))
