import { resolve } from "node:path";
import { BUILT } from "../../build.ts";

/** The program as tests start it: bundled, as a clone runs it. */
export const program = resolve(BUILT, "src/cli/main.js");
