import { z } from "zod";
import type { RewardDefinition } from "../src/core/plugin.ts";
import type { RewardItem, RewardTraits } from "../src/core/reward.ts";
import { inOwnWords } from "../src/eval/geneval/closed-vocabulary.ts";
import { parseMetadata } from "../src/eval/geneval/metadata.ts";
import type { GenevalMetadata } from "../src/eval/geneval/rules.ts";
import { modelFolder } from "../src/inference/folder/find-folder.ts";
import { describeVerifier, openVerifier, type VerifierFacts } from "../src/inference/verifier/verifier.ts";
import { facts } from "./parts/facts.ts";
import { parsePrompt } from "./parts/prompt-parser.ts";
import { questionsOf } from "./parts/questions.ts";

const options = z.strictObject({
  model: z.string().min(1).default("harmon").describe("a generator that has a verifier, by name or folder"),
});
type SelfVerifyOptions = z.output<typeof options>;

/** Questions of a usual prompt, for the price. */
const NOMINAL_QUESTIONS = 2;

/**
 * The mean probability of yes to a prompt's conditions, told by the encoder of a generator: a verifier that comes with what
 * it verifies. It shares the generator's blind spots: judge with something else.
 *
 * Source: Wu et al. 2025 (Harmon), whose one encoder serves drawing and understanding.
 */
export const selfVerify: RewardDefinition<SelfVerifyOptions> = {
  name: "self-verify",
  summary: "mean probability of yes to the prompt's conditions, by the generator's own encoder",
  license: facts["self-verify"].license,
  options,
  traits: async ({ model }, host) => traitsOf(await describeVerifier(await modelFolder(model, host))),
  async create({ model }, host) {
    const verifier = await openVerifier(await modelFolder(model, host));
    return {
      ...traitsOf(verifier),
      async score(batch) {
        // Before anything is computed, so that an unreadable prompt costs nothing.
        const questions = batch.map((item) => questionsOf(conditionsOf(item)));
        const answers: number[][] = [];
        for (const [at, { image }] of batch.entries()) {
          answers.push(await verifier.answers(image, questions[at]!));
        }
        return {
          scores: answers.map((yes) => yes.reduce((sum, p) => sum + p, 0) / yes.length),
          details: answers.map((yes, at) => ({
            questions: questions[at]!.map((question, index) => ({ question, yes: yes[index]! })),
          })),
        };
      },
      [Symbol.asyncDispose]: () => verifier[Symbol.asyncDispose](),
    };
  },
};

function traitsOf({ modelId, flops }: VerifierFacts): RewardTraits {
  return {
    name: "self-verify",
    version: `1+${modelId}`,
    ...facts["self-verify"],
    flops: flops(NOMINAL_QUESTIONS),
    modelId,
  };
}

function conditionsOf({ metadata, prompt }: RewardItem): GenevalMetadata {
  const { include } = metadata;
  if (!Array.isArray(include) || include.length === 0) return parsePrompt(prompt);
  const where = `metadata of "${prompt}"`;
  return inOwnWords(parseMetadata({ tag: "single_object", prompt, ...metadata }, where), where);
}
