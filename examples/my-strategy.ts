import { type SearchSpace, score, select, start, stepTo } from "../src/index.ts"; // outside this repository: "tts-var"

/** The better half of the candidates survives the middle of the way. */
export default function* (space: SearchSpace) {
  const width = Math.max(1, Math.floor(space.units));
  let population = yield* stepTo(yield* start(width), Math.ceil(space.stages.length / 2));
  if (width > 1) {
    const previews = yield* score(population, space.reward);
    const order = [...previews.keys()].sort((a, b) => previews[b]! - previews[a]!);
    population = yield* select(population, order.slice(0, Math.floor(width / 2)));
  }
  const finalists = yield* stepTo(population, space.stages.length);
  const scores = yield* score(finalists, space.reward);
  return { finalists, best: scores.indexOf(Math.max(...scores)) };
}
