/** What a text's comparison ignores: letter case, forms of one character, and spaces, which recognisers lose. */
export function bare(text: string): string {
  return text.normalize("NFKC").toLowerCase().replace(/\s+/gu, "");
}

/** Texts between quotation marks. An apostrophe within a word opens none. */
export function quotedTexts(prompt: string): string[] {
  const pattern =
    /"([^"]+)"|\u201c([^\u201d]+)\u201d|\u300c([^\u300d]+)\u300d|(?<![\p{L}\p{N}])['\u2018]([^'\u2018\u2019]+(?:['\u2019]\p{L}[^'\u2018\u2019]*)*)['\u2019](?!\p{L})/gu;
  return [...prompt.matchAll(pattern)]
    .map((match) =>
      match
        .slice(1)
        .find((group) => group !== undefined)!
        .trim(),
    )
    .filter((text) => bare(text) !== "");
}

/** Levenshtein distance over code points. */
export function editDistance(a: string, b: string): number {
  const [left, right] = [[...a], [...b]];
  return lastRow(left, right, false).at(-1)!;
}

/** How well the best passage of `text` spells `wanted`: 1 less the distance by its length, 0 at least. */
export function bestPassage(wanted: string, text: string): number {
  const letters = [...wanted];
  const least = Math.min(...lastRow(letters, [...text], true));
  return Math.max(1 - least / letters.length, 0);
}

/** Last row of the table of distances; with `anywhere`, a passage of `b` may begin and end where it likes (Sellers). */
function lastRow(a: readonly string[], b: readonly string[], anywhere: boolean): number[] {
  let previous = Array.from({ length: b.length + 1 }, (_, at) => (anywhere ? 0 : at));
  for (let i = 1; i <= a.length; i++) {
    const current = [i];
    for (let j = 1; j <= b.length; j++) {
      const swap = previous[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      current.push(Math.min(previous[j]! + 1, current[j - 1]! + 1, swap));
    }
    previous = current;
  }
  return previous;
}

/** More texts than this are compared in the order of the prompt only. */
const mostOrders = 5;

/**
 * 1 less the edit distance between what was wanted and what is read, by the longer of both; texts may stand in any
 * order, so the best one counts. 1: everything and nothing else; surplus text costs.
 */
export function textScore(wanted: readonly string[], read: string): number {
  const texts = wanted.map(bare);
  const all = bare(read);
  const orders = texts.length <= mostOrders ? permutations(texts) : [texts];
  const best = Math.min(...orders.map((order) => editDistance(order.join(""), all)));
  const longest = Math.max([...texts.join("")].length, [...all].length, 1);
  return 1 - best / longest;
}

function permutations<T>(list: readonly T[]): T[][] {
  if (list.length <= 1) return [[...list]];
  return list.flatMap((first, at) => permutations(list.toSpliced(at, 1)).map((rest) => [first, ...rest]));
}
