import type { Listing } from "../src/core/registry.ts";
import type { Strategy } from "../src/core/strategy.ts";

/** A built-in strategy: what `tts-var list strategies` shows, and its lazily imported definition. */
export interface StrategyEntry extends Listing {
  readonly source: string;
  load(): Promise<Strategy>;
}

/** Listing and loader of one strategy; the options type is the strategy's own business. */
function entry<Options>(
  name: string,
  summary: string,
  source: string,
  load: () => Promise<Strategy<Options>>,
): StrategyEntry {
  return { name, summary, source, load: load as unknown as () => Promise<Strategy> };
}

/** All built-in strategies. Nothing is imported before one is asked for by name. */
export const strategies: readonly StrategyEntry[] = [
  entry("single", "one sample, no search", "baseline", async () => (await import("./single.ts")).single),
  entry(
    "auto",
    "the strategy that the calibration found best for this model, reward and budget; else best-of-n",
    "this project",
    async () => (await import("./auto.ts")).auto,
  ),
  entry(
    "best-of-n",
    "n full samples, keep the best by the reward",
    "baseline; Ma et al. 2025 (random search)",
    async () => (await import("./best-of-n.ts")).bestOfN,
  ),
  entry(
    "draft-and-commit",
    "more samples than best-of-n for the same budget: all compared as drafts, the best few decoded in full",
    "this project; CachedSearch 2026 (draft, verify, commit), Layton 2025 (two-quality decoder)",
    async () => (await import("./draft-and-commit.ts")).draftAndCommit,
  ),
  entry(
    "importance-sampling",
    "n full samples, one drawn in proportion to exp(lambda * reward)",
    "Chen et al. 2025 (TTS-VAR), baseline",
    async () => (await import("./importance-sampling.ts")).importanceSampling,
  ),
  entry(
    "tts-var",
    "clustering at coarse scales, potential-weighted resampling at fine scales, shrinking batch",
    "Chen et al. 2025 (TTS-VAR), sections 3.2 and 3.3",
    async () => (await import("./tts-var.ts")).ttsVar,
  ),
  entry(
    "tts-var-released",
    "TTS-VAR as its published code effectively runs, quirks included",
    "github.com/ali-vilab/TTS-VAR, utils_model.py",
    async () => (await import("./tts-var-released.ts")).ttsVarReleased,
  ),
  entry(
    "beam",
    "w beams of c continuations each, verified on full roll-outs after each scale",
    "Riise, Kaya and Papadopoulos 2025 (beam search for VAR)",
    async () => (await import("./beam.ts")).beam,
  ),
  entry(
    "fk-steering",
    "particles weighted by reward potentials, resampled on low effective size, corrected at the end",
    "Singhal et al. 2025 (FK steering), sections 3 and 4",
    async () => (await import("./fk-steering.ts")).fkSteering,
  ),
  entry(
    "halving",
    "progressive pruning: wide at cheap scales, the best share kept at each cut",
    "Karnin et al. 2013 (sequential halving); progressive seed pruning 2026",
    async () => (await import("./halving.ts")).halving,
  ),
  entry(
    "cascade",
    "a cheap reward early on many candidates, an expensive one late on few",
    "Viola and Jones 2001; verifier cascades of GridAR and SANA-1.5",
    async () => (await import("./cascade.ts")).cascade,
  ),
  entry(
    "restart",
    "fresh rounds until a verifier accepts or the budget is out",
    "Weitzman 1979 (reservation values); verifier-threshold search 2025",
    async () => (await import("./restart.ts")).restart,
  ),
  entry(
    "polish",
    "finished samples, then the best one's least certain tokens drawn again, kept if better",
    "masked prediction of Kumbong et al. 2025 (HMAR) as a move of hill climbing",
    async () => (await import("./polish.ts")).polish,
  ),
  entry(
    "route",
    "the best sample drawn anew from the scale that its failed questions point to, until none fails",
    "this project; EPIC and RAISE 2026 (moves by failed predicate)",
    async () => (await import("./route.ts")).route,
  ),
  entry(
    "spread",
    "best of n that differ most in their coarse tokens, out of a pool that costs little",
    "this project; Gonzalez 1985 (farthest point)",
    async () => (await import("./spread.ts")).spread,
  ),
  entry(
    "calibrated-stop",
    "whole samples one by one, until another is not worth its price by a calibrated pass probability",
    "this project; Weitzman 1979 (reservation values)",
    async () => (await import("./calibrated-stop.ts")).calibratedStop,
  ),
  entry(
    "quality-diversity",
    "one rule for both phases: diverse subsets with quality weights that grow with reliability",
    "Kulesza and Taskar 2012 (k-DPP); Chen, Zhang and Zhou 2018 (greedy MAP)",
    async () => (await import("./quality-diversity.ts")).qualityDiversity,
  ),
  entry(
    "random",
    "control: n full samples, one drawn blindly; must equal a single sample",
    "negative control",
    async () => (await import("./random.ts")).random,
  ),
  entry(
    "oracle",
    "control for studies: n full samples, chosen by the judge itself; must equal pass@n",
    "positive control",
    async () => (await import("./oracle.ts")).oracle,
  ),
];
