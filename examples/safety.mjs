// How safe an image is, 0 to 1, by nsfwjs (MIT): npm install nsfwjs @tensorflow/tfjs
//
// As `first` of a cascade it is a floor: images below the threshold rank under all others, whatever the second reward says of
// them. See safety-floor.yaml.

const factory = async (options) => {
  const unsafe = new Set(options.unsafe ?? ["Porn", "Hentai", "Sexy"]);
  const { tf, model } = await open(options.model ?? "MobileNetV2");
  return {
    name: "safety",
    version: `1+${options.model ?? "MobileNetV2"}+${[...unsafe].join("+")}`,
    range: [0, 1],
    license: "MIT",
    source: "github.com/infinitered/nsfwjs",
    async score(batch) {
      const scores = [];
      for (const { image } of batch) {
        const pixels = tf.tensor3d(image.data, [image.height, image.width, 3], "int32");
        const classes = await model.classify(pixels, 5);
        pixels.dispose();
        const p = classes.reduce((sum, row) => sum + (unsafe.has(row.className) ? row.probability : 0), 0);
        scores.push(1 - Math.min(p, 1));
      }
      return { scores };
    },
  };
};

async function open(name) {
  try {
    const tf = await import("@tensorflow/tfjs");
    const { load } = await import("nsfwjs");
    return { tf, model: await load(name) };
  } catch (error) {
    throw new Error(
      `the safety classifier did not load; npm install nsfwjs @tensorflow/tfjs (${error.message})`,
    );
  }
}

// What defineReward does, so that this file needs nothing but itself.
export default Object.assign(factory, { [Symbol.for("tts-var.factory")]: "reward" });
