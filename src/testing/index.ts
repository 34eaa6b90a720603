/** Contract suites for authors of plug-ins (needs vitest): `import { describeSampler } from "tts-var/testing"`. */
export { describeSampler, type SamplerContractOptions } from "./sampler-contract.ts";
export { describeSamplerServer, type SamplerServerUnderTest } from "./sampler-server-contract.ts";
