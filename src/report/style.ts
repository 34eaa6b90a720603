/** Style of all pages that this program writes: light and dark, from a phone's width on. */
export const PAGE_STYLE = `
:root { color-scheme: light dark; --ink: #1f2328; --muted: #57606a; --page: #ffffff; --card: #f6f8fa; --line: #d0d7de;
  --kept: #1a7f37; --answer: #9a6700; --fail: #b42318; --link: #0550ae; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --muted: #9aa4b0; --page: #0d1117; --card: #161b22;
  --line: #343b44; --kept: #3fb950; --answer: #e3b341; --fail: #ff7b72; --link: #79b8ff; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); font: 16px/1.5 system-ui, "DejaVu Sans", sans-serif; }
main, header.page, footer { max-width: 1180px; margin: 0 auto; padding: 0 16px; }
h1 { font-size: 1.35rem; line-height: 1.3; margin: 20px 0 8px; overflow-wrap: anywhere; }
h2 { font-size: 1.1rem; margin: 32px 0 8px; }
p { margin: 8px 0; }
a { color: var(--link); }
.muted, caption, figcaption { color: var(--muted); }
.prompt { max-height: 12em; overflow: auto; overflow-wrap: anywhere; white-space: pre-wrap; }
.wide { overflow-x: auto; border: 1px solid var(--line); border-radius: 8px; padding: 8px; background: var(--card); }
:focus-visible { outline: 3px solid var(--link); outline-offset: 2px; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; background: var(--card); border: 1px solid var(--line);
  border-radius: 8px; padding: 10px; margin: 8px 0; font-size: 0.9rem; max-height: 16em; overflow-y: auto; }
table { border-collapse: collapse; font-size: 0.9rem; }
caption { text-align: left; padding: 2px 6px; }
th, td { text-align: left; padding: 3px 10px 3px 6px; border-top: 1px solid var(--line); vertical-align: top; }
td.number { text-align: right; font-variant-numeric: tabular-nums; }
summary { cursor: pointer; padding: 4px 0; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 2px 14px; margin: 8px 0; }
dt { color: var(--muted); } dd { margin: 0; overflow-wrap: anywhere; }
figure { margin: 12px 0; } figure svg { display: block; min-width: 600px; }
.skip { position: absolute; left: -9999px; } .skip:focus { left: 8px; top: 8px; background: var(--page); padding: 6px; }
@media print { .wide { overflow: visible; } }
`;

/** What the report of one search has besides. */
export const REPORT_STYLE = `
.answer { display: grid; grid-template-columns: minmax(0, 420px) minmax(0, 1fr); gap: 20px; align-items: start; }
.answer img { width: 100%; image-rendering: pixelated; border: 4px solid var(--answer); border-radius: 6px; display: block; }
.answer img.large { image-rendering: auto; }
@media (max-width: 700px) { .answer { grid-template-columns: minmax(0, 1fr); } }
.fail { color: var(--fail); } .pass { color: var(--kept); }
ul.atoms { list-style: none; padding: 0; margin: 4px 0; }
.tree { display: block; margin: 0 auto; font-size: 11px; fill: var(--ink); }
.tree .stage { font-size: 13px; font-weight: 600; paint-order: stroke; stroke: var(--card); stroke-width: 5px; }
.tree image { image-rendering: pixelated; }
.tree .score { fill: var(--muted); }
.tree .frame { fill: none; stroke: var(--line); stroke-width: 1.5; }
.tree .kept .frame, .tree .finished .frame { stroke: var(--kept); stroke-width: 3; }
.tree .answer .frame { stroke: var(--answer); stroke-width: 5; }
.tree .dropped .frame { stroke: var(--muted); stroke-dasharray: 4 3; }
.tree .dropped image { opacity: 0.5; }
.tree .blind { fill: var(--muted); }
.tree .link { fill: none; stroke: var(--line); stroke-width: 1.5; }
.tree .link.copy { stroke-dasharray: 5 3; stroke: var(--link); }
.tree .link.answer { stroke: var(--answer); stroke-width: 2.5; }
.tree .cell:focus { outline: none; }
.tree .cell:focus .frame, .tree .cell.marked .frame { stroke: var(--link); stroke-width: 5; stroke-dasharray: none; }
.tree .cell { cursor: pointer; }
.detail { display: flex; gap: 14px; min-height: 112px; align-items: flex-start; margin: 8px 0; padding: 8px;
  border: 1px solid var(--line); border-radius: 8px; background: var(--card); }
.detail img { width: 96px; image-rendering: pixelated; flex: none; }
.detail ul { margin: 0; padding-left: 18px; columns: 2 180px; flex: 1; }
.legend { display: flex; flex-wrap: wrap; gap: 4px 16px; list-style: none; padding: 0; margin: 4px 0; font-size: 0.9rem; }
.swatch { display: inline-block; width: 12px; height: 12px; margin-right: 6px; border-radius: 2px; vertical-align: -1px; }
.finalists { display: grid; grid-template-columns: repeat(auto-fill, minmax(150px, 1fr)); gap: 14px; list-style: none; padding: 0; }
.finalists img { width: 128px; max-width: 100%; image-rendering: pixelated; display: block; border: 3px solid var(--line); }
.finalists .best img { border-color: var(--answer); }
`;
