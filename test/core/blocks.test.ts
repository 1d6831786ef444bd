// Blocks: which one holds, and since when, however many there are and of however many groups somebody is.
import fc from "fast-check";
import { expect, it } from "vitest";
import { type Block, blockOf, hiddenSince, type Party } from "../../services/core/blocks.ts";

const [bob, agent, domain] = ["bob@example.com", "bob@example.com/agent", "@example.com"];
const clubs = ["a", "b", "c", "d", "e"].map((name) => `${name}@example.org`);
const everybody = [bob, agent, domain, "anonymous", "@example.org", "carol@example.com", ...clubs];

/** In the order of a map that need not be the order in which they were made. */
const made = fc
  .shuffledSubarray(everybody)
  .map((whom) => whom.map((who, index): [string, Block] => [who, { mode: "polite", position: index + 1 }]))
  .chain((blocks) => fc.shuffledSubarray(blocks, { minLength: blocks.length }))
  .map((blocks) => new Map(blocks));
const party = fc.constantFrom<Party>({ address: undefined }, { address: bob }, { address: bob, agent });

it("holds by one's own name, else by a group's, else by the domain's, and hides since the first of all", () => {
  fc.assert(
    fc.property(made, party, fc.shuffledSubarray(clubs), (blocks, asker, joined) => {
      const { address, agent } = asker;
      const groups = new Map(joined.map((group) => [group, 1]));
      const position = (who: string): number => blocks.get(who)?.position ?? Number.POSITIVE_INFINITY;
      // Of several groups' blocks it is the one made first.
      const inOrder = joined.toSorted((one, other) => position(one) - position(other));
      const names = address === undefined ? ["anonymous"] : [agent, address, ...inOrder, domain];
      const holding = names.filter((who) => who !== undefined && blocks.has(who)) as string[];
      const [first] = holding;
      expect(blockOf(blocks, asker, () => groups)).toEqual(first && [first, blocks.get(first)]);
      const since = holding.length === 0 ? undefined : Math.min(...holding.map(position));
      expect(hiddenSince(blocks, asker, () => groups)).toBe(since);
    }),
    { numRuns: 2_000 },
  );
});
