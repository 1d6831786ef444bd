// What is more than one answer may hold: it is refused, can be had in parts, and costs what its parts would.
import { expect, test } from "vitest";
import { usualLimits } from "../../services/http/quotas.ts";
import { nodePath, openWorld } from "./world.ts";

const requests = { burst: 1_300, perSecond: 0.001 };

test("a node of more than 16 MiB is read in parts, and its names at once", async () => {
  await using world = await openWorld("memory", { limits: { ...usualLimits, requests } });
  const alice = await world.registers("alice");
  const bob = await world.registers("bob");
  const long = { value: "x".repeat(65_000) };
  for (const half of ["a", "b"]) {
    for (let n = 0; n < 135; n += 3) {
      const names = [n, n + 1, n + 2].map((one) => `${half}.${one}`);
      await alice.patches({ set: Object.fromEntries(names.map((name) => [name, long])) });
    }
  }
  const reads = async (query: string) => await bob.asks("GET", `${nodePath(alice.address)}?${query}`);
  const tooLarge = { status: 422, body: { code: "answer-too-large" } };
  expect(await reads("")).toMatchObject(tooLarge);
  expect(await reads("depth=infinity")).toMatchObject(tooLarge);
  expect((await reads("names=true")).body.names).toHaveLength(270);
  expect(Object.keys((await reads("properties=a.*")).body.properties)).toHaveLength(135);
  await bob.asks("PUT", "/v1/me/roster", { body: { contacts: [{ address: alice.address }] } });
  expect(await bob.asks("GET", "/v1/me/roster")).toMatchObject(tooLarge);
  const { contacts } = (await bob.asks("GET", "/v1/me/roster?properties=a.0")).body;
  expect(contacts[0].properties).toMatchObject({ "a.0": long });
  // Each 64 KiB that was looked at cost a request, also where it was refused, and what was shown once may be owed.
  expect(await reads("properties=b.*")).toMatchObject({ status: 200 });
  expect(await reads("properties=a.0")).toMatchObject({ status: 429 });
});
