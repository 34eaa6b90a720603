import { FULL_VIEW, type Generator, type Picture, type Session, stillOf } from "../core/generator.ts";
import type { RgbImage } from "../core/image.ts";
import { sheetKey } from "../report/contact-sheet.ts";
import { watchSessions } from "./watch-sessions.ts";

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
  const viewed = ({ ids, stage }: Session, rows: readonly number[], pictures: readonly Picture[]): void => {
    pictures.forEach((picture, index) => {
      const key = sheetKey(stage - 1, ids[rows[index]!]!);
      const image = stillOf(picture);
      if ((images.get(key)?.width ?? 0) < image.width) images.set(key, image);
    });
  };
  const stepped = async (session: Session): Promise<void> => {
    const rows = [...session.ids.keys()];
    viewed(session, rows, await session.view(rows, FULL_VIEW));
  };
  return watchSessions(generator, { viewed, ...(options.full ? { stepped } : {}) });
}
