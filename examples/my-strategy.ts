import { type SearchSpace, score, select, start, stepTo } from "../src/index.ts"; // outside this repository: "tts-var"

/** The better half of the candidates survives the middle of the way. */
export default function* (space: SearchSpace) {
  const width = Math.max(2, Math.floor(space.units));
  const halfway = yield* stepTo(yield* start(width), Math.ceil(space.stages.length / 2));
  const previews = yield* score(halfway, space.reward);
  const order = [...previews.keys()].sort((a, b) => previews[b]! - previews[a]!);
  const kept = yield* select(halfway, order.slice(0, Math.ceil(width / 2)));
  const finalists = yield* stepTo(kept, space.stages.length);
  const scores = yield* score(finalists, space.reward);
  return { finalists, best: scores.indexOf(Math.max(...scores)) };
}
