/** A configuration as read: nested plain objects. */
export type ConfigTree = Record<string, unknown>;

export function isTree(value: unknown): value is ConfigTree {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

export function getPath(tree: ConfigTree, path: string): unknown {
  let node: unknown = tree;
  for (const key of path.split(".")) node = isTree(node) && Object.hasOwn(node, key) ? node[key] : undefined;
  return node;
}

/** Sets a value, making the objects on the way. A value on the way that is no object is replaced. */
export function setPath(tree: ConfigTree, path: string, value: unknown): void {
  const keys = path.split(".");
  const last = keys.pop()!;
  let node = tree;
  for (const key of keys) {
    const next = Object.hasOwn(node, key) ? node[key] : undefined;
    if (isTree(next)) node = next;
    else {
      const made: ConfigTree = {};
      define(node, key, made);
      node = made;
    }
  }
  define(node, last, value);
}

export function deletePath(tree: ConfigTree, path: string): void {
  const at = path.lastIndexOf(".");
  const parent = at < 0 ? tree : getPath(tree, path.slice(0, at));
  if (isTree(parent)) delete parent[path.slice(at + 1)];
}

/** Paths and values of everything that is not a plain object; an empty object counts as a value. */
export function leaves(tree: ConfigTree, prefix = ""): [path: string, value: unknown][] {
  return Object.entries(tree).flatMap(([key, value]): [string, unknown][] => {
    const path = `${prefix}${key}`;
    return isTree(value) && Object.keys(value).length > 0 ? leaves(value, `${path}.`) : [[path, value]];
  });
}

// Plain assignment would run the setter of a key named __proto__.
function define(node: ConfigTree, key: string, value: unknown): void {
  Object.defineProperty(node, key, { value, enumerable: true, configurable: true, writable: true });
}
