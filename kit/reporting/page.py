"""Cards become one page that asks nothing of anyone: its style and its pictures lie in it, and it has no script.

Its policy forbids all requests, so that a browser would refuse one even if something of the data had become markup.
"""

from kit.reporting.cards import Card
from kit.reporting.markup import Html, clean, el, joined

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; media-src data:; base-uri 'none'; form-action 'none'"


def page(title: str, *, eyebrow: str, told: str, head: Html, tiles: Html, cards: list[Card], below: list[Html]) -> str:
    """A whole HTML document."""
    grid = el("div", *(el("section", el("h2", c.title), el("p", c.note, class_="note") if c.note else "", c.body, class_="card wide" if c.wide else "card") for c in cards), class_="grid")
    header = el("header", el("p", clean(eyebrow, 120), class_="eyebrow"), el("h1", clean(title, 80)), el("p", clean(told, 200), class_="told"))
    body = el("main", header, el("div", head, tiles, class_="top"), grid, joined(below))
    meta = [
        el("meta", charset="utf-8"),
        el("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        el("meta", name="viewport", content="width=device-width, initial-scale=1"),
        el("meta", name="color-scheme", content="light dark"),
        el("meta", name="referrer", content="no-referrer"),
        el("link", rel="icon", href="data:,"),
        el("title", f"{clean(title, 80)} · {clean(eyebrow, 80)}"),
        el("style", Html(STYLE)),
    ]
    return "<!doctype html>\n" + el("html", el("head", *meta), el("body", body), lang="en") + "\n"


STYLE = """
:root{--page:#f6f6f3;--card:#fff;--text:#1c1d20;--soft:#63676e;--line:#e5e5e0;--axis:#b9bbb8;--a:#2d5fc4;--b:#d0652f;--good:#1f7d5b;--bad:#c2453a;--quiet:#b4b8bd;
--c1:#2d5fc4;--c2:#d98a1f;--c3:#1f8f6f;--c4:#b8508f;--c5:#5fa8d8;--c6:#8a6a3c;--c7:#7b5bc0;--over:#fff}
@media (prefers-color-scheme:dark){:root{--page:#121315;--card:#1b1d20;--text:#e9e9e6;--soft:#9da2a9;--line:#2c2f33;--axis:#55595f;--a:#7ba4f5;--b:#ee9560;--good:#5cc49a;--bad:#f08579;--quiet:#5b6067;
--c1:#7ba4f5;--c2:#edb04f;--c3:#54c39d;--c4:#e08bc0;--c5:#8fcbee;--c6:#c2a06c;--c7:#ab91ec;--over:#0f1012}}
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--text);font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif;font-variant-numeric:tabular-nums;-webkit-text-size-adjust:100%}
main{max-width:1240px;margin:0 auto;padding:40px 32px 64px}
h1{font-size:28px;line-height:1.2;font-weight:650;letter-spacing:-.015em;margin:2px 0 4px;overflow-wrap:anywhere}
h2{font-size:15px;font-weight:620;margin:0}
h3{font-size:13px;font-weight:620;color:var(--soft);margin:20px 0 10px}
p{margin:0}
.eyebrow{color:var(--soft);font-size:13px;overflow-wrap:anywhere}
.told,.note{color:var(--soft);font-size:13px;overflow-wrap:anywhere}
.note{margin:1px 0 10px;text-wrap:pretty}
.top{display:grid;grid-template-columns:minmax(0,5fr) minmax(0,7fr);gap:20px 48px;align-items:end;margin:32px 0 36px}
.score{font-size:60px;line-height:1.1;font-weight:680;letter-spacing:-.03em;margin:2px 0 8px}
.spread{font-size:24px;font-weight:400;color:var(--soft);letter-spacing:0;white-space:nowrap}
.head p{overflow-wrap:anywhere}
.good{color:var(--good)}.bad,.warn{color:var(--bad)}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(120px,1fr));gap:0 28px;margin:0}
.tiles div{border-top:1px solid var(--line);padding:10px 0 14px}
.tiles dt{color:var(--soft);font-size:12.5px}
.tiles dd{margin:0;font-size:20px;font-weight:560;letter-spacing:-.01em}
.tiles small{display:block;font-size:12.5px;font-weight:400;color:var(--soft);letter-spacing:0}
.grid{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,340px),1fr));gap:20px;grid-auto-flow:dense}
.card,section.wide{background:var(--card);border:1px solid var(--line);border-radius:12px;padding:18px 20px 16px;min-width:0}
.card.wide{grid-column:1/-1}
section.wide{margin-top:20px}
.missing{color:var(--soft)}
svg.chart{display:block;width:100%;height:auto;max-width:420px;margin:0 auto;overflow:visible}
.wide svg.chart{max-width:1000px}
text{fill:var(--text);font-size:10.5px;font-family:inherit}
.tick{fill:var(--soft)}.strong{fill:var(--text);font-weight:650}.label{fill:var(--soft)}.end{text-anchor:end}.mid{text-anchor:middle}
.within{fill:var(--text)}text.over{fill:var(--over)}
.grid line.grid,line.grid{stroke:var(--line);stroke-width:1}
.axis{stroke:var(--axis);stroke-width:1}
.reference{stroke:var(--soft);stroke-width:1.2;stroke-dasharray:3 3;fill:none}.reference.mean{stroke-dasharray:none;stroke:var(--axis)}
.mark{stroke:var(--text);stroke-width:1.6}
.line{fill:none;stroke-width:1.7;stroke-linecap:round;stroke-linejoin:round}.line.thin{stroke-width:1.1;opacity:.6}
.line.a{stroke:var(--a)}.line.b{stroke:var(--b)}.line.quiet{stroke:var(--quiet)}
.dot.a,.bar.a,.key.a{fill:var(--a);background:var(--a)}.dot.b,.bar.b,.key.b{fill:var(--b);background:var(--b)}.dot.quiet,.bar.quiet,.key.quiet{fill:var(--quiet);background:var(--quiet)}
.bar{opacity:.85}.bar.over{opacity:.58}.dot.faint{opacity:.45}
.cell.empty{fill:var(--line);opacity:.45}.cell.right{fill:var(--a)}.cell.wrong{fill:var(--b)}
.dot.c1,.key.c1{fill:var(--c1);background:var(--c1)}.dot.c2,.key.c2{fill:var(--c2);background:var(--c2)}.dot.c3,.key.c3{fill:var(--c3);background:var(--c3)}.dot.c4,.key.c4{fill:var(--c4);background:var(--c4)}
.dot.c5,.key.c5{fill:var(--c5);background:var(--c5)}.dot.c6,.key.c6{fill:var(--c6);background:var(--c6)}.dot.c7,.key.c7{fill:var(--c7);background:var(--c7)}
.dot[class*=" c"].faint{opacity:.7}
.frame{fill:none;stroke-width:1.6}.frame.quiet{stroke:var(--quiet)}.frame.c1{stroke:var(--c1)}.frame.c2{stroke:var(--c2)}.frame.c3{stroke:var(--c3)}.frame.c4{stroke:var(--c4)}.frame.c5{stroke:var(--c5)}.frame.c6{stroke:var(--c6)}.frame.c7{stroke:var(--c7)}
.legend{display:flex;flex-wrap:wrap;gap:4px 16px;font-size:12.5px;color:var(--soft);margin-top:8px;justify-content:center}
.legend span{overflow-wrap:anywhere}.key{display:inline-block;width:9px;height:9px;border-radius:50%;margin-right:6px}
.specimens{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,176px),1fr));gap:14px}
article{border:1px solid var(--line);border-radius:10px;padding:12px;min-width:0;font-size:13px;display:flex;flex-direction:column;gap:9px;overflow-wrap:anywhere}
article img{display:block;border-radius:6px;align-self:flex-start;width:auto;height:96px;max-width:100%;object-fit:contain}
img.squares{image-rendering:pixelated}
.words{line-height:1.45;white-space:pre-wrap}
.cells{display:grid;grid-template-columns:minmax(0,1fr) fit-content(58%);gap:1px 8px;margin:0;font-size:12.5px}
.cells dt{color:var(--soft)}.cells dd{margin:0;text-align:right}
.verdict{margin-top:auto;border-top:1px solid var(--line);padding-top:8px}.verdict span{color:var(--soft);display:inline-block;min-width:32px}.verdict b{font-weight:600}
.id{color:var(--soft);font-size:11.5px}
.gone{color:var(--soft);border:1px dashed var(--axis);border-radius:6px;padding:6px 8px;font-size:12px;align-self:flex-start}
.sound{display:flex;flex-direction:column;gap:6px}
svg.outline{width:100%;height:36px;display:block}.wave{stroke:var(--a);stroke-width:1.3;stroke-linecap:round}
audio{width:100%;height:34px}
.found{display:flex;flex-wrap:wrap;gap:5px}
.near{border:2px solid;border-radius:6px;padding:1px;font-size:11px;max-width:100%;line-height:1.3}.near img{height:36px;border-radius:3px}.near svg.outline{width:44px;height:20px}.near .gone{border:0;padding:2px}
pre{margin:10px 0 0;padding:12px 14px;background:var(--page);border:1px solid var(--line);border-radius:8px;font:13px/1.5 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;white-space:pre-wrap;overflow-wrap:anywhere}
.facts{display:grid;grid-template-columns:max-content minmax(0,1fr);gap:4px 20px;margin:14px 0 0;font-size:13px}
.facts dt{color:var(--soft)}.facts dd{margin:0;overflow-wrap:anywhere}
@media (max-width:820px){.top{grid-template-columns:minmax(0,1fr);gap:24px;margin:24px 0 28px}}
@media (max-width:520px){main{padding:24px 14px 40px}.score{font-size:48px}.grid{gap:14px}.card,section.wide{padding:16px 14px 14px;border-radius:10px}.specimens{grid-template-columns:repeat(2,minmax(0,1fr));gap:10px}.specimens:has(audio),.specimens:has(.words){grid-template-columns:minmax(0,1fr)}.facts{grid-template-columns:minmax(0,1fr);gap:0}.facts dd{margin-bottom:8px}}
@media print{body{background:#fff}.card,article{break-inside:avoid}}
"""
