import { resolve } from "node:path";
import { BUILT } from "../../build.ts";

/** The program as tests start it: compiled, as an installed package has it. */
export const program = resolve(BUILT, "src/cli/main.js");
