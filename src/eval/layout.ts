/**
 * What an evaluation keeps in its folder whatever the benchmark, relative to it: searches with their records by item and
 * sample, and what the whole is. Images lie where the benchmark's own layout puts them.
 */
export const layout = {
  evaluation: "evaluation.json",
  prompts: "prompts.jsonl",
  results: "results.jsonl",
  timing: "timing.jsonl",
  allocation: "allocation.jsonl",
  record: (index: number, sample: number): string => `${folder(index)}/records/${pad4(sample)}.json`,
  /** Rounds of an adaptive evaluation; the best one becomes the sample. */
  roundImage: (index: number, sample: number, round: number): string =>
    `${folder(index)}/rounds/${pad4(sample)}-${round}.png`,
  roundRecord: (index: number, sample: number, round: number): string =>
    `${folder(index)}/rounds/${pad4(sample)}-${round}.json`,
};

function folder(index: number): string {
  return String(index).padStart(5, "0");
}

function pad4(value: number): string {
  return String(value).padStart(4, "0");
}
