import { FULL_VIEW, type Generator, type Picture, type Session, stillOf } from "../core/generator.ts";
import type { RgbImage } from "../core/image.ts";
import { sheetKey } from "../report/contact-sheet.ts";

/** How a search's pictures are collected for the contact sheet. */
export interface PreviewOptions {
  /** Also look at candidates that the search itself does not look at. Costs time, changes nothing. */
  readonly full: boolean;
}

/**
 * A generator that remembers every picture it shows, by stage and candidate. The larger one is kept if a candidate was
 * looked at twice after a stage.
 */
export function recordPreviews(
  generator: Generator,
  images: Map<string, RgbImage>,
  options: PreviewOptions,
): Generator {
  const keep = (stage: number, id: string, picture: Picture): void => {
    const key = sheetKey(stage, id);
    const image = stillOf(picture);
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
        const pictures = await session.view([...ids.keys()], FULL_VIEW);
        pictures.forEach((picture, row) => {
          keep(session.stage - 1, ids[row]!, picture);
        });
      }
      return signals;
    },
    select: (picks) => session.select(picks),
    branch: async (picks) => wrap(await session.branch(picks)),
    async view(rows, view) {
      const pictures = await session.view(rows, view);
      pictures.forEach((picture, index) => {
        keep(session.stage - 1, session.ids[rows[index]!]!, picture);
      });
      return pictures;
    },
    tokens: (rows, stage) => session.tokens(rows, stage),
    ...(session.refine ? { refine: (share, ids) => session.refine!(share, ids) } : {}),
    ...(session.rewind ? { rewind: (stage, ids) => session.rewind!(stage, ids) } : {}),
    release: () => session.release(),
  });
  return { ...generator, start: async (task, ids) => wrap(await generator.start(task, ids)) };
}
