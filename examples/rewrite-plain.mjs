/**
 * A rewriter: says prompts in words that the embedded generator knows.
 *
 *   npx tts-var search -p "a picture of a puppy beside a brolly" --rewrite ./examples/rewrite-plain.mjs
 */
const WORDS = new Map([
  ["puppy", "dog"],
  ["kitten", "cat"],
  ["pony", "horse"],
  ["automobile", "car"],
  ["brolly", "umbrella"],
  ["mug", "cup"],
  ["crimson", "red"],
  ["violet", "purple"],
  ["beside", "next to"],
  ["picture", "photo"],
]);

export default {
  /** FLOPs: nothing to speak of. A rewriter that asks a language model says here what that costs. */
  flops: 0,
  rewrite: (prompt) => prompt.replace(/[a-z]+/gi, (word) => WORDS.get(word.toLowerCase()) ?? word),
};
