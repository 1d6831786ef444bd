// The catalog: the agents that are installed here, as their modules describe themselves.
// In: folders and files. Out: kinds by name, with what they declare, or why they cannot be used. Never: a module loaded into the broker itself.
import { readdir } from "node:fs/promises";
import { basename, extname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { describeModule, describeModules } from "./describing.ts";
import type { Threads } from "./threads.ts";
import type { Broken, Definition } from "./words.ts";

export interface Kind {
  readonly file: string;
  readonly definition: Definition;
}

export interface Catalog {
  /** Loads what is there, once. */
  all(): Promise<{ readonly kinds: ReadonlyMap<string, Kind>; readonly broken: readonly Broken[] }>;
  get(name: string): Promise<Kind | undefined>;
}

const shipped = fileURLToPath(new URL("../../agents/shipped", import.meta.url));
const filesMax = 200;

/** @param paths folders and files besides those that are shipped; a later one takes the place of an earlier of the same name */
export function openCatalog(paths: readonly string[], threads: Threads): Catalog {
  let loading: ReturnType<typeof load> | undefined;

  async function load() {
    const kinds = new Map<string, Kind>();
    const broken: Broken[] = [];
    for await (const one of describeModules(await filesIn([shipped, ...paths]), threads)) {
      if ("reason" in one) broken.push(one);
      else kinds.set(one.definition.name, one);
    }
    return { kinds, broken };
  }

  const all = (): ReturnType<typeof load> => (loading ??= load());
  const alone = new Map<string, Promise<Kind | undefined>>();

  /** Most files are named as their agents: whoever starts one need not load the others. */
  async function ofItsFile(name: string): Promise<Kind | undefined> {
    const files = await filesIn([shipped, ...paths]);
    const file = files.findLast((one) => basename(one, extname(one)) === name);
    if (file === undefined) return undefined;
    const definition = await describeModule(file, threads).catch(() => undefined);
    return definition?.name === name ? { file, definition } : undefined;
  }

  async function get(name: string): Promise<Kind | undefined> {
    if (loading) return (await loading).kinds.get(name);
    const known = alone.get(name) ?? ofItsFile(name);
    alone.set(name, known);
    const kind = await known;
    if (kind === undefined) alone.delete(name);
    return kind ?? (await all()).kinds.get(name);
  }

  return { all, get };
}

async function filesIn(paths: readonly string[]): Promise<readonly string[]> {
  const files: string[] = [];
  for (const path of paths) {
    if (path.endsWith(".ts") || path.endsWith(".js") || path.endsWith(".mjs")) {
      files.push(resolve(path));
      continue;
    }
    const names = await readdir(path).catch(() => []);
    const modules = names.filter((name) => /^[^.].*\.(ts|js|mjs)$/.test(name) && !/\.(test|d)\./.test(name));
    files.push(...modules.sort().map((name) => resolve(join(path, name))));
  }
  return files.slice(0, filesMax);
}
