// The style sheet of all pages.
#include "milter/page/page.h"

namespace page {

const std::string_view kStyle = R"(
:root { color-scheme: light dark; --paper: #fff; --ink: #1a1c1f; --soft: #565d65; --line: #d0d5db;
  --link: #0b57d0; --seg: #9db7d5; --seg2: #bccfe4; --write: #d9b98a; --write2: #e7d2b3; --fixed: #d9725c;
  --late: #d7a021; --mark: #7a2e8e; --bad: #a01b14; --good: #1f6f2b; --odd: #7a5200; --fill: #9db7d5; }
@media (prefers-color-scheme: dark) { :root { --paper: #15181c; --ink: #e6e8ea; --soft: #a3acb6; --line: #3a4149;
  --link: #8ab4f8; --seg: #41638a; --seg2: #2f4a69; --write: #7d5f2a; --write2: #664e24; --fixed: #a83e2a;
  --late: #805c0e; --mark: #d29be0; --bad: #ff8a80; --good: #81c784; --odd: #e0b050; --fill: #2f4a69; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 70rem; padding: 1rem; background: var(--paper); color: var(--ink);
  font: 1rem/1.5 system-ui, sans-serif; overflow-wrap: break-word; }
bdi, code { overflow-wrap: anywhere; } .whole { white-space: nowrap; }
a { color: var(--link); } a:focus-visible, summary:focus-visible { outline: 3px solid var(--link); outline-offset: 2px; }
.skip { position: absolute; left: -99rem; } .skip:focus { position: static; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.2rem; margin: 2rem 0 .3rem; } h3 { font-size: 1.05rem; margin: 0; }
section.message { border-top: 1px solid var(--line); padding: 1rem 0; }
.bad { color: var(--bad); } .good { color: var(--good); } .odd { color: var(--odd); } .soft { color: var(--soft); }
dl.facts { display: flex; flex-wrap: wrap; gap: .2rem 1.4rem; margin: .4rem 0; } dl.facts div { display: flex; gap: .4rem; }
dl.facts dt { color: var(--soft); } dl.facts dd { margin: 0; font-variant-numeric: tabular-nums; }
dl.terms dt { font-weight: 600; } dl.terms dd { margin: 0 0 .5rem; }
svg { display: block; width: 100%; } svg.picture { height: 100px; } svg.mini { height: 20px; min-width: 6rem; }
svg.square { max-width: 24rem; } svg.key { display: inline-block; width: 1.6rem; height: .9rem; vertical-align: -.1rem; }
svg text { font: 11px system-ui, sans-serif; fill: var(--ink); } svg .m { text-anchor: middle; }
svg .marks { fill: var(--mark); } svg .e { text-anchor: end; }
rect { stroke: var(--paper); stroke-width: .5; }
.s { fill: var(--seg); } .s2 { fill: var(--seg2); } .w { fill: var(--write); } .w2 { fill: var(--write2); }
.resent { fill: var(--fixed); } .late { fill: var(--late); } .hole { stroke: var(--bad); stroke-width: 3; }
.mark { stroke: var(--mark); stroke-dasharray: 3 2; }
.scale { margin: .4rem 0 0; font-size: .85rem; } ul { margin: .3rem 0; padding-left: 1.2rem; }
code { font-size: .8rem; color: var(--soft); }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; margin: .5rem 0 1.5rem; }
caption { text-align: left; color: var(--soft); } caption h2 { color: var(--ink); }
th, td { text-align: left; padding: .2rem .8rem .2rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
th { font-weight: 600; } th .soft { font-weight: 400; } table.wraps td { min-width: 4rem; } td[data-name=client] bdi { display: inline-block; min-width: 8.5rem; } td.number, th.number { text-align: right; }
.scroll { overflow-x: auto; }
.missed { color: var(--bad); font-weight: 600; } .met { color: var(--good); }
.tall { writing-mode: vertical-rl; transform: rotate(180deg); text-align: left; }
.right1 { background: rgb(40 110 200 / .15); } .right2 { background: rgb(40 110 200 / .35); }
.right3 { background: rgb(40 110 200 / .55); } .wrong1 { background: rgb(200 50 50 / .15); }
.wrong2 { background: rgb(200 50 50 / .3); } .wrong3 { background: rgb(200 50 50 / .45); }
svg.bars { height: 238px; } pattern rect { stroke: none; } pattern path { stroke: #fff; stroke-opacity: .75; stroke-width: 1.2; } ul.kinds { display: flex; flex-wrap: wrap; gap: .2rem 1.2rem; padding: 0; list-style: none; }
.k0 { fill: #b5442f; } .k1 { fill: #d7822b; } .k2 { fill: #c9a227; } .k3 { fill: #a8577e; } .k4 { fill: #7562a8; }
.k5 { fill: #3d7ea6; } .k6 { fill: #5b8c3e; } .k7 { fill: #7b8794; }
svg .over { paint-order: stroke; stroke: var(--paper); stroke-width: 3px; }
header { display: flex; flex-wrap: wrap; gap: .2rem 1.5rem; border-bottom: 1px solid var(--line); padding-bottom: .4rem; align-items: baseline; }
nav { display: flex; flex-wrap: wrap; gap: 0 1rem; } nav a { padding: .3rem 0; } nav [aria-current] { font-weight: 700; color: var(--ink); }
figure { margin: 0; } pre { white-space: pre-wrap; overflow-wrap: anywhere; background: none; border-left: 3px solid var(--line); padding-left: .8rem; }
pre, kbd { font-size: .85rem; } .note { border-left: 4px solid var(--odd); padding-left: .8rem; }
.note.bad { border-color: var(--bad); } .note.good { border-color: var(--good); }
form { display: flex; flex-wrap: wrap; gap: .5rem .8rem; align-items: end; margin: .8rem 0; } label { display: flex; flex-direction: column; font-size: .85rem; }
input, select, button { font: inherit; color: var(--ink); background: var(--paper); border: 1px solid var(--soft); border-radius: .2rem; padding: .2rem .4rem;
  min-height: 2rem; max-width: 100%; } input:focus-visible, select:focus-visible, button:focus-visible { outline: 3px solid var(--link); outline-offset: 2px; }
p.pages { display: flex; flex-wrap: wrap; gap: .3rem 1.2rem; } p.pages a { padding: .3rem 0; } footer { color: var(--soft); font-size: .85rem; border-top: 1px solid var(--line); margin-top: 2rem; }
.plot { stroke: currentColor; stroke-opacity: .5; fill: none; } .point { fill: var(--link); stroke: var(--link); }
@media (max-width: 48rem) { body { padding: .6rem; } th, td { padding-right: .3rem; } svg .wide { display: none; } .whole { white-space: normal; }
  table.wraps thead { position: absolute; left: -99rem; } table.wraps tr, table.wraps td, table.wraps th { display: block; border: 0; }
  table.wraps tr { border-bottom: 1px solid var(--line); padding: .4rem 0; } table.wraps td.number { text-align: left; }
  table.wraps td[data-name]::before { content: attr(data-name) ": "; color: var(--soft); } }
@media print { body { max-width: none; } nav, form, .skip, p.pages, footer { display: none; } details > * { display: block; } }
)";

}  // namespace page
