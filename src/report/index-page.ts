import { digits, escapeHtml, isolated, renderPage, renderTable } from "./html.ts";
import { PAGE_STYLE } from "./style.ts";

/** Many pictures, or prompts, with how each run fared on them. */
export interface IndexModel {
  readonly title: string;
  /** What the pages is of, in a sentence. */
  readonly about: string;
  /** At least one. */
  readonly runs: readonly string[];
  readonly items: readonly IndexItem[];
}

export interface IndexItem {
  readonly title: string;
  readonly tag: string;
  /** In the order of the runs; null where a run has no such item. */
  readonly outcomes: readonly (IndexOutcome | null)[];
}

export interface IndexOutcome {
  readonly passed: boolean;
  /** Why not, for people. */
  readonly reason: string;
  /** Address relative to the page. */
  readonly image: string | null;
}

const STYLE = `
form { display: flex; flex-wrap: wrap; gap: 8px 18px; margin: 12px 0; padding: 10px; border: 1px solid var(--line);
  border-radius: 8px; background: var(--card); }
form label { display: flex; gap: 6px; align-items: center; } select { max-width: 100%; font: inherit; }
ul.items { display: grid; grid-template-columns: repeat(auto-fill, minmax(230px, 1fr)); gap: 12px; list-style: none; padding: 0; }
ul.items > li { border: 1px solid var(--line); border-radius: 8px; padding: 8px; overflow-wrap: anywhere;
  content-visibility: auto; contain-intrinsic-size: auto 210px; }
ul.items > li[hidden] { display: none; }
.pictures { display: flex; gap: 8px; } .pictures > div { flex: 1 1 0; min-width: 0; max-width: 160px; }
.pictures img { width: 100%; aspect-ratio: 1; object-fit: contain; image-rendering: pixelated; background: var(--card); display: block; }
.title { margin: 0 0 4px; } .fail { color: var(--fail); } .pass { color: var(--kept); }
`;

const SCRIPT = `
(() => {
  const form = document.querySelector("form");
  const items = [...document.querySelectorAll("ul.items > li")];
  const count = document.getElementById("count");
  const value = (name) => form.elements[name] ? form.elements[name].value : "";
  const apply = () => {
    const [tag, outcome] = [value("tag"), value("outcome")];
    const [a, b] = [Number(value("run") || 0), Number(value("other") || 0)];
    let shown = 0;
    for (const item of items) {
      const [mine, theirs] = [item.dataset.o[a], item.dataset.o[b]];
      const fits = {
        "": true,
        pass: mine === "1",
        fail: mine === "0",
        flipped: mine !== theirs && mine !== "-" && theirs !== "-",
        better: mine === "1" && theirs === "0",
        worse: mine === "0" && theirs === "1",
      }[outcome];
      item.hidden = !(fits && (tag === "" || item.dataset.tag === tag));
      if (!item.hidden) shown++;
    }
    count.textContent = shown + " of " + items.length + " shown";
  };
  form.addEventListener("change", apply);
  form.addEventListener("submit", (event) => event.preventDefault());
  apply();
})();
`;

/** One page for all items, with filters; pictures are loaded when they come into view. */
export function renderIndex(model: IndexModel): string {
  const { title, about, runs, items } = model;
  const tags = [...new Set(items.map(({ tag }) => tag))];
  const body = [
    `<header class="page"><h1>${isolated(title)}</h1><p class="muted">${isolated(about)}</p></header>`,
    "<main>",
    `<section aria-labelledby="scores"><h2 id="scores">Passed, in percent</h2>${renderScores(model, tags)}</section>`,
    `<section aria-labelledby="items"><h2 id="items">All of them</h2>`,
    renderFilters(runs, tags),
    `<p id="count" role="status">${items.length} shown</p>`,
    `<ul class="items">${items.map((item) => renderItem(item, runs, tags)).join("\n")}</ul></section>`,
    "</main>",
  ].join("\n");
  return renderPage({ title, body, style: PAGE_STYLE + STYLE, script: SCRIPT, images: "'self' file: data:" });
}

function renderScores({ runs, items }: IndexModel, tags: readonly string[]): string {
  const rate = (run: number, tag: string | null): string => {
    const outcomes = items
      .filter((item) => tag === null || item.tag === tag)
      .flatMap(({ outcomes: all }) => (all[run] ? [all[run].passed] : []));
    if (outcomes.length === 0) return "";
    return digits((100 * outcomes.filter((passed) => passed).length) / outcomes.length, 1);
  };
  const rows = runs.map((name, run) => [name, ...tags.map((tag) => rate(run, tag)), rate(run, null)]);
  return renderTable("By tag, and of all items", ["run", ...tags, "all"], rows);
}

function renderFilters(runs: readonly string[], tags: readonly string[]): string {
  const select = (
    name: string,
    label: string,
    options: readonly (readonly [string, string])[],
    chosen = "",
  ): string =>
    `<label>${label} <select name="${name}">${options
      .map(
        ([value, text]) =>
          `<option value="${value}"${value === chosen ? " selected" : ""}>${escapeHtml(text)}</option>`,
      )
      .join("")}</select></label>`;
  const named = runs.map((name, at) => [String(at), name] as const);
  const several = runs.length > 1;
  return [
    `<form aria-label="Filters">`,
    select("tag", "Tag", [["", "all"], ...tags.map((tag, at) => [String(at), tag] as const)]),
    ...(several ? [select("run", "Run", named), select("other", "Other run", named, "1")] : []),
    select("outcome", "Outcome", [
      ["", "any"],
      ["pass", "passed"],
      ["fail", "failed"],
      ...(several
        ? ([
            ["flipped", "flipped between the two"],
            ["better", "passed, failed in the other"],
            ["worse", "failed, passed in the other"],
          ] as const)
        : []),
    ]),
    "</form>",
  ].join("");
}

function renderItem(
  { title, tag, outcomes }: IndexItem,
  runs: readonly string[],
  tags: readonly string[],
): string {
  const code = outcomes.map((outcome) => (outcome === null ? "-" : outcome.passed ? "1" : "0")).join("");
  const pictured = outcomes.some((outcome) => outcome?.image);
  const shown =
    pictured || runs.length === 1
      ? outcomes.map((outcome, at) => renderOutcome(outcome, at, title, runs))
      : [];
  const sums = outcomes.filter((outcome) => outcome?.passed).length;
  return (
    `<li data-tag="${tags.indexOf(tag)}" data-o="${code}"><p class="title">${isolated(title)} <span class="muted">${escapeHtml(tag)}</span></p>` +
    (shown.length > 0
      ? `<div class="pictures">${shown.join("")}</div>`
      : `<div>${sums} of ${runs.length} runs pass</div>`) +
    "</li>"
  );
}

function renderOutcome(
  outcome: IndexOutcome | null,
  at: number,
  title: string,
  runs: readonly string[],
): string {
  if (outcome === null) return "<div>not there</div>";
  const { passed, reason, image } = outcome;
  const name = runs.length > 1 ? `<span class="muted">${escapeHtml(runs[at]!)}</span> ` : "";
  const verdict = passed
    ? `<span class="pass">passed</span>`
    : `<span class="fail">failed${reason === "" ? "" : `: ${isolated(reason)}`}</span>`;
  const picture =
    image === null
      ? ""
      : `<img loading="lazy" width="160" height="160" src="${escapeHtml(image)}" alt="${escapeHtml(title)}">`;
  return `<div>${picture}${name}${verdict}</div>`;
}
