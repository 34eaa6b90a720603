import { TtsVarError } from "../core/errors.ts";
import type { ShapeWish } from "../core/generator.ts";

/** A form of picture by what a user sees of it, in pixels. */
export interface NamedShape {
  readonly id: string;
  readonly width: number;
  readonly height: number;
  /** What the model calls its size, such as `0.25M`. */
  readonly label?: string | undefined;
}

/** Models have ratios about 10 % apart, and sizes a factor of 1.5 or more; what is further off is something else. */
const RATIO_TOLERANCE = Math.log(1.14);
const SIZE_TOLERANCE = Math.log(1.35);

/**
 * The shape that fits a wish best: a wish for the ratio alone keeps the size of the model's first shape, which is its
 * default, and the other way round. Ratios and sizes are rounded to the nearest that the model has, as long as it is
 * near.
 *
 * @throws TtsVarError CONFIG_INVALID with all shapes of the model
 */
export function chooseShape<Shape extends NamedShape>(shapes: readonly Shape[], wish: ShapeWish): Shape {
  const [first] = shapes;
  if (!first) throw new RangeError("a model needs a shape");
  const named = shapes.filter(({ id }) => wish.id === undefined || id === wish.id);
  const ratio = wish.ratio === undefined ? null : parseRatio(wish.ratio);
  const labelled = named.filter(({ label }) => label !== undefined && label === wish.size);
  const size = wish.size === undefined || labelled.length > 0 ? null : parseSize(wish.size);
  const wanted = {
    ratio: ratio ?? (typeof size === "object" && size !== null ? size.width / size.height : ratioOf(first)),
    pixels: size === null ? pixelsOf(first) : typeof size === "number" ? size : size.width * size.height,
  };
  const distances = (labelled.length > 0 ? labelled : named).map((shape) => ({
    shape,
    ratio: Math.abs(Math.log(ratioOf(shape) / wanted.ratio)),
    pixels: Math.abs(Math.log(pixelsOf(shape) / wanted.pixels)),
  }));
  const exact = (shape: Shape): boolean =>
    typeof size !== "object" || size === null || (shape.width === size.width && shape.height === size.height);
  const fitting = distances.filter(
    (found) =>
      (ratio === null || found.ratio <= RATIO_TOLERANCE) &&
      (size === null || found.pixels <= SIZE_TOLERANCE) &&
      exact(found.shape),
  );
  // By ratio first, to the hundredth: shapes of one ratio may differ by a rounded side, and then size decides.
  const coarse = (distance: number): number => Math.round(100 * distance);
  const [best] = fitting.sort((a, b) => coarse(a.ratio) - coarse(b.ratio) || a.pixels - b.pixels);
  if (best) return best.shape;
  throw unknownShape(shapes, wish);
}

/** The shapes that a model has, for messages: `1:1/1M (1024x1024), ...`. */
export function describeShapes(shapes: readonly NamedShape[]): string {
  return shapes.map(({ id, width, height }) => `${id} (${width}x${height})`).join(", ");
}

function unknownShape(shapes: readonly NamedShape[], wish: ShapeWish): TtsVarError {
  const asked = [
    ["shape", wish.id],
    ["ratio", wish.ratio],
    ["size", wish.size],
  ].flatMap(([name, value]) => (value === undefined ? [] : [`${name} ${value}`]));
  return new TtsVarError(
    "CONFIG_INVALID",
    `this model has no ${asked.join(" with ")}; it has ${describeShapes(shapes)} (width x height)`,
    { details: { shapes: shapes.map(({ id, width, height }) => ({ id, width, height })) } },
  );
}

function ratioOf({ width, height }: NamedShape): number {
  return width / height;
}

function pixelsOf({ width, height }: NamedShape): number {
  return width * height;
}

function parseRatio(text: string): number {
  const [width, height = 1] = text.split(":").map(Number);
  const ratio = width! / height;
  if (Number.isFinite(ratio) && ratio > 0) return ratio;
  throw new TtsVarError("CONFIG_INVALID", `ratio must be width:height, such as 4:3, not ${text}`);
}

/** Pixels in all, or width and height. */
function parseSize(text: string): number | { readonly width: number; readonly height: number } {
  const megapixels = /^(\d*\.?\d+)M$/i.exec(text)?.[1];
  if (megapixels !== undefined && Number(megapixels) > 0) return Number(megapixels) * 2 ** 20;
  const sides = /^([1-9]\d*)x([1-9]\d*)$/i.exec(text);
  if (sides) return { width: Number(sides[1]), height: Number(sides[2]) };
  throw new TtsVarError(
    "CONFIG_INVALID",
    `size must be megapixels such as 0.25M, or width x height such as 512x512, not ${text}`,
  );
}
