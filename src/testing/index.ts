/** Contract suites for authors of plug-ins (needs vitest): `import { describeSampler } from "tts-var/testing"`. */
export { describeSampler, type GeneratorContractOptions } from "./generator-contract.ts";
export { describeSamplerServer, type SamplerServerUnderTest } from "./server-contract.ts";
