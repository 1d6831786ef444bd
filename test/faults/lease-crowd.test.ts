// Leases that end together are ended by one fact: none early, each once, and whoever renews in time holds.
import { describe, expect, test } from "vitest";
import {
  at,
  aWorld,
  type Heard,
  longStages,
  nodePath,
  type Person,
  propertyPath,
  type World,
  wallMs,
} from "../conversations/world.ts";
import { until } from "../store/embedded.ts";

const crowd = 500;
/** Longer than a crowd is marked ahead of its end. */
const shortest = 4;
/** What a test needs of that: it writes to those that were marked a second before their end. */
const leftMs = 1_500;
/** By then the log says of each by itself how it stands. */
const writtenOutMs = 3_000;
const lateMsMax = 1_500;
const [online, offline] = [{ status: "online" }, { status: "offline" }];
const names = Array.from({ length: crowd }, (_, index) => `c.${index}`);
const [first = "", second = "", third = ""] = names;

describe.concurrent.each(longStages)("leases that end together on the %s log", (stage) => {
  const world = aWorld(stage);

  test("end in time, each once, by one fact", async () => {
    // The first search begins the projection.
    await finds(await world.registers("carol"));
    const { alice, bob, untilMs } = await leased(world);
    const revision = requireEnds(await bob.hearsMany(crowd), names, untilMs);
    expect((await alice.gets(alice, first)).revision).toBe(revision);
    // Others of the crowd may still be told.
    await until("the directory to have it", async () => (await finds(bob)).includes(alice.address));
    const { revision: next } = await alice.sets(first, online, { ifMatch: revision });
    await bob.hears("property.changed", { name: first, value: online, revision: next });
    await at(untilMs + writtenOutMs);
    await bob.hearsNothing();
    expect((await alice.gets(alice, second)).revision).toBe(revision);
    await alice.sets(second, online, { ifMatch: revision });
    await bob.hears("property.changed", { name: second, value: online });
  });

  test("leave out which of them were renewed, set or deleted meanwhile", async () => {
    const { alice, bob, untilMs } = await leased(world);
    const others = names.filter((name) => ![first, second, third].includes(name));
    const { lease } = await alice.gets(alice, first);
    await marked(untilMs);
    await Promise.all([
      alice.renews(lease?.id as string, 60),
      alice.sets(second, "by hand"),
      alice.removes(third),
    ]);
    const heard = await bob.hearsMany(2);
    const [set, deleted] = heard.toSorted((a, b) => (a.event.data.name < b.event.data.name ? -1 : 1));
    expect([set?.event.data.value, deleted?.event.type]).toEqual(["by hand", "dev.tidings.property.removed"]);
    requireEnds(await bob.hearsMany(others.length), others, untilMs);
    expect(await bob.sees(alice, first)).toEqual(online);
    expect(await bob.sees(alice, second)).toBe("by hand");
    expect(await bob.sees(alice, third)).toBeUndefined();
    await at(untilMs + writtenOutMs);
    await bob.hearsNothing();
  });

  test("are gone for good where nothing is left of them", async () => {
    const { alice, bob, untilMs } = await leased(world, { rest: {} });
    const heard = await bob.hearsMany(crowd);
    expect(new Set(heard.map(({ event }) => event.type))).toEqual(new Set(["dev.tidings.property.removed"]));
    expect(await bob.sees(alice, first)).toBeUndefined();
    await alice.sets(first, online);
    await bob.hears("property.changed", { name: first, value: online });
    await at(untilMs + writtenOutMs);
    await bob.hearsNothing();
  });

  test("leave their places to others before the log says of each that it is gone", async () => {
    const { alice, bob } = await leased(world, { rest: {} });
    const there = (await world.neighbour()).with(alice.token);
    const put = { body: { value: online } };
    const full = await there.asks("PUT", propertyPath(alice.address, "other"), put);
    expect([full.status, full.body.code]).toEqual([422, "too-many-properties"]);
    await bob.hearsMany(crowd);
    await alice.sets("other", online);
    expect((await there.asks("PUT", propertyPath(alice.address, "another"), put)).status).toBe(201);
    const newcomer = (await world.neighbour({ keeper: "newcomer" })).with(alice.token);
    expect((await newcomer.asks("PUT", propertyPath(alice.address, "third"), put)).status).toBe(201);
  });

  test("are explained as ended, and go with their node, before the log says it of each", async () => {
    const { alice, bob, node, untilMs } = await leased(world, { rest: {}, under: "bike" });
    const heard = await bob.hearsMany(crowd);
    const query = new URLSearchParams({ node, watcher: bob.address, property: first });
    const { body } = await world.operator.asks("GET", `/v1/explain?${query}`);
    // On a busy machine some end by themselves.
    const its = heard.find(({ event }) => event.data.name === first);
    expect(body.revision).toBe(its?.event.data.revision);
    expect((await alice.asks("DELETE", nodePath(node))).status).toBe(204);
    await at(untilMs + writtenOutMs);
    await bob.hearsNothing();
    await alice.creates(node, "thing");
    expect(await bob.sees(node, first)).toBeUndefined();
  });
});

