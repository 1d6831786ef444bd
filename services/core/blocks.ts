// Blocks: whom an owner has shut out, and which block it is that somebody meets.
// In: an owner's blocks, who asks, the groups of whoever asks. Out: the block that holds. Never: all blocks gone through, or all groups, where the others are few.
import type { ByName } from "./versioned-map.ts";

export type BlockMode = "polite" | "hard";

export interface Block {
  readonly mode: BlockMode;
  /** Where in the log it was made. */
  readonly position: number;
}

/** By address, `@domain`, or `anonymous`. */
export type Blocks = ByName<Block>;

export interface Party {
  /** The account; undefined for a caller without a token. */
  readonly address: string | undefined;
  /** The agent that asks for it: what is decided about the agent itself goes first, and a block of either holds. */
  readonly agent?: string | undefined;
}

/** The groups that an account belongs to, by their addresses. */
export type GroupsOf = (address: string) => ByName<unknown>;

/** The block that holds against a party: its own, else of its groups' the one made first, else its domain's. */
export function blockOf(
  blocks: Blocks,
  { address, agent }: Party,
  groupsOf: GroupsOf,
): [who: string, block: Block] | undefined {
  if (blocks.size === 0) return undefined;
  if (address === undefined) return entry(blocks, "anonymous");
  return (
    (agent === undefined ? undefined : entry(blocks, agent)) ??
    entry(blocks, address) ??
    ofGroups(blocks, groupsOf(address)) ??
    entry(blocks, domainOf(address))
  );
}

/** Where the first of all blocks was made that hold against a party. */
export function hiddenSince(
  blocks: Blocks,
  { address, agent }: Party,
  groupsOf: GroupsOf,
): number | undefined {
  if (address === undefined) return blocks.get("anonymous")?.position;
  const own = [agent ?? address, address, domainOf(address)].map((who) => blocks.get(who));
  const all = [...own, ofGroups(blocks, groupsOf(address))?.[1]].flatMap((block) => block ?? []);
  return all.length === 0 ? undefined : Math.min(...all.map(({ position }) => position));
}

export function domainOf(address: string): string {
  return address.slice(address.indexOf("@"));
}

/** Of the blocks that name one of these groups the one made first. The fewer are gone through, blocks or groups. */
function ofGroups(blocks: Blocks, groups: ByName<unknown>): [who: string, block: Block] | undefined {
  let first: [string, Block] | undefined;
  for (const [who] of groups.size < blocks.size ? groups : blocks) {
    const block = groups.has(who) ? blocks.get(who) : undefined;
    if (block && (first === undefined || block.position < first[1].position)) first = [who, block];
  }
  return first;
}

function entry(blocks: Blocks, who: string): [who: string, block: Block] | undefined {
  const block = blocks.get(who);
  return block && [who, block];
}
