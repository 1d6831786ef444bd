// Decisions that are in the log although the broker could not hear of them: nobody is told that nothing was changed.
import { expect, it } from "vitest";
import { parseAddress } from "../../services/core/address.ts";
import { openPolicies } from "../../services/policy/policies.ts";
import { follow } from "../../services/store/follower.ts";
import { openHeads } from "../../services/store/heads.ts";
import { type Log, LogUnavailable, OutcomeUnknown } from "../../services/store/log.ts";
import { openMemoryLog } from "../../services/store/memory.ts";
import { subjectOf } from "../../services/store/subjects.ts";

const owner = parseAddress("alice@localhost");

/** A store that takes what it is given, and is gone in the next moment. */
function goneAfterwards(): Log {
  async function* nothing(_: number, signal: AbortSignal): AsyncGenerator<never> {
    await new Promise((resolve) => signal.addEventListener("abort", resolve));
  }
  return {
    ...openMemoryLog(),
    feed: nothing,
    end: () => Promise.reject(new LogUnavailable("the store is gone")),
  };
}

it("a decision that was stored, and not heard of, may have been made", async () => {
  const log = goneAfterwards();
  const now = (): number => 0;
  await using follower = follow(log);
  using policies = openPolicies({
    log,
    heads: openHeads(log, 1_000_000, now),
    follower,
    members: { listen: () => ({ [Symbol.dispose]: () => undefined }) },
    now,
  });
  await expect(policies.block(owner, "bob@localhost", "polite")).rejects.toBeInstanceOf(OutcomeUnknown);
  expect(await log.last(subjectOf(owner, "block", "bob@localhost"))).toBeDefined();
});
