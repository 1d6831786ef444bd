// Targets of a campaign: nodes that clients write to, what was answered for each property, and what a read of it proves.
// In: where a broker is, whose nodes. Out: nodes with nothing written yet; later, what is wrong with them. Never: a read that is taken for granted.
import { ask, openLine, requestBytes } from "../../bench/lean-http.ts";
import { nodePath } from "../conversations/person.ts";

/** Where a broker is now; another port after a restart. */
export interface Where {
  readonly url: string;
}

export interface Entry {
  readonly node: string;
  readonly name: string;
  /** The highest number that was sent. */
  attempted: number;
  /** The highest number that was acknowledged, and its revision; 0 before the first. */
  acked: number;
  revision: number;
  /** Numbers of which the broker said that they changed nothing. */
  readonly refused: Set<number>;
}

/** One client's node: each write sets the entries of one turn to the same number, by PATCH where there are several. */
export interface Target {
  readonly node: string;
  readonly turns: readonly (readonly Entry[])[];
}

/** Creates `count` child nodes, each with as many properties to be written one by one. */
export async function singles(at: Where, owner: Owner, count: number, properties: number): Promise<Target[]> {
  return await makeTargets(at, owner, "single", count, (node) =>
    Array.from({ length: properties }, (_, index) => [entry(node, `p${index}`)]),
  );
}

/** Creates `count` child nodes, each with as many sets of five properties that are always written together. */
export async function groups(at: Where, owner: Owner, count: number, sets: number): Promise<Target[]> {
  return await makeTargets(at, owner, "group", count, (node) =>
    Array.from({ length: sets }, (_, index) =>
      ["a", "b", "c", "d", "e"].map((name) => entry(node, `g${index}.${name}`)),
    ),
  );
}

export interface Owner {
  readonly address: string;
  readonly token: string | undefined;
}

async function makeTargets(
  at: Where,
  { address, token }: Owner,
  kind: string,
  count: number,
  turns: (node: string) => Target["turns"],
): Promise<Target[]> {
  const targets: Target[] = [];
  for (let index = 0; index < count; index++) {
    const node = `${address}/${kind}-${index}`;
    await ask(portOf(at), { method: "PUT", path: nodePath(node), token, body: { kind: "thing" } });
    targets.push({ node, turns: turns(node) });
  }
  return targets;
}

function entry(node: string, name: string): Entry {
  return { node, name, attempted: 0, acked: 0, revision: 0, refused: new Set() };
}

export function portOf({ url }: Where): number {
  return Number(new URL(url).port);
}

export interface Found {
  readonly value: { readonly n: number };
  readonly revision: number;
}

/** What a node holds, or nothing where the broker does not know it. */
export async function read(
  at: Where,
  { token }: Owner,
  node: string,
): Promise<Readonly<Record<string, Found>> | undefined> {
  using line = await openLine(portOf(at));
  const { status, body } = await line.send(requestBytes({ method: "GET", path: nodePath(node), token }));
  if (status === 401 || status === 404) return undefined;
  if (status !== 200) throw new Error(`GET ${node}: ${status} ${body}`);
  return JSON.parse(body).properties;
}

/** What is wrong with each property of these targets, after everything; nothing if each promise was kept. */
export async function faults(at: Where, owner: Owner, targets: readonly Target[]): Promise<string[]> {
  const wrong: string[] = [];
  for (const { node, turns } of targets) {
    try {
      const found = await read(at, owner, node);
      for (const turn of turns) {
        const numbers = new Set(turn.map(({ name }) => found?.[name]?.value.n));
        if (numbers.size > 1) wrong.push(`${node} ${turn.map(({ name }) => name)} by half: ${[...numbers]}`);
        for (const one of turn) {
          const why = faultOf(one, found?.[one.name]);
          if (why) wrong.push(`${node} ${one.name}: ${why}`);
        }
      }
    } catch (error) {
      wrong.push((error as Error).message);
    }
  }
  return wrong;
}

/** A property must show its last acknowledged number at its revision, or a later attempt that was not refused at a later one. */
function faultOf(
  { attempted, acked, revision, refused }: Entry,
  found: Found | undefined,
): string | undefined {
  if (found === undefined) return acked > 0 ? `${acked} was acknowledged, nothing is there` : undefined;
  const { n } = found.value;
  const said = `${acked} was acknowledged at ${revision}, ${n} is there at ${found.revision}`;
  if (n < acked) return `lost: ${said}`;
  if (n > attempted || refused.has(n))
    return `${said}, although it was ${refused.has(n) ? "refused" : "never sent"}`;
  if (n === acked ? found.revision !== revision : found.revision <= revision)
    return `wrong revision: ${said}`;
  return undefined;
}
