import { classNames } from "./vocabulary.ts";

/** Names of GenEval's classes in other label sets: COCO's own, and the VOC-style ones of some RT-DETR exports. */
const aliases: Readonly<Record<string, string>> = {
  mouse: "computer mouse",
  remote: "tv remote",
  keyboard: "computer keyboard",
  motorbike: "motorcycle",
  aeroplane: "airplane",
  sofa: "couch",
  pottedplant: "potted plant",
  diningtable: "dining table",
  tvmonitor: "tv",
  "dining-table": "dining table",
  "hair dryer": "hair drier",
};

const known: ReadonlySet<string> = new Set(classNames);

/** GenEval's name of a detector's label; null for labels that GenEval does not have (background, "N/A", stuff). */
export function genevalClass(label: string): string | null {
  const plain = label.trim().toLowerCase().replaceAll("_", " ");
  if (known.has(plain)) return plain;
  return aliases[plain] ?? null;
}