describe("a crowd of leases with names as long as may be", () => {
  const world = aWorld("jetstream");

  test("is set anew like any other, and nobody else is refused meanwhile", async () => {
    const alice = await world.registers("a".padEnd(58, "+"));
    const bob = await world.registers("bob");
    let node = alice.address;
    for (let depth = 0; depth < 8; depth++) await alice.creates((node += `/${"~".repeat(64)}`), "thing");
    const longest = names.map((name) => name.padEnd(127, "."));
    const set = Object.fromEntries(
      longest.map((name) => [name, { value: online, lease: { seconds: shortest } }]),
    );
    const { properties } = await alice.patches({ set }, { at: node });
    const untilMs = Date.parse(properties[longest[0] as string].lease.until);
    await marked(untilMs);
    const setAnew = alice.patches({ set }, { at: node });
    const written = names.slice(0, 100).map((name) => bob.sets(name, online));
    expect((await Promise.allSettled(written)).filter(({ status }) => status === "rejected")).toEqual([]);
    await setAnew;
  });
});

describe("a broker that is killed", () => {
  const world = aWorld("process");

  test("right after they ended has ended them, and tells nobody of another end", async () => {
    const { alice, bob, untilMs } = await leased(world);
    const heard = await bob.hearsMany(crowd);
    await world.program.kill();
    const revision = requireEnds(heard, names, untilMs);
    await world.program.start();
    expect((await alice.gets(alice, first)).revision).toBe(revision);
    const half = heard[crowd / 2]?.cursor as string;
    const { snapshot } = await bob.watches(alice, "c.*", { after: half });
    expect(new Set(snapshot.map(({ event }) => event.data.revision))).toEqual(new Set([revision]));
    const ids = new Set(heard.map(({ event }) => event.id));
    for (const { event } of snapshot) expect(ids).toContain(event.id);
    await at(Date.now() + writtenOutMs);
    await bob.hearsNothing();
    expect((await alice.gets(alice, first)).revision).toBe(revision);
  });

  test("while they are marked ends them all the same", async () => {
    const { alice, bob, untilMs } = await leased(world);
    await marked(untilMs);
    await world.program.kill();
    await world.program.start();
    const { snapshot } = await bob.watches(alice, "c.*");
    const heard = snapshot.filter(({ event }) => event.data.value?.status === "online");
    const ended = await bob.hearsMany(heard.length);
    for (const { event } of ended) expect(event.data).toMatchObject({ value: offline, reason: "expired" });
    expect(await bob.sees(alice, first)).toEqual(offline);
  });
});

/** Whose last one is offline, as the whole directory has it. */
async function finds(who: Person): Promise<string> {
  const where = `prop("${names.at(-1)}").status == "offline"`;
  return await until("a whole answer", async () => {
    const { text } = await who.asks("GET", `/v1/directory?${new URLSearchParams({ where })}`);
    return text.includes('"partial":true') ? undefined : text;
  });
}

/** A second before they end all of them have been marked, and whoever writes then writes before they end on a busy machine too. */
async function marked(untilMs: number): Promise<void> {
  await at(untilMs - 1_000);
}

interface Wish {
  /** What each lease leaves behind. */
  readonly rest?: { default?: unknown };
  /** The child node that holds them; alice's own without it. */
  readonly under?: string;
}

/** A crowd of leases of alice's, all until then, which bob watches while there is still some of their time left. */
async function leased(
  world: World,
  { rest = { default: offline }, under, seconds = shortest }: Wish & { seconds?: number } = {},
): Promise<{ alice: Person; bob: Person; node: string; untilMs: number }> {
  const [alice, bob] = [await world.registers("alice"), await world.registers("bob")];
  const node = under === undefined ? alice.address : `${alice.address}/${under}`;
  if (under !== undefined) await alice.creates(node, "thing");
  const lease = { seconds, ...rest };
  const set = Object.fromEntries(names.map((name) => [name, { value: online, lease }]));
  const { properties } = await alice.patches({ set }, { at: node });
  const [untilMs = 0, ...later] = new Set(names.map((name) => Date.parse(properties[name].lease.until)));
  expect(later).toEqual([]);
  await bob.watches(node, "c.*");
  // On a machine that stood still meanwhile it is done once more, with more time.
  if (Date.now() > untilMs - leftMs)
    return await leased(world, { rest, ...(under && { under }), seconds: seconds * 2 });
  return { alice, bob, node, untilMs };
}

/** @returns the revision that all of them got */
function requireEnds(heard: readonly Heard[], expected: readonly string[], untilMs: number): number {
  expect(heard.map(({ event }) => event.data.name).sort()).toEqual([...expected].sort());
  for (const { event, atMs } of heard) {
    expect(event.data).toMatchObject({ value: offline, reason: "expired" });
    const lateMs = wallMs(atMs) - untilMs;
    expect(lateMs).toBeGreaterThanOrEqual(0);
    expect(lateMs).toBeLessThan(lateMsMax);
  }
  const [revision, ...others] = new Set(heard.map(({ event }) => event.data.revision as number));
  expect(others, "one fact ends them all").toEqual([]);
  return revision as number;
}
