/**
 * What a report does when it is touched: the candidate under pointer or focus is told in full, with those that it continues, and
 * arrow keys walk the tree. Without it the page says the same.
 */
export const REPORT_SCRIPT = `
(() => {
  const tree = document.querySelector("svg.tree");
  const detail = document.getElementById("detail");
  if (!tree || !detail) return;
  const cells = [...tree.querySelectorAll(".cell")];
  const continued = new Map(cells.filter((cell) => cell.dataset.from).map((cell) => [cell.dataset.from, cell]).reverse());
  let current = null;
  const show = (cell) => {
    for (const marked of tree.querySelectorAll(".marked")) marked.classList.remove("marked");
    for (let at = document.getElementById(cell.dataset.from); at; at = document.getElementById(at.dataset.from)) {
      at.classList.add("marked");
    }
    const list = document.createElement("ul");
    for (const part of cell.getAttribute("aria-label").split("; ")) {
      const line = document.createElement("li");
      line.textContent = part;
      if (part.startsWith("failed: ")) line.className = "fail";
      list.append(line);
    }
    const parts = [list];
    const picture = cell.querySelector("image");
    if (picture) {
      const large = document.createElement("img");
      large.src = picture.getAttribute("href");
      large.alt = "";
      parts.unshift(large);
    }
    detail.replaceChildren(...parts);
  };
  const enter = (cell) => {
    if (!cell) return;
    if (current) current.setAttribute("tabindex", "-1");
    current = cell;
    cell.setAttribute("tabindex", "0");
    cell.focus();
  };
  for (const cell of cells) {
    cell.setAttribute("tabindex", "-1");
    cell.addEventListener("pointerenter", () => show(cell));
    cell.addEventListener("click", () => enter(cell));
    cell.addEventListener("focus", () => show(cell));
  }
  current = tree.querySelector(".cell.answer") ?? cells[0] ?? null;
  if (current) {
    current.setAttribute("tabindex", "0");
    show(current);
  }
  tree.addEventListener("keydown", (event) => {
    const cell = event.target.closest(".cell");
    if (!cell) return;
    const row = [...cell.parentNode.querySelectorAll(".cell")];
    const at = row.indexOf(cell);
    const next = {
      ArrowLeft: () => row[at - 1],
      ArrowRight: () => row[at + 1],
      Home: () => row[0],
      End: () => row.at(-1),
      ArrowUp: () => document.getElementById(cell.dataset.from),
      ArrowDown: () => continued.get(cell.id),
    }[event.key];
    if (!next) return;
    event.preventDefault();
    enter(next());
  });
})();
`;
