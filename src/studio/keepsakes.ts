import { type GeneratorTraits, type Picture, type Session, stillOf } from "../core/generator.ts";
import { type CandidateId, compareIds } from "../core/ids.ts";
import type { RgbImage } from "../core/image.ts";
import type { Tokens } from "../core/tokens.ts";
import { packTokens } from "../generators/tokens-file.ts";
import { encodePng } from "../io/png.ts";
import { previewName, tokensName } from "../run/run-files.ts";
import type { RunFolder } from "../run/run-folder.ts";

/** Candidates of which a run keeps previews and tokens beside those of its finalists. */
const MOST_KEPT = 256;

/** What a search leaves behind of candidates that did not reach its end: how they looked, and how to go on from them. */
export class Keepsakes {
  /** Pictures by candidate and stage; of two of one moment the larger. */
  readonly #images = new Map<CandidateId, Map<number, RgbImage>>();
  /** Tokens by candidate, from the first stage on. */
  readonly #tokens = new Map<CandidateId, Tokens[]>();

  /** Takes the tokens of the stages that are not known yet; a copy has all of its parent's stages. */
  async stepped(session: Session): Promise<void> {
    const { ids, stage: done } = session;
    for (let stage = 0; stage < done; stage++) {
      const rows = [...ids.keys()].filter((row) => (this.#tokens.get(ids[row]!)?.length ?? 0) <= stage);
      if (rows.length === 0) continue;
      const drawn = await session.tokens(rows, stage);
      rows.forEach((row, index) => {
        const id = ids[row]!;
        this.#tokens.set(id, [...(this.#tokens.get(id) ?? []), drawn[index]!]);
      });
    }
  }

  /** Takes what a session was looked at; returns the candidates whose picture is new, with its width. */
  viewed(
    { ids, stage }: Session,
    rows: readonly number[],
    pictures: readonly Picture[],
  ): { readonly id: CandidateId; readonly width: number }[] {
    return pictures.flatMap((picture, index) => {
      const id = ids[rows[index]!]!;
      const image = stillOf(picture);
      const own = this.#images.get(id) ?? new Map<number, RgbImage>();
      if ((own.get(stage - 1)?.width ?? 0) >= image.width) return [];
      this.#images.set(id, own.set(stage - 1, image));
      return [{ id, width: image.width }];
    });
  }

  async png(stage: number, id: CandidateId): Promise<Uint8Array | null> {
    const image = this.#images.get(id)?.get(stage);
    return image ? encodePng(image) : null;
  }

  /** Writes the tokens of a candidate, as far as it has come. */
  async writeTokens(folder: RunFolder, traits: GeneratorTraits, id: CandidateId): Promise<void> {
    const tokens = this.#tokens.get(id);
    if (!tokens || folder.record.files.includes(tokensName(id))) return;
    await folder.file(tokensName(id), `${JSON.stringify(packTokens(traits, tokens), null, 1)}\n`);
  }

  /** Writes all previews and tokens, at the end of a search. */
  async write(folder: RunFolder, traits: GeneratorTraits): Promise<void> {
    const seen = [...this.#images].sort(([a], [b]) => compareIds(a, b)).slice(0, MOST_KEPT);
    const previews = seen.flatMap(([id, images]) =>
      [...images]
        // Finished pictures are in images/.
        .filter(([stage]) => stage < traits.stages.length - 1)
        .map(([stage, image]) => ({ name: previewName(stage, id), image })),
    );
    await folder.announce(previews.map(({ name }) => name));
    for (const { name, image } of previews) await folder.file(name, await encodePng(image));
    for (const [id] of seen) await this.writeTokens(folder, traits, id);
  }
}
