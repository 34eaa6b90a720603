import { BaseSequencer, type TestSpecification } from "vitest/node";

/** What takes longest, first: otherwise one of them may be left alone at the end, beside an idle core. */
const LONGEST = [
  "study",
  "geneval-queue",
  "cli-interrupt",
  "geneval-run",
  "generator-canvas",
  "tutorial",
  "cli",
  "package",
  "reward-docs",
  "generator-remote",
  "plugin-identity",
  "generator-exported",
  "telemetry",
].map((name) => `/test/e2e/${name}.test.ts`);

export default class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rank = ({ moduleId }: TestSpecification): number => {
      const at = LONGEST.findIndex((name) => moduleId.endsWith(name));
      return at < 0 ? LONGEST.length : at;
    };
    return (await super.sort(files)).sort((one, other) => rank(one) - rank(other));
  }
}
