import type { Generator, Session } from "../core/generator.ts";
import type { RgbImage } from "../core/image.ts";
import { deriveGenerator } from "../generators/fix-requests.ts";
import { sheetKey } from "../report/contact-sheet.ts";

/** How a search's pictures are collected for the contact sheet. */
export interface PreviewOptions {
  /** Also decode candidates that the search itself does not look at. Costs time, changes nothing. */
  readonly full: boolean;
}

/**
 * A generator that remembers every picture it decodes, by scale and candidate. The larger one is kept if a candidate was
 * decoded twice at a scale.
 */
export function recordPreviews(
  generator: Generator,
  images: Map<string, RgbImage>,
  options: PreviewOptions,
): Generator {
  const keep = (scale: number, id: string, image: RgbImage): void => {
    const key = sheetKey(scale, id);
    if ((images.get(key)?.width ?? 0) < image.width) images.set(key, image);
  };
  const wrap = (session: Session): Session => ({
    get ids() {
      return session.ids;
    },
    get stage() {
      return session.stage;
    },
    async step() {
      const signals = await session.step();
      if (options.full) {
        const { ids } = session;
        const decoded = await session.decode(ids.map((_, row) => row));
        decoded.forEach((image, row) => {
          keep(session.stage - 1, ids[row]!, image);
        });
      }
      return signals;
    },
    select: (picks) => session.select(picks),
    branch: async (picks) => wrap(await session.branch(picks)),
    async decode(rows, latent) {
      const decoded = await session.decode(rows, latent);
      decoded.forEach((image, index) => {
        keep(session.stage - 1, session.ids[rows[index]!]!, image);
      });
      return decoded;
    },
    bits: (row) => session.bits(row),
    release: () => session.release(),
  });
  return deriveGenerator(generator, { start: async (request) => wrap(await generator.start(request)) });
}
