/** A line as the recogniser read it. */
export interface ReadText {
  readonly text: string;
  /** Mean probability of its characters, 0 to 1. */
  readonly confidence: number;
}

/**
 * Greedy CTC decoding: the likeliest class of every column, repetitions merged, blanks (class 0) dropped.
 *
 * @param probabilities `[1, columns, classes]`, flat
 * @param characters of classes 1 and up
 */
export function decodeText(
  probabilities: ArrayLike<number>,
  classes: number,
  characters: readonly string[],
): ReadText {
  let text = "";
  let sum = 0;
  let count = 0;
  let before = 0;
  for (let column = 0; column < probabilities.length / classes; column++) {
    let best = 0;
    for (let each = 1; each < classes; each++) {
      if (probabilities[column * classes + each]! > probabilities[column * classes + best]!) best = each;
    }
    if (best !== 0 && best !== before) {
      text += characters[best - 1] ?? "";
      sum += probabilities[column * classes + best]!;
      count++;
    }
    before = best;
  }
  return { text, confidence: count === 0 ? 0 : sum / count };
}
