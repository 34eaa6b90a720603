import type { StudyConfig } from "./study-config.ts";

/** Number of images of which a control arm's answer must be one blind or one right choice: pass@1 or pass@n. */
export type ControlRule = (units: number) => number;

/**
 * Control arms of a study that choose among the trees' own images: `random` must equal pass@1, an `oracle` that asks the
 * study's judge pass@n.
 */
export function controlRules({ arms }: Pick<StudyConfig, "arms">): Map<string, ControlRule> {
  const rules = new Map<string, ControlRule>();
  for (const { name, strategy, sampling } of arms) {
    const { n, judge } = strategy.options;
    if (sampling || n !== undefined) continue;
    if (strategy.name === "random") rules.set(name, () => 1);
    if (strategy.name === "oracle" && judge === "judge") rules.set(name, Math.floor);
  }
  return rules;
}
