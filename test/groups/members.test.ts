// Members: who belongs where by the feed, and for how long departures are remembered.
import { expect, test } from "vitest";
import { parseAddress } from "../../services/core/address.ts";
import { tombstoneSeconds } from "../../services/core/fact.ts";
import { leftBody, membershipBody } from "../../services/groups/member-facts.ts";
import { openMembers } from "../../services/groups/members.ts";
import type { Follower, Listener } from "../../services/store/follower.ts";
import { subjectOf } from "../../services/store/subjects.ts";

const group = parseAddress("alice@localhost/chess");

test("departures are forgotten with the log, whoever has been there for longer", () => {
  let nowMs = 0;
  let position = 0;
  const listeners: Listener[] = [];
  const follower = {
    listen(listener: Listener) {
      listeners.push(listener);
      return { [Symbol.dispose]: () => undefined };
    },
  } as unknown as Follower;
  using members = openMembers(follower, () => nowMs);
  const turns = (member: string, isThere: boolean): void => {
    const body = isThere ? membershipBody({ standing: "member", sinceMs: nowMs }) : leftBody;
    const fact = { subject: subjectOf(group, "member", member), body, timeMs: nowMs };
    for (const listener of listeners) listener.take({ ...fact, position: ++position, groupEnd: position });
  };
  turns("stays@localhost", true);
  for (const day of [1, 2, 3]) {
    nowMs = day * 24 * 3600 * 1000;
    turns(`day-${day}@localhost`, true);
    turns(`day-${day}@localhost`, false);
  }
  expect(members.turnsSince(group.text, 0).map(({ standing }) => standing)).toEqual([
    "member",
    "gone",
    "gone",
    "gone",
  ]);
  nowMs += (tombstoneSeconds - 24 * 3600) * 1000;
  turns("comes@localhost", true);
  const remembered = ["stays@localhost", "day-3@localhost", "comes@localhost"];
  expect(members.turnsSince(group.text, 0).map(({ member }) => member)).toEqual(remembered);
  expect(members.turnsNear("alice@localhost", 0).map(({ member }) => member)).toEqual(remembered);
  expect(members.turnsNear("day-1@localhost", 0)).toEqual([]);
  expect([...members.of(group.text).keys()]).toEqual(["stays@localhost", "comes@localhost"]);
});
