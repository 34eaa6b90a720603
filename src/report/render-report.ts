import { COST_KINDS } from "../core/budget.ts";
import { chartBudget, chartCosts, chartRewards, legendOf } from "./charts.ts";
import { digits, escapeHtml, isolated, renderPage, renderTable, shortened } from "./html.ts";
import type { ReportFinalist, ReportModel } from "./report-model.ts";
import { REPORT_SCRIPT } from "./report-script.ts";
import { PAGE_STYLE, REPORT_STYLE } from "./style.ts";
import { type PreviewOf, renderTree } from "./tree-figure.ts";

/** Candidates that a table lists by stage; more are in the trace. */
const MOST_ROWS = 600;
/** Characters of a prompt that stand in the heading. */
const MOST_TITLE = 240;

export interface ReportPictures {
  /** The answer at its size, as a data URI; null as long as there is none. */
  readonly answer: string | null;
  readonly preview: PreviewOf;
}

/** One page with all there is to see of a search. It needs no network and no other file. */
export function renderReport(model: ReportModel, pictures: ReportPictures): string {
  const title = `${shortened(model.prompt, 80)} - ${model.strategy}, seed ${model.seed}`;
  const body = [
    `<a class="skip" href="#tree">To the candidates</a>`,
    `<header class="page"><h1 dir="auto">${isolated(shortened(model.prompt, MOST_TITLE))}</h1>${renderWhole(model.prompt, "Prompt")}${renderSubtitle(model)}</header>`,
    "<main>",
    renderAnswer(model, pictures),
    renderCandidates(model, pictures.preview),
    renderFinalists(model, pictures.preview),
    renderRewards(model),
    renderCosts(model),
    renderRecipe(model),
    "</main>",
    `<footer><p class="muted">Written by tts-var ${escapeHtml(model.versions["tts-var"] ?? "")}; nothing in this page leaves this machine.</p></footer>`,
  ];
  return renderPage({
    title,
    body: body.filter((part) => part !== "").join("\n"),
    style: PAGE_STYLE + REPORT_STYLE,
    script: REPORT_SCRIPT,
  });
}

function renderSubtitle({
  strategy,
  model,
  reward,
  seed,
  budget,
  status,
  error,
  negativePrompt,
}: ReportModel): string {
  const spent = budget ? `, ${budget.spent.toFixed(2)} of ${budget.units} units` : "";
  const words = `${strategy} for ${reward} with ${model}, seed ${seed}${spent}`;
  return [
    `<p class="muted">${isolated(words)}</p>`,
    negativePrompt === null
      ? ""
      : `<p dir="auto">Away from: ${isolated(shortened(negativePrompt, MOST_TITLE))}</p>${renderWhole(negativePrompt, "Negative prompt")}`,
    status === "done"
      ? ""
      : `<p class="fail">This search is ${escapeHtml(status)}${error ? `: ${isolated(error)}` : "."}</p>`,
  ].join("");
}

/** Texts that are too long for a line, whole. */
function renderWhole(text: string, label: string): string {
  if (Array.from(text).length <= MOST_TITLE) return "";
  return `<div class="prompt" role="region" tabindex="0" aria-label="${label}" dir="auto">${isolated(text)}</div>`;
}

function renderAnswer(model: ReportModel, { answer }: ReportPictures): string {
  const best = model.finalists.find(({ id }) => id === model.best);
  if (answer === null || !best) return "";
  const score = best.scores[model.reward];
  const facts: readonly (readonly [string, string])[] = [
    ["candidate", best.id],
    ...(best.parent === null ? [] : [["copy of", best.parent] as const]),
    ...(score === undefined ? [] : [[model.reward, digits(score, 4)] as const]),
    ["drawn at first", `${model.stages[0]?.cells.length ?? 0} candidates`],
    ["finished", `${model.finalists.length} candidates`],
  ];
  return `<section aria-labelledby="answer"><h2 id="answer">The answer</h2><div class="answer">
<img src="${answer}" alt="${escapeHtml(`${best.id}, the answer to: ${shortened(model.prompt, 300)}`)}">
<div><dl>${facts.map(([name, value]) => `<dt>${isolated(name)}</dt><dd>${isolated(value)}</dd>`).join("")}</dl>${renderAtoms(best)}</div>
</div></section>`;
}

/** What holds and what does not, in words besides the colour. */
function renderAtoms({ atoms, reason }: ReportFinalist): string {
  if (atoms.length === 0) return reason === "" ? "" : `<p class="fail">${isolated(reason)}</p>`;
  const lines = atoms.map(
    ({ question, expected, holds }) =>
      `<li class="${holds ? "pass" : "fail"}">${holds ? "holds" : "fails"}: ${isolated(question)} ${isolated(expected)}</li>`,
  );
  return `<ul class="atoms">${lines.join("")}</ul>`;
}

