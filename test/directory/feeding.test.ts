// The projection: whatever becomes of its file or its thread, it finds again what the log holds.
import { appendFileSync, existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { makeAddress, parseAddress } from "../../services/core/address.ts";
import { answerBody } from "../../services/policy/policy-facts.ts";
import type { Log } from "../../services/store/log.ts";
import { openMemoryLog } from "../../services/store/memory.ts";
import { subjectOf } from "../../services/store/subjects.ts";
import { type Folder, temporaryFolder, until } from "../store/embedded.ts";
import { lookOf, openSmallWorld, principal, type SmallWorld } from "./small-world.ts";

const alice = "alice@localhost";
const asBob = lookOf(principal("bob@localhost"));

let folder: Folder;
let file: string;
let log: Log;
beforeEach(async () => {
  folder = await temporaryFolder();
  file = join(folder.path, "directory.sqlite");
  log = openMemoryLog({ epoch: "one" });
});
afterEach(async () => await folder[Symbol.asyncDispose]());

async function addresses({ directory }: SmallWorld, q: string): Promise<readonly string[]> {
  return await until("a whole answer", async () => {
    const { nodes, partial } = await directory.search(asBob, { q, limit: 100 });
    return partial ? undefined : nodes.map(({ address }) => address).sort();
  });
}

async function settled(world: SmallWorld): Promise<void> {
  await until("the projection", () => world.directory.position === world.follower.position);
}

/** A world in which alice has a bike in Oslo. */
async function begin(): Promise<void> {
  await using world = await openSmallWorld({ log, file });
  await world.nodes.create(parseAddress(alice), "person");
  await world.sets(alice, "for-sale", { item: "bike", city: "Oslo" });
  expect(await addresses(world, "oslo")).toEqual([alice]);
}

/** What stands in the file, as its broker left it. */
function state(): Record<string, unknown> {
  const database = new DatabaseSync(file);
  const { ...row } = database.prepare("SELECT epoch, position, term FROM state").get();
  database.close();
  return row;
}

function inFile(sql: string): void {
  const database = new DatabaseSync(file);
  database.exec(sql);
  database.close();
}

describe("the directory's projection", () => {
  it("goes on where it stood", async () => {
    await begin();
    const before = state();
    expect(before).toMatchObject({ epoch: "one", position: 2 });
    await using world = await openSmallWorld({ log, file });
    await world.sets(alice, "for-sale", { item: "bike", city: "Bergen" });
    expect(await addresses(world, "oslo")).toEqual([]);
    expect(await addresses(world, "bergen")).toEqual([alice]);
    expect(world.directory.rebuilds).toBe(0);
  });

  const harms: readonly (readonly [string, () => void])[] = [
    ["is rubbish", () => writeFileSync(file, "rubbish ".repeat(10_000))],
    ["is of another epoch", () => inFile("UPDATE state SET epoch = 'other'")],
  ];
  for (const [what, harm] of harms) {
    it(`is made anew where its file ${what}`, async () => {
      await begin();
      harm();
      await using world = await openSmallWorld({ log, file });
      expect(await addresses(world, "oslo")).toEqual([alice]);
      expect(world.directory.rebuilds).toBe(1);
    });
  }

  it("is made anew after a backup was restored, though positions go on rising", async () => {
    await begin();
    // The history that the projection knows ended before its last fact; another went on from there.
    const other = openMemoryLog({ epoch: "one" });
    const [first] = (await log.snapshot(["t.>"])).facts;
    if (first === undefined) throw new Error("no fact");
    await other.append([{ subject: first.subject, body: first.body, expected: 0 }]);
    const term = subjectOf(makeAddress("", "localhost"), "term", "restored");
    await other.append([{ subject: term, body: "{}", expected: 0 }]);
    await other.append([
      { subject: subjectOf(parseAddress(alice), "watcher", "x"), body: "{}", expected: 0 },
    ]);
    await using world = await openSmallWorld({ log: other, file });
    expect(await addresses(world, "oslo")).toEqual([]);
    expect(world.directory.rebuilds).toBe(1);
  });

  it("keeps going on through terms that it has seen", async () => {
    await begin();
    for (const name of ["first", "second"]) {
      await using world = await openSmallWorld({ log, file });
      const term = subjectOf(makeAddress("", "localhost"), "term", name);
      await log.append([{ subject: term, body: "{}", expected: 0 }]);
      await settled(world);
      expect(world.directory.rebuilds).toBe(0);
    }
    expect(state().term).toBe("second 4");
  });

  it("lies in memory where another broker has the file", async () => {
    await using first = await openSmallWorld({ log, file });
    await first.nodes.create(parseAddress(alice), "person");
    await first.sets(alice, "for-sale", { item: "bike" });
    expect(await addresses(first, "bike")).toEqual([alice]);
    await using second = await openSmallWorld({ log, file });
    expect(await addresses(second, "bike")).toEqual([alice]);
    expect(await addresses(first, "bike")).toEqual([alice]);
    expect(existsSync(file)).toBe(true);
  });

  it("has after a crash between two batches what it had before, and takes in the rest", async () => {
    await begin();
    const copy = join(folder.path, "copy.sqlite");
    {
      await using world = await openSmallWorld({ log, file });
      await world.sets(alice, "for-sale", { item: "bike", city: "Bergen" });
      await settled(world);
      // As kill -9 would leave it: what the last batch wrote may lie in the write-ahead log alone.
      for (const ending of ["", "-wal"]) {
        if (existsSync(file + ending)) writeFileSync(copy + ending, readFileSync(file + ending));
      }
      for (let index = 0; index < 300; index++) {
        await world.sets(alice, `thing-${index}`, { city: "Hamar" });
      }
      await world.removes(alice, "for-sale");
    }
    await using world = await openSmallWorld({ log, file: copy });
    expect(await addresses(world, "bergen")).toEqual([]);
    expect(await addresses(world, "hamar")).toEqual([alice]);
    expect(world.directory.rebuilds).toBe(0);
  });

  it("does not trust half of a write-ahead log", async () => {
    await begin();
    appendFileSync(`${file}-wal`, "rubbish ".repeat(1_000));
    await using world = await openSmallWorld({ log, file });
    expect(await addresses(world, "oslo")).toEqual([alice]);
  });

  it("reads the log by itself where more comes than it may keep", async () => {
    await using world = await openSmallWorld({ log, file, bounds: { count: 5, size: 1_000_000 } });
    for (let index = 0; index < 40; index++) {
      const address = `p${index}@localhost`;
      await world.nodes.create(parseAddress(address), "person");
      await Promise.all(
        Array.from({ length: 5 }, (_, nth) => world.sets(address, `for-sale.n${nth}`, `bike ${nth}`)),
      );
    }
    expect((await addresses(world, "bike")).length).toBe(40);
    expect(world.directory.rebuilds).toBe(1);
  });

  it("asks what an owner has decided once for thousands of answers that come together", async () => {
    await using world = await openSmallWorld({ log, file });
    await world.nodes.create(parseAddress(alice), "person");
    await world.sets(alice, "secret", { city: "Hamar" });
    await settled(world);
    const asked = vi.spyOn(world.policies.book, "of");
    const answer = { decision: "allow", properties: ["secret"], madeMs: 0 } as const;
    await log.append(
      Array.from({ length: 2_000 }, (_, index) => ({
        subject: subjectOf(parseAddress(alice), "answer", `n${index}@localhost`),
        body: answerBody(answer),
        expected: 0,
      })),
    );
    await settled(world);
    expect(asked.mock.calls.length).toBeLessThan(20);
    const asOne = lookOf(principal("n1999@localhost"));
    expect(await world.finds(asOne, { q: "hamar" })).toMatchObject([{ nodes: [{ address: alice }] }]);
  });

  it("is fed at once, when somebody searches, what a crowd's end means", async () => {
    await using world = await openSmallWorld({ log, file });
    await world.nodes.create(parseAddress(alice), "person");
    await world.sets(alice, "for-sale", { item: "bike", city: "Oslo" });
    expect(await addresses(world, "oslo")).toEqual([alice]);
    const end = subjectOf(makeAddress("", "localhost"), "crowd", "c");
    const [part] = (await log.snapshot([subjectOf(parseAddress(alice), "property", "for-sale")])).facts;
    using _ = world.follower.unfold((fact) =>
      fact.subject === end && part
        ? (async function* () {
            yield [{ ...part, position: fact.position, basis: { expected: part.position } }];
          })()
        : undefined,
    );
    await log.append([{ subject: end, body: "{}", expected: 0 }]);
    await world.follower.caughtUp();
    expect(world.directory.position).toBeLessThan(world.follower.position);
    const beganMs = performance.now();
    expect(await addresses(world, "oslo")).toEqual([alice]);
    expect(world.directory.position).toBe(world.follower.position);
    // By itself it would take half a second.
    expect(performance.now() - beganMs).toBeLessThan(400);
  });

  it("says that it is not whole while it is being made", async () => {
    await begin();
    rmSync(file);
    const gate = Promise.withResolvers<void>();
    const slow: Log = {
      ...log,
      async *feed(after, signal) {
        // The follower began before anything else did.
        if (feeds++ > 0) await gate.promise;
        yield* log.feed(after, signal);
      },
    };
    let feeds = 0;
    await using world = await openSmallWorld({ log: slow, file });
    expect(await world.directory.search(asBob, { q: "oslo" })).toEqual({ nodes: [], partial: true });
    gate.resolve();
    expect(await addresses(world, "oslo")).toEqual([alice]);
  });
});
