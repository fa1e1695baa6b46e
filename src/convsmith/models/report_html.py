"""An explanation as one page that needs nothing else: no network, no script."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from convsmith.models import report_pictures
from convsmith.models.report import Explanation, LayerReport, amount, shape_text
from convsmith.models.report_text import (
    axis_text,
    cost_text,
    effective_text,
    field_text,
    intensity_text,
    percent,
)

STYLE = """
:root{--ink:#22303c;--faint:#dfe5ea;--soft:#5d6b77;--red:#c8502d;--blue:#2f6f9f;--ground:#f6f8f9}
*{box-sizing:border-box}
body{margin:0;background:var(--ground);color:var(--ink);
 font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif}
main{max-width:1320px;margin:0 auto;padding:32px 24px 64px}
h1{font-size:28px;margin:0 0 2px;overflow-wrap:anywhere}
h2{font-size:18px;margin:36px 0 12px}
h3{font-size:15px;margin:0;overflow-wrap:anywhere}
.soft{color:var(--soft)}
.totals{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:12px;
 margin:24px 0}
.totals div,.card,.list{background:#fff;border:1px solid var(--faint);border-radius:8px}
.totals div{padding:12px 16px}
.totals b{display:block;font-size:22px;font-variant-numeric:tabular-nums}
.list{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-size:14px;font-variant-numeric:tabular-nums}
th,td{padding:5px 10px;text-align:left;white-space:nowrap}
th:first-child,td:first-child{padding-left:16px}
th{font-size:12px;color:var(--soft);font-weight:600;border-bottom:1px solid var(--faint)}
tbody tr+tr td{border-top:1px solid #eef1f3}
td.n,th.n{text-align:right}
td.name{font-weight:600;max-width:280px;overflow:hidden;text-overflow:ellipsis}
td.bar{min-width:120px}
.bar span{display:inline-block;height:10px;border-radius:2px;background:var(--blue);
 vertical-align:middle;margin-right:8px}
a{color:inherit}
.mark{color:var(--red);font-weight:700}
.cards{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,540px),1fr));gap:16px}
.card{padding:16px 18px}
.card code{display:block;margin:8px 0;padding:6px 10px;background:var(--ground);border-radius:5px;
 font:13px/1.5 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;overflow-wrap:anywhere}
.card dl{display:grid;grid-template-columns:84px 1fr;gap:3px 12px;margin:10px 0 0;font-size:13px}
.card dt{color:var(--soft)}
.card dd{margin:0;overflow-wrap:anywhere}
.pictures{display:flex;flex-wrap:wrap;gap:20px;align-items:flex-end;margin-top:12px}
figure{margin:0}
figcaption{font-size:12px;color:var(--soft);margin-top:4px}
.pictures figure{max-width:300px}
.pictures figure:last-child{max-width:150px}
.pictures img{display:block;max-width:100%;max-height:150px;image-rendering:pixelated;
 border:1px solid var(--faint)}
