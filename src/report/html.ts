import { createHash } from "node:crypto";

/** Characters that no page may hold, or that command a terminal into which its source is printed; half characters. */
const UNFIT = /(?![\n\t])[\p{Cc}\p{Cs}\ufffe\uffff]/gu;

/** Text from anywhere as text of a page or value of an attribute. */
export function escapeHtml(text: string): string {
  return text
    .replace(UNFIT, "\ufffd")
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;")
    .replaceAll("'", "&#39;");
}

/** Text whose direction must not turn what stands around it. */
export function isolated(text: string): string {
  return `<bdi>${escapeHtml(text)}</bdi>`;
}

/** A number as people read it: a few digits, no noise. */
export function digits(value: number, places = 3): string {
  return Number.isInteger(value) ? String(value) : value.toFixed(places);
}

/** One line of at most so many characters. */
export function shortened(text: string, length: number): string {
  const line = Array.from(text.replace(/\s+/g, " ").trim());
  return line.length > length ? `${line.slice(0, length - 3).join("")}...` : line.join("");
}

export interface Page {
  readonly title: string;
  /** Markup of the body, everything from outside escaped. */
  readonly body: string;
  readonly style: string;
  readonly script: string;
  /** Where images may come from; data within the page if nothing is said. */
  readonly images?: "data:" | "'self' file: data:";
}

/**
 * A page that needs nothing beside itself: style and script are inside, the policy forbids every request, and only this very
 * script may run.
 */
export function renderPage({ title, body, style, script, images = "data:" }: Page): string {
  const hash = createHash("sha256").update(script).digest("base64");
  const policy = [
    "default-src 'none'",
    `img-src ${images}`,
    "style-src 'unsafe-inline'",
    `script-src 'sha256-${hash}'`,
    "base-uri 'none'",
    "form-action 'none'",
  ].join("; ");
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="generator" content="tts-var">
<meta name="referrer" content="no-referrer">
<meta name="color-scheme" content="light dark">
<title>${escapeHtml(title)}</title>
<style>${style}</style>
</head>
<body>
${body}
<script>${script}</script>
</body>
</html>
`;
}

/** A table with row headers in the first column; numbers stand at the right. */
export function renderTable(
  caption: string,
  head: readonly string[],
  rows: readonly (readonly (string | number)[])[],
): string {
  const headings = head.map((cell) => `<th scope="col">${escapeHtml(cell)}</th>`).join("");
  const lines = rows.map(([first = "", ...cells]) => {
    const rest = cells.map((cell) =>
      typeof cell === "number" ? `<td class="number">${digits(cell)}</td>` : `<td>${isolated(cell)}</td>`,
    );
    return `<tr><th scope="row">${escapeHtml(String(first))}</th>${rest.join("")}</tr>`;
  });
  return `<div class="wide" role="region" tabindex="0" aria-label="${escapeHtml(caption)}"><table>
<caption>${escapeHtml(caption)}</caption>
<thead><tr>${headings}</tr></thead>
<tbody>${lines.join("\n")}</tbody>
</table></div>`;
}
