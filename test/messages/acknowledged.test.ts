// What a member has of a group's messages: exactly what it acknowledged, in whatever order and however stale its view.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  type Acknowledged,
  acknowledging,
  nothingAcknowledged,
} from "../../services/messages/message-facts.ts";

const has = ({ upTo, also }: Acknowledged, position: number): boolean =>
  position <= upTo || also.includes(position);

describe("what is acknowledged", () => {
  it("is one number while it is done in order", () => {
    let known = nothingAcknowledged;
    for (const position of [3, 7, 8]) {
      known = acknowledging(
        known,
        position,
        [3, 7, 8, 9].filter((one) => one >= position),
      );
    }
    expect(known).toEqual({ upTo: 8, also: [] });
  });

  it("is what was, and nothing else, in any order", () => {
    const positions = fc.uniqueArray(fc.integer({ min: 1, max: 60 }), { minLength: 1, maxLength: 20 });
    const stale = fc.array(fc.boolean(), { minLength: 20, maxLength: 20 });
    fc.assert(
      fc.property(
        positions.chain((all) => fc.tuple(fc.constant(all), fc.shuffledSubarray(all))),
        stale,
        ([all, order], isStale) => {
          const done = new Set<number>();
          let known: Acknowledged = nothingAcknowledged;
          for (const [index, position] of order.entries()) {
            // This broker may not have heard yet of what another one has acknowledged.
            const open = all.filter((one) => !done.has(one) || isStale[index]);
            known = acknowledging(known, position, open);
            done.add(position);
            for (const one of all) expect(has(known, one)).toBe(done.has(one));
          }
          if (done.size === all.length && !isStale.some(Boolean)) expect(known.also).toEqual([]);
        },
      ),
      { numRuns: 500 },
    );
  });
});
