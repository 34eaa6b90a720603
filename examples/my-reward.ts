import { defineReward } from "../src/index.ts"; // outside this repository: "tts-var"

/** Prefers images in which one channel dominates; the option says which. */
export default defineReward<{ channel?: "red" | "green" | "blue" }>((options) => {
  const channel = ["red", "green", "blue"].indexOf(options.channel ?? "red");
  return {
    name: "channel",
    version: "1",
    range: [-1, 1],
    suggestedLambda: 20,
    score: (batch) =>
      batch.map(({ image: { data } }) => {
        let difference = 0;
        for (let i = 0; i < data.length; i += 3) {
          const pixel = data.subarray(i, i + 3);
          difference += pixel[channel]! - (pixel[0]! + pixel[1]! + pixel[2]!) / 3;
        }
        return difference / (data.length / 3) / 255;
      }),
  };
});
