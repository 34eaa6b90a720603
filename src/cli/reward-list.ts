import type { RewardListing } from "../../rewards/index.ts";
import { rewardRegistry } from "../assemble/builtins.ts";
import { commercialUse } from "../core/licence.ts";
import { listModels, type Terms } from "./model-list.ts";

/** A reward as `tts-var list rewards` shows it: its figures, and the terms of the weights that it reads. */
export interface RewardRow extends Omit<RewardListing, "weights"> {
  readonly weights: (Terms & { readonly from: string }) | null;
  readonly commercial: Terms["commercial"];
}

export async function listRewards(): Promise<RewardRow[]> {
  const models = await listModels();
  return rewardRegistry.list().map((row): RewardRow => {
    if (row.weights === null) return { ...row, weights: null, commercial: commercialUse(row.license) };
    const { from, license, bytes, sha256 } = row.weights;
    const embedded = models.find(({ name }) => license === null && name === from);
    const terms: Terms = embedded ?? {
      ...{ license: license ?? "unstated", bytes, hash: sha256 },
      commercial: commercialUse(license ?? "unstated"),
    };
    const weights = { from, license: terms.license, bytes: terms.bytes, hash: terms.hash };
    return { ...row, weights: { ...weights, commercial: terms.commercial }, commercial: terms.commercial };
  });
}
