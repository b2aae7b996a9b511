// The report's style sheet: readable from 360 px to print, light and dark.
#pragma once

namespace sllm::project {

inline constexpr const char* kReportStyle = R"css(
:root{--ink:#1c2733;--soft:#5b6b7b;--line:#dde4ea;--paper:#f6f8fa;--card:#fff;--good:#1a7f4b;--bad:#b3372e;
--s0:#2f6fb2;--s1:#d9822b;--s2:#5a9a5f;--s3:#8c62a8;color-scheme:light dark}
@media (prefers-color-scheme:dark){:root{--ink:#e4eaf0;--soft:#9aa9b7;--line:#2d3843;--paper:#12181e;--card:#1a222a;
--good:#58c48c;--bad:#ef8379;--s0:#6aa9e8;--s1:#e7a45c;--s2:#86c48b;--s3:#bb95d4}}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.55 system-ui,"Noto Sans KR","Apple SD Gothic Neo","Malgun Gothic",sans-serif;overflow-wrap:break-word}
main{max-width:860px;margin:0 auto;padding:20px 16px 60px}
header{padding:12px 0 4px}
h1{font-size:1.7rem;line-height:1.2;margin:.1em 0}
h2{font-size:1.15rem;margin:0 0 .7em}
h3{font-size:1rem;margin:1.2em 0 .4em}
.goal{color:var(--soft);margin:.2em 0 1em}
.verdict{border-left:6px solid;border-radius:8px;background:var(--card);padding:14px 16px;font-size:1.15rem;font-weight:600}
.verdict.good{border-color:var(--good)}.verdict.bad{border-color:var(--bad)}
section{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:18px 16px;margin-top:16px}
table{border-collapse:collapse;width:100%}
th,td{text-align:left;padding:7px 10px 7px 0;border-bottom:1px solid var(--line);vertical-align:top}
th{font-weight:600;color:var(--soft);font-size:.85rem}
tr:last-child td{border-bottom:0}
td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}td.n{white-space:nowrap}
.wide{overflow-x:auto}.wide table{font-size:.92rem}
.se{color:var(--soft);font-size:.85em;white-space:nowrap}
.role{color:var(--soft);font-size:.85rem;display:block;font-weight:400}
.mark{font-weight:700}.mark.good{color:var(--good)}.mark.bad{color:var(--bad)}
.note{color:var(--soft);font-size:.9rem;margin:.5em 0 0}
.facts{display:flex;flex-wrap:wrap;gap:8px 28px;margin:0 0 .6em}
.facts div{min-width:100px}.facts b{display:block;font-size:1.25rem}
svg{width:100%;max-width:660px;height:auto;display:block;margin:.3em 0}
svg text{font-size:10px;fill:var(--ink)}svg .tick{fill:var(--soft);font-size:9px}svg .label{font-weight:600}
svg .grid{stroke:var(--line)}svg .whisker{stroke:var(--ink);stroke-width:1.5}svg .bound{stroke:var(--bad);stroke-width:2}
svg .thin{fill:none;stroke:var(--s0);stroke-opacity:.35}svg .curve{fill:none;stroke:var(--s0);stroke-width:2}
svg .series0{fill:var(--s0)}svg .series1{fill:var(--s1)}svg .series2{fill:var(--s2)}svg .series3{fill:var(--s3)}
svg .trained{fill:none;stroke:var(--soft);stroke-opacity:.3}svg .evaluated{fill:none;stroke:var(--s0);stroke-opacity:.5;stroke-width:1.5}svg .dot{fill:var(--s0);fill-opacity:.6}
svg .trained.best{stroke:var(--s1);stroke-opacity:.45}svg .evaluated.best{stroke:var(--s1);stroke-opacity:1;stroke-width:2.5}svg .dot.best{fill:var(--s1);fill-opacity:1}
tr.best td{font-weight:600}
.answer{border-top:1px solid var(--line);padding:12px 0}
.answer:first-of-type{border-top:0}
.answer dl{display:grid;grid-template-columns:6.5em 1fr;gap:2px 10px;margin:.3em 0}
.answer dt{color:var(--soft);font-size:.85rem;padding-top:2px}.answer dd{margin:0}
code,pre{font:.88rem/1.5 ui-monospace,"D2Coding",Consolas,monospace}
dd pre,pre{margin:0;white-space:pre-wrap;overflow-wrap:anywhere;background:var(--paper);border-radius:6px;padding:4px 8px}
summary{cursor:pointer;font-weight:600;padding:4px 0}
@media (max-width:640px){
.cards thead{display:none}.cards tr{display:block;border-bottom:1px solid var(--line);padding:8px 0}.cards tr:last-child{border:0}
.cards td{display:flex;justify-content:space-between;gap:12px;border:0;padding:2px 0;text-align:right}
.cards td::before{content:attr(data-label);color:var(--soft);font-size:.85rem;text-align:left}
.cards td:first-child{font-weight:600;text-align:left}.cards td:first-child::before{content:none}
.answer dl{grid-template-columns:1fr}.answer dt{padding-top:6px}
svg text{font-size:14px}svg .tick{font-size:13px}}
@media print{body{background:#fff}section{break-inside:avoid}}
)css";

}  // namespace sllm::project
