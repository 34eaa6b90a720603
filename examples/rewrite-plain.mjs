/**
 * A rewriter: says prompts in words that the embedded generator knows.
 *
 *   npx tts-var search -p "a photo of a crimson brolly" --rewrite ./examples/rewrite-plain.mjs
 */
export const WORDS = {
  puppy: "dog",
  kitten: "cat",
  pony: "horse",
  lamb: "sheep",
  heifer: "cow",
  grizzly: "bear",
  automobile: "car",
  lorry: "truck",
  aeroplane: "airplane",
  bike: "bicycle",
  brolly: "umbrella",
  mug: "cup",
  settee: "couch",
  stool: "chair",
  timepiece: "clock",
  novel: "book",
  fridge: "refrigerator",
  rucksack: "backpack",
  cravat: "tie",
  pooch: "dog",
  crimson: "red",
  azure: "blue",
  emerald: "green",
  golden: "yellow",
  violet: "purple",
  ebony: "black",
  rosy: "pink",
  chestnut: "brown",
};

export default {
  /** FLOPs: nothing to speak of. A rewriter that asks a language model says here what that costs. */
  flops: 0,
  rewrite: (prompt) =>
    prompt.replace(/[a-z]+/gi, (word) =>
      Object.hasOwn(WORDS, word.toLowerCase()) ? WORDS[word.toLowerCase()] : word,
    ),
};
