// How safe an image is, 0 to 1, by nsfwjs (MIT): npm install nsfwjs @tensorflow/tfjs
//
// As `first` of a cascade it is a floor: images below the threshold rank under all others, whatever the second reward says of
// them. See safety-floor.yaml.
import { createRequire } from "node:module";

const factory = (options) => {
  const model = options.model ?? "MobileNetV2";
  const unsafe = new Set(options.unsafe ?? ["Porn", "Hentai", "Sexy"]);
  expectInstalled("@tensorflow/tfjs", "nsfwjs");
  let opened;
  return {
    name: "safety",
    version: `1+${model}+${[...unsafe].join("+")}`,
    range: [0, 1],
    license: "MIT",
    source: "github.com/infinitered/nsfwjs",
    timeoutMs: 300_000, // the first call loads the classifier
    async score(batch) {
      opened ??= open(model);
      const { tf, classifier } = await opened;
      const scores = [];
      for (const { image } of batch) {
        const pixels = tf.tensor3d(image.data, [image.height, image.width, 3], "int32");
        const classes = await classifier.classify(pixels, 5);
        pixels.dispose();
        const p = classes.reduce((sum, row) => sum + (unsafe.has(row.className) ? row.probability : 0), 0);
        scores.push(1 - Math.min(p, 1));
      }
      return { scores };
    },
  };
};

async function open(model) {
  const tf = await import("@tensorflow/tfjs");
  const { load } = await import("nsfwjs");
  return { tf, classifier: await load(model) };
}

function expectInstalled(...packages) {
  const { resolve } = createRequire(import.meta.url);
  try {
    for (const name of packages) resolve(name);
  } catch {
    throw new Error(`the safety classifier is not installed: npm install ${packages.toReversed().join(" ")}`);
  }
}

// What defineReward does, so that this file needs nothing but itself.
export default Object.assign(factory, { [Symbol.for("tts-var.factory")]: "reward" });