function renderCandidates(model: ReportModel, preview: PreviewOf): string {
  if (model.stages.length === 0) return "";
  const cells = model.stages.flatMap(({ cells: all }) => all);
  const rows = cells.slice(0, MOST_ROWS).map(({ id, stage, from, fate, score, cluster, values }) => [
    `${id} after ${stage}`,
    from !== null && from !== id ? from : "",
    fate,
    score ?? "",
    cluster ?? "",
    Object.entries(values)
      .map(([name, value]) => `${name} ${digits(value, 4)}`)
      .join(", "),
  ]);
  const head = ["candidate", "copy of", "fate", "score", "cluster", "decision"];
  return `<section aria-labelledby="tree"><h2 id="tree">Candidates by stage</h2>
<p class="muted">Frames: gold is the answer, green went on, dashed was dropped. Dashed lines lead to copies; the bar below a picture
is its cluster. Point at a candidate or walk with the arrow keys.</p>
<div class="detail" id="detail" role="status"></div>
<div class="wide" role="region" tabindex="0" aria-label="Tree of candidates">${renderTree(model, preview)}</div>
<details><summary>The same as a table</summary>
${renderTable(`Candidates by stage${cells.length > rows.length ? `, the first ${rows.length} of ${cells.length}` : ""}`, head, rows)}
</details></section>`;
}

function renderFinalists(model: ReportModel, preview: PreviewOf): string {
  if (model.finalists.length < 2) return "";
  const last = model.stages.length - 1;
  const items = model.finalists.slice(0, MOST_ROWS).map((row) => {
    const image = preview(last, row.id);
    const score = row.scores[model.reward];
    const failed = row.atoms.filter(({ holds }) => !holds);
    return (
      `<li class="${row.id === model.best ? "best" : "other"}">` +
      (image === null ? "" : `<img src="${image}" alt="finished picture ${row.id}">`) +
      `<strong>${row.id}${row.id === model.best ? " (the answer)" : ""}</strong>${score === undefined ? "" : ` ${digits(score)}`}` +
      (row.parent === null ? "" : `<div class="muted">copy of ${row.parent}</div>`) +
      failed
        .map(
          ({ question, expected }) =>
            `<div class="fail">fails: ${isolated(question)} ${isolated(expected)}</div>`,
        )
        .join("") +
      "</li>"
    );
  });
  return `<section aria-labelledby="finished"><h2 id="finished">Finished pictures</h2><ul class="finalists">${items.join("")}</ul></section>`;
}

function renderRewards(model: ReportModel): string {
  const chart = chartRewards(model);
  if (chart === null) return "";
  return `<section aria-labelledby="rewards"><h2 id="rewards">Reward by stage and lineage</h2>
<figure><div class="wide" role="region" tabindex="0" aria-label="Chart of rewards">${chart}</div>
<figcaption>Each line continues one candidate; the way to the answer is in front, crosses were dropped. The numbers are in the table of candidates.</figcaption></figure></section>`;
}

function renderCosts(model: ReportModel): string {
  const [total, chart] = [chartBudget(model), chartCosts(model)];
  const { budget } = model;
  if (budget === null || total === null) return "";
  const kinds = COST_KINDS.filter((kind) => (budget.byKind[kind] ?? 0) > 0);
  const rows = model.stages.map(({ stage, label, cost }) => {
    const units = kinds.map((kind) => (cost?.flops[kind] ?? 0) / budget.unit);
    return [
      `${stage}${label === "" ? "" : ` (${label})`}`,
      ...units,
      units.reduce((sum, value) => sum + value, 0),
    ];
  });
  const legend = legendOf(model).map(
    ({ kind, color }) => `<li><span class="swatch" style="background:${color}"></span>${kind}</li>`,
  );
  return `<section aria-labelledby="costs"><h2 id="costs">Cost against the budget</h2>
<p>${budget.spent.toFixed(2)} of ${digits(budget.units)} units. One unit is one whole image, its decode and its score.</p>
<ul class="legend">${legend.join("")}</ul>
<figure><div class="wide" role="region" tabindex="0" aria-label="Charts of costs">${total}${chart ?? ""}</div></figure>
${chart === null ? "" : `<details><summary>The same as a table</summary>${renderTable("Units by stage and kind", ["stage", ...kinds, "all"], rows)}</details>`}
</section>`;
}

function renderRecipe({ command, configHash, versions }: ReportModel): string {
  const lines = Object.entries({ configuration: configHash.slice(0, 16), ...versions });
  return `<section aria-labelledby="again"><h2 id="again">Repeat it</h2>
<pre tabindex="0" aria-label="Command"><code>${escapeHtml(command)}</code></pre>
<dl>${lines.map(([name, value]) => `<dt>${isolated(name)}</dt><dd>${isolated(value)}</dd>`).join("")}</dl></section>`;
}
