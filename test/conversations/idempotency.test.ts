// Idempotency-Key: a retry has one effect and the same answer, however and whenever it comes.
import { describe, expect, test } from "vitest";
import { aWorld, nodePath, propertyPath, stages } from "./world.ts";

const oslo = { city: "Oslo" };

describe.each(stages)("retries on the %s log", (stage) => {
  const world = aWorld(stage);

  test("a PUT that is sent again has one effect and the same answer", async () => {
    const alice = await world.registers("alice");
    const bob = await world.registers("bob");
    await bob.watches(alice, "travel");
    const first = await alice.puts("travel", oslo, { key: "k-1", lease: { seconds: 60 } });
    await bob.hears("property.changed", { revision: first.body.revision });
    await alice.sets("travel", { city: "Rome" });
    await bob.hears("property.changed", { value: { city: "Rome" } });
    const again = await alice.puts("travel", oslo, { key: "k-1", lease: { seconds: 60 } });
    expect(again.status).toBe(201);
    expect(again.text).toBe(first.text);
    expect(again.headers.get("etag")).toBe(first.headers.get("etag"));
    expect(await alice.sees(alice, "travel")).toEqual({ city: "Rome" });
    await bob.hearsNothing();
  });

  test("twenty at once have one effect, and all get its answer", async () => {
    const alice = await world.registers("alice");
    const bob = await world.registers("bob");
    await alice.sets("travel", { city: "Rome" });
    await bob.watches(alice, "travel");
    const answers = await Promise.all(
      Array.from({ length: 20 }, () => alice.puts("travel", oslo, { key: "k-20", lease: { seconds: 60 } })),
    );
    expect(new Set(answers.map(({ text, status }) => `${status} ${text}`)).size).toBe(1);
    const heard = await bob.hearsUpToNow();
    expect(heard.map(({ event }) => event.data.revision)).toEqual([answers[0]?.body.revision]);
    expect((await alice.gets(alice, "travel")).revision).toBe(answers[0]?.body.revision);
  });

  test("a conditional PUT that is sent again is not refused by its own effect", async () => {
    const alice = await world.registers("alice");
    const { revision } = await alice.sets("travel", oslo);
    const terms = { key: "k-if", ifMatch: revision };
    const first = await alice.puts("travel", { city: "Rome" }, terms);
    expect((await alice.puts("travel", { city: "Rome" }, terms)).text).toBe(first.text);
    await alice.sets("count", 1, { key: "k-new", ifNoneMatch: "*" });
    expect((await alice.puts("count", 1, { key: "k-new", ifNoneMatch: "*" })).status).toBe(201);
  });

  test("a key belongs to one request: another body, path, method or condition is refused", async () => {
    const alice = await world.registers("alice");
    const first = await alice.sets("travel", oslo, { key: "k-mine" });
    const mismatch = { status: 422, code: "idempotency-mismatch" };
    const key = "k-mine";
    await expect(alice.sets("travel", { city: "Rome" }, { key })).rejects.toMatchObject(mismatch);
    await expect(alice.sets("travel", oslo, { key, lease: { seconds: 9 } })).rejects.toMatchObject(mismatch);
    await expect(alice.sets("activity", { activity: "x" }, { key })).rejects.toMatchObject(mismatch);
    await expect(alice.sets("travel", oslo, { key, ifMatch: "*" })).rejects.toMatchObject(mismatch);
    await expect(alice.removes("travel", { key })).rejects.toMatchObject(mismatch);
    await expect(alice.patches({ remove: ["travel"] }, { key })).rejects.toMatchObject(mismatch);
    expect(await alice.gets(alice, "travel")).toEqual(first);
  });

  test("a key is its owner's alone", async () => {
    const alice = await world.registers("alice");
    const bob = await world.registers("bob");
    await alice.sets("travel", oslo, { key: "k-same" });
    const put = await bob.puts("travel", { city: "Rome" }, { key: "k-same" });
    expect(put.body).toMatchObject({ node: bob.address, value: { city: "Rome" } });
  });

  test("a PATCH and a DELETE that are sent again have one effect", async () => {
    const alice = await world.registers("alice");
    const bob = await world.registers("bob");
    await alice.sets("old", 1);
    await bob.watches(alice);
    const change = { set: { a: { value: 1 }, b: { value: 2 } }, remove: ["old"] };
    const wish = { body: change, headers: { "idempotency-key": "k-patch" } };
    const answers = await Promise.all(
      Array.from({ length: 5 }, () => alice.asks("PATCH", nodePath(alice.address), wish)),
    );
    expect(new Set(answers.map(({ text, status }) => `${status} ${text}`)).size).toBe(1);
    expect(answers[0]?.status).toBe(200);
    expect(await bob.hearsUpToNow()).toHaveLength(3);

    await alice.removes("a", { key: "k-delete" });
    await bob.hears("property.removed", { name: "a" });
    await alice.sets("a", 3);
    await bob.hears("property.changed", { name: "a", value: 3 });
    await alice.removes("a", { key: "k-delete" });
    await bob.hearsNothing();
    expect(await alice.sees(alice, "a")).toBe(3);
  });

  test("a refused request does not use its key up", async () => {
    const alice = await world.registers("alice");
    await expect(alice.sets("travel", { city: 7 }, { key: "k-refused" })).rejects.toMatchObject({
      status: 422,
    });
    expect((await alice.puts("travel", oslo, { key: "k-refused" })).status).toBe(201);
  });
});

describe("retries on the real program", () => {
  const world = aWorld("process");

  test("are remembered across kill -9 and a new start", async () => {
    const alice = await world.registers("alice");
    const bob = await world.registers("bob");
    const { live } = await bob.watches(alice);
    const first = await alice.puts("travel", oslo, { key: "k-restart", lease: { seconds: 600 } });
    await world.program.kill();
    await world.program.start();
    const answers = await Promise.all(
      Array.from({ length: 20 }, () =>
        alice.puts("travel", oslo, { key: "k-restart", lease: { seconds: 600 } }),
      ),
    );
    for (const { status, text } of answers)
      expect({ status, text }).toEqual({ status: 201, text: first.text });
    expect((await alice.gets(alice, "travel")).revision).toBe(first.body.revision);
    const { snapshot } = await bob.watches(alice, undefined, { after: live.cursor });
    expect(snapshot.map(({ event }) => event.data.revision)).toEqual([first.body.revision]);
    await bob.hearsNothing();
    const other = await alice.asks("PUT", propertyPath(alice.address, "travel"), {
      body: { value: { city: "Rome" } },
      headers: { "idempotency-key": "k-restart" },
    });
    expect(other).toMatchObject({ status: 422, body: { code: "idempotency-mismatch" } });
  });
});
