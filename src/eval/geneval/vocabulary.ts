/** GenEval's 80 objects: COCO's order, with three names made unambiguous (computer mouse, tv remote, computer keyboard). */
export const classNames: readonly string[] = [
  ..."person,bicycle,car,motorcycle,airplane,bus,train,truck,boat,traffic light".split(","),
  ..."fire hydrant,stop sign,parking meter,bench,bird,cat,dog,horse,sheep,cow".split(","),
  ..."elephant,bear,zebra,giraffe,backpack,umbrella,handbag,tie,suitcase,frisbee".split(","),
  ..."skis,snowboard,sports ball,kite,baseball bat,baseball glove,skateboard,surfboard".split(","),
  ..."tennis racket,bottle,wine glass,cup,fork,knife,spoon,bowl,banana,apple,sandwich".split(","),
  ..."orange,broccoli,carrot,hot dog,pizza,donut,cake,chair,couch,potted plant,bed".split(","),
  ..."dining table,toilet,tv,laptop,computer mouse,tv remote,computer keyboard,cell phone".split(","),
  ..."microwave,oven,toaster,sink,refrigerator,book,clock,vase,scissors,teddy bear".split(","),
  ..."hair drier,toothbrush".split(","),
];

/** GenEval's ten colours, in the order in which its classifier and its reasons list them. */
export const colorNames: readonly string[] = [
  "red",
  "orange",
  "yellow",
  "green",
  "blue",
  "purple",
  "pink",
  "brown",
  "black",
  "white",
];

/** Relations of one object to another; y grows downwards. */
export type Relation = "left of" | "right of" | "above" | "below";
export const relations: readonly Relation[] = ["left of", "right of", "above", "below"];

/** The six tasks, in the order of the official files and tables. */
export const tags = ["single_object", "two_object", "counting", "colors", "position", "color_attr"] as const;
export type Tag = (typeof tags)[number];

/** Prompts by task in the official set of 553. */
export const officialCounts: Readonly<Record<Tag, number>> = {
  single_object: 80,
  two_object: 99,
  counting: 80,
  colors: 94,
  position: 100,
  color_attr: 100,
};

/** Words of the counts that GenEval asks for; index is the number. */
export const numberWords: readonly string[] = ["zero", "one", "two", "three", "four"];

/** GenEval's article: "an" before a vowel letter. */
export function withArticle(words: string): string {
  return `${/^[aeiou]/.test(words) ? "an" : "a"} ${words}`;
}

/** GenEval's plural, which is not English: "benchs", "sheeps", "knifes"; "es" only after an s ("buses", "skises"). */
export function genevalPlural(name: string): string {
  return name.endsWith("s") ? `${name}es` : `${name}s`;
}
