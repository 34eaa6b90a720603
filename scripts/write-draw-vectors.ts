import { writeFileSync } from "node:fs";
import { drawVectors } from "../test/fixtures/remote/draw-vectors.ts";

// `npx tsx scripts/write-draw-vectors.ts`: draws for servers in other languages to compare theirs with
// (training/tests/test_serve_draws.py does); see docs/remote-sampler.md.

const file = new URL("../test/fixtures/remote/draws.json", import.meta.url);
writeFileSync(file, `${JSON.stringify(drawVectors())}\n`);
