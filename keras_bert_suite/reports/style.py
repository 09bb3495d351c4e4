"""How a report looks: on screens light and dark, wide and narrow, and on paper."""

__all__ = ["STYLE"]

#: Blue and vermilion of Okabe and Ito (2008), told apart by every kind of colour vision; darkened on white and
#: lightened on black until text in them has a contrast of 4.5. Heat stays pale enough for ink to be read on it.
STYLE = """
:root {
  color-scheme: light dark;
  --paper: #fff; --panel: #f5f7f9; --ink: #1a1f24; --soft: #57616b; --rule: #d9dfe5; --grid: #e7ebef;
  --one: #00659e; --two: #b34700; --one-heat: 0 114 178; --two-heat: 213 94 0;
  --mono: ui-monospace, "SF Mono", Menlo, Consolas, "Liberation Mono", monospace;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #101418; --panel: #181d23; --ink: #e4e9ee; --soft: #9ca8b4; --rule: #303841; --grid: #252c34;
    --one: #63b7ea; --two: #f0a35c; --one-heat: 70 160 215; --two-heat: 225 125 50;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; text-size-adjust: 100%; }
body {
  margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "Helvetica Neue", Arial, sans-serif;
}
main { max-width: 70rem; margin: 0 auto; padding: 3rem 1.5rem 4rem; }
h1 { font-size: 1.9rem; line-height: 1.2; font-weight: 650; letter-spacing: -.015em; margin: 0; }
h1 { overflow-wrap: anywhere; }
h2 { font-size: 1.2rem; line-height: 1.3; font-weight: 650; margin: 0 0 .25rem; }
section { margin-top: 3rem; }
.note { margin: 0 0 1rem; color: var(--soft); max-width: 50rem; }
h2 + * { margin-top: .75rem; }
h2 + .note { margin-top: 0; }

.tiles { display: flex; flex-wrap: wrap; gap: 1rem 3rem; margin: 2rem 0 0; }
.tiles dt, .facts dt { color: var(--soft); font-size: .875rem; }
.tiles dd { margin: 0; font-size: 2rem; line-height: 1.2; font-weight: 600; letter-spacing: -.01em; }
.tiles dd, .facts dd, td, th { font-variant-numeric: tabular-nums lining-nums; }
.facts {
  display: grid; grid-template-columns: repeat(auto-fill, minmax(11rem, 1fr)); gap: .9rem 2rem;
  margin: 2rem 0 0; padding-top: 1.25rem; border-top: 1px solid var(--rule);
}
.facts dd { margin: 0; overflow-wrap: anywhere; }
.facts .wide { grid-column: 1 / -1; }
.facts .wide dd { font: .875rem/1.5 var(--mono); }

.warnings { margin: 2rem 0 0; padding: .9rem 1.25rem; border-left: 3px solid var(--two); background: var(--panel); }
.warnings h2 { font-size: 1rem; }
.warnings ul { margin: .25rem 0 0; padding-left: 1.1rem; }
.warnings li { overflow-wrap: anywhere; }

.charts { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 20.5rem), 1fr)); gap: 2rem 2rem; }
figure { margin: 0; max-width: 34rem; }
figure.square { max-width: 27rem; }
figure h3 { margin: 0 0 .35rem; font-size: .95rem; font-weight: 600; overflow-wrap: anywhere; }
figcaption { color: var(--soft); font-size: .875rem; overflow-wrap: anywhere; }
svg { display: block; width: 100%; height: auto; overflow: visible; font-variant-numeric: tabular-nums lining-nums; }
svg text { fill: var(--soft); font-size: 12px; }
.grid { stroke: var(--grid); } .axis { stroke: var(--soft); }
.identity { stroke: var(--ink); stroke-dasharray: 5 4; stroke-width: 1.25; }
.one { stroke: var(--one); fill: none; stroke-width: 2; } .two { stroke: var(--two); fill: none; stroke-width: 2; }
.dot.one { fill: var(--one); stroke: none; } .dot.two { fill: var(--paper); }
.cloud { fill: var(--one); fill-opacity: .35; }
svg text.one { fill: var(--one); stroke: none; } svg text.two { fill: var(--two); stroke: none; }
svg .name { font-weight: 600; }

.scroll { overflow-x: auto; }
.scroll:focus-visible { outline: 2px solid var(--one); outline-offset: 4px; }
table { border-collapse: collapse; font-size: .9rem; }
caption { text-align: left; color: var(--soft); font-size: .875rem; padding-bottom: .5rem; }
th, td { padding: .35rem .9rem .35rem 0; text-align: left; border-bottom: 1px solid var(--grid); font-weight: 400; }
td.n, th.n { text-align: right; white-space: nowrap; }
thead th { color: var(--soft); font-size: .8125rem; vertical-align: bottom; border-bottom-color: var(--rule); }
tbody bdi { display: inline-block; max-width: 16rem; overflow-wrap: break-word; vertical-align: top; }
tfoot tr:first-child > * { border-top: 2px solid var(--rule); }
tfoot tr > * { border-bottom: 0; }
.bar { display: inline-block; width: 6rem; height: .5rem; background: var(--grid); vertical-align: middle; }
.bar i { display: block; height: 100%; background: var(--one); }

.matrix { font-size: .8125rem; }
.matrix th, .matrix td { border: 0; padding: 0; }
.matrix tbody td {
  min-width: 3.1rem; height: 2.7rem; padding: 0 .2rem; text-align: center; line-height: 1.2;
  border: 1px solid var(--paper); background: var(--panel);
}
.matrix tbody td small { display: block; font-size: .6875rem; }
.matrix.dense tbody td { min-width: 1.9rem; height: 2rem; padding: 0; font-size: .75rem; line-height: 1.1; }
.matrix.dense tbody td small { font-size: .625rem; }
.matrix td.zero { color: var(--soft); }
.matrix td.hit { background: rgb(var(--one-heat) / calc(.05 + var(--share) * .5)); }
.matrix td.miss { background: rgb(var(--two-heat) / calc(.05 + var(--share) * .5)); }
.matrix tbody th {
  position: sticky; left: 0; padding-right: .6rem; background: var(--paper); text-align: right; white-space: nowrap;
}
.matrix tbody th bdi { display: block; max-width: 13rem; overflow: hidden; text-overflow: ellipsis; }
.matrix thead th { padding: 0 .25rem .35rem; text-align: center; color: var(--ink); font-size: inherit; }
.matrix thead th.corner { text-align: right; padding-right: .6rem; }
.matrix tbody td.total { color: var(--soft); background: none; text-align: right; padding-left: .5rem; }
.matrix .side th, .matrix thead th.side { color: var(--soft); }
.matrix .upright span {
  writing-mode: vertical-rl; transform: rotate(180deg); max-height: 11rem; overflow: hidden; white-space: nowrap;
}

.mistakes { list-style: none; margin: 0; padding: 0; border-top: 1px solid var(--rule); }
.mistakes > li {
  display: grid; grid-template-columns: minmax(0, 1fr) 15rem; gap: .25rem 2rem; padding: .9rem 0;
  border-bottom: 1px solid var(--grid);
}
.mistakes p { margin: 0; overflow-wrap: anywhere; white-space: pre-line; }
.mistakes .second { margin-top: .4rem; padding-inline-start: .8rem; border-inline-start: 2px solid var(--rule); }
.mistakes dl { margin: 0; display: grid; grid-template-columns: auto minmax(0, 1fr); gap: 0 .75rem; font-size: .9rem; }
.mistakes dl, .mistakes dd { align-content: start; font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
.mistakes dt { color: var(--soft); } .mistakes dd { margin: 0; }
.mistakes .wrong { color: var(--two); } .mistakes .right { color: var(--one); }

.tagged { list-style: none; margin: 0; padding: 0; border-top: 1px solid var(--rule); }
.tagged > li { padding: .9rem 0; border-bottom: 1px solid var(--grid); }
.tagged > li > div { display: grid; grid-template-columns: 5rem minmax(0, 1fr); gap: 0 1rem; }
.tagged p { margin: 0; line-height: 1.9; overflow-wrap: anywhere; white-space: pre-line; }
.tagged .which { color: var(--soft); font-size: .875rem; line-height: 2.15; }
.tagged mark { color: inherit; background: none; padding: .1rem .25rem; border-radius: .2rem; }
.tagged mark small { margin-inline-start: .4em; font-size: .6875rem; font-weight: 600; }
.tagged .hit { background: rgb(var(--one-heat) / .18); } .tagged .hit small { color: var(--one); }
.tagged .wrong { background: rgb(var(--two-heat) / .22); } .tagged .wrong small { color: var(--two); }
.tagged .missed { outline: 1px dashed var(--two); } .tagged .missed small { color: var(--two); }

details { margin-top: .75rem; } .mistakes details { margin-top: .25rem; }
summary { color: var(--one); cursor: pointer; font-size: .875rem; }
details[open] > summary { margin-bottom: .5rem; }

@media (max-width: 40rem) {
  main { padding: 1.75rem 1rem 3rem; }
  h1 { font-size: 1.5rem; }
  section { margin-top: 2.25rem; }
  .tiles { display: grid; grid-template-columns: 1fr 1fr; gap: 1rem; }
  .tiles dd { font-size: 1.6rem; }
  .facts { grid-template-columns: repeat(auto-fill, minmax(8.5rem, 1fr)); }
  .mistakes > li, .tagged > li > div { grid-template-columns: minmax(0, 1fr); }
  .bar { display: none; }
  tbody bdi, .matrix tbody th bdi { max-width: 8rem; }
}
@media print {
  :root { --paper: #fff; --panel: #f5f7f9; --ink: #000; --soft: #444; --rule: #bbb; --grid: #ddd;
    --one: #00659e; --two: #b34700; --one-heat: 0 114 178; --two-heat: 213 94 0; color-scheme: light; }
  body { font-size: 10.5pt; }
  main { max-width: none; padding: 0; }
  .scroll { overflow: visible; }
  .charts { grid-template-columns: 1fr 1fr; }
  figure, tr, .mistakes > li, .tagged > li, .warnings { break-inside: avoid; }
  h2, .note, caption { break-after: avoid; }
  .matrix td, .bar, .bar i, mark { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
}
"""
