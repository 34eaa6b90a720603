import { TtsVarError } from "../core/errors.ts";
import { draftsOf, type GeneratorTraits, type View } from "../core/generator.ts";

/** @throws TtsVarError CONFIG_INVALID for a view that a model cannot give */
export function checkView({ looks, cost }: Pick<GeneratorTraits, "looks" | "cost">, view: View): void {
  const { size, look, quality } = view;
  const known = quality === "draft" ? draftsOf(cost) : looks;
  if (size > 0 && size <= 1 && known.includes(look)) return;
  const has = `looks ${looks.join(" and ")}, drafts ${draftsOf(cost).join(" and ") || "nothing"}`;
  throw new TtsVarError(
    "CONFIG_INVALID",
    `cannot give a ${quality ?? "full"} look ${look} at size ${size}: this generator ${has}, at sizes above 0 and at most 1`,
  );
}