.rf .input{fill:#fff;stroke:#9aa7b1}
.rf .field{fill:#2f6f9f;fill-opacity:.25;stroke:#2f6f9f}
.rf .effective{fill:#c8502d;fill-opacity:.45;stroke:#c8502d}
.warning{border-left:4px solid var(--red);background:#fff;border-radius:0 8px 8px 0;
 padding:10px 16px;margin:0 0 10px}
.warning p{margin:2px 0}
details summary{cursor:pointer;color:var(--soft);font-size:13px;margin-top:8px}
"""


def page(explanation: Explanation) -> str:
    """Return the page."""
    one = explanation
    inputs = ", ".join(map(shape_text, one.inputs))
    target = f"{one.backend}, {one.mode}, {one.device}"
    windowed = [r for r in one.layers if r.patterns]
    return "\n".join(
        [
            "<!DOCTYPE html>",
            '<html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escape(one.name)}, explained</title>",
            f"<style>{STYLE}</style></head><body><main>",
            f"<h1>{escape(one.name)}</h1>",
            f'<div class="soft">input {inputs}; planned for {target}</div>',
            _totals(one),
            *_warnings(one),
            "<h2>Layers</h2>",
            _table(one),
            *(["<h2>Convolutions and poolings</h2>"] if windowed else []),
            '<div class="cards">',
            *(_card(r, f"layer-{number}") for number, r in enumerate(one.layers) if r.patterns),
            "</div>",
            "</main></body></html>",
        ]
    )


def _totals(one: Explanation) -> str:
    count = len(one.warnings)
    entries = [
        (amount(one.parameters), "parameters"),
        (amount(one.macs), "multiply-adds" + (", without the unknown" if one.uncounted else "")),
        (amount(one.bytes, "B"), "moved by all layers"),
        (str(len(one.layers)), "layer" if len(one.layers) == 1 else "layers"),
        (str(count), "warning" if count == 1 else "warnings"),
    ]
    cells = "".join(f"<div><b>{value}</b>{title}</div>" for value, title in entries)
    return f'<div class="totals">{cells}</div>'


def _warnings(one: Explanation) -> Iterable[str]:
    if not one.warnings:
        return
    yield "<h2>Warnings</h2>"
    found: dict = {}
    for name, warning in one.warnings:
        found.setdefault(warning, []).append(name)
    for warning, names in found.items():
        yield (
            f'<div class="warning"><h3>{escape(warning.kind)}: {escape(", ".join(names))}</h3>'
            f"<p>{escape(warning.problem)}.</p><p>Try: {escape(warning.fix)}.</p></div>"
        )


def _table(one: Explanation) -> str:
    effective = any(f.effective is not None for r in one.layers for f in r.receptive_field)
    titles = ["layer", "kind", "output", "parameters", "MACs", "share", "bytes", "FLOP/B", "field"]
    titles += ["effective"] if effective else []
    numbers = {"parameters", "MACs", "bytes", "FLOP/B", "field", "effective"}
    largest = max((r.share or 0.0 for r in one.layers), default=0.0) or 1.0
    head = "".join(f"<th{_right(t in numbers)}>{t}</th>" for t in (*titles, "lowering"))
    rows: list[str] = []
    for number, r in enumerate(one.layers):
        name = escape(r.name)
        if r.patterns:
            name = f'<a href="#layer-{number}">{name}</a>'
        if r.warnings:
            name += ' <span class="mark" title="has warnings">!</span>'
        width = 70 * (r.share or 0.0) / largest
        bar = f'<span style="width:{width:.1f}px"></span>' if width >= 0.5 else ""
        cells = [
            f'<td class="name" title="{escape(r.name)}">{name}</td>',
            f"<td>{escape(r.kind)}</td>",
            f"<td>{', '.join(shape_text(s[1:]) for s in r.output_shapes)}</td>",
            f'<td class="n">{amount(r.parameters)}</td>',
            f'<td class="n">{amount(r.macs)}</td>',
            f'<td class="bar">{bar}{percent(r.share)}</td>',
            f'<td class="n">{amount(r.bytes, "B")}</td>',
            f'<td class="n">{intensity_text(r)}</td>',
            f'<td class="n">{field_text(r.receptive_field)}</td>',
        ]
        if effective:
            cells.append(f'<td class="n">{effective_text(r.receptive_field)}</td>')
        cells.append(f"<td>{escape(r.lowering)}</td>")
        rows.append(f"<tr>{''.join(cells)}</tr>")
    return (
        f'<div class="list"><table><thead><tr>{head}</tr></thead><tbody>'
        + "\n".join(rows)
        + "</tbody></table></div>"
    )


def _right(wanted: bool) -> str:
    return ' class="n"' if wanted else ""


def _card(r: LayerReport, anchor: str) -> str:
    shapes = " -> ".join(
        ", ".join(map(shape_text, side)) for side in (r.input_shapes, r.output_shapes)
    )
    rows = [
        ("sizes", "<br>".join(map(escape, r.arithmetic))),
        ("cost", escape(cost_text(r))),
        ("sees", "<br>".join(escape(axis_text(f)) for f in r.receptive_field)),
        ("lowering", escape(r.lowering)),
    ]
    entries = "".join(f"<dt>{title}</dt><dd>{value}</dd>" for title, value in rows if value)
    reasons = "<br>".join(map(escape, r.why))
    return (
        f'<section class="card" id="{anchor}"><h3>{escape(r.name)}</h3>'
        f'<div class="soft">{escape(r.kind)}, {escape(shapes)}</div>'
        + "".join(f"<code>{escape(pattern)}</code>" for pattern in r.patterns)
        + f"<dl>{entries}</dl><details><summary>why this lowering</summary>{reasons}</details>"
        + _pictures(r)
        + "</section>"
    )


def _pictures(r: LayerReport) -> str:
    made: list[str] = []
    if r.kernel is not None and r.kernel.values.size:
        shown, count = report_pictures.filters(r.kernel)
        size = "x".join(map(str, r.kernel.values.shape[: r.kernel.rank]))
        caption = f"{count} kernels of {size}" if count > 1 else f"a kernel of {size}"
        caption += f", the first {len(shown)}" if count > len(shown) else ""
        made.append(
            f'<figure><img alt="{caption}" src="{report_pictures.kernel_png(r.kernel)}">'
            f"<figcaption>{caption}; red above zero, blue below</figcaption></figure>"
        )
    svg = report_pictures.field_svg(r.receptive_field)
    if svg:
        measured = any(f.effective is not None for f in r.receptive_field)
        caption = "what a central position sees" + ("; red: effective" if measured else "")
        made.append(f"<figure>{svg}<figcaption>{caption}</figcaption></figure>")
    return f'<div class="pictures">{"".join(made)}</div>' if made else ""
