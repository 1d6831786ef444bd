// Conditions: of two who write from one revision one wins, and who has the latest is not sent it again.
import { describe, expect, test } from "vitest";
import { aWorld, isFull, propertyPath, stages } from "./world.ts";

const mismatch = { status: 412, code: "revision-mismatch" };

describe.each(stages)("conditions on the %s log", (stage) => {
  const world = aWorld(stage);

  test("If-Match takes the present revision, in quotes, and no other", async () => {
    const alice = await world.registers("alice");
    const put = await alice.puts("count", 1);
    expect(put.headers.get("etag")).toBe(`"${put.body.revision}"`);
    await expect(alice.sets("count", 2, { ifMatch: put.body.revision - 1 })).rejects.toMatchObject(mismatch);
    await expect(alice.sets("count", 2, { ifMatch: put.body.revision + 1 })).rejects.toMatchObject(mismatch);
    const second = await alice.puts("count", 2, { ifMatch: put.body.revision });
    expect(second.status).toBe(200);
    expect(second.body.revision).toBeGreaterThan(put.body.revision);
    expect(second.headers.get("etag")).toBe(`"${second.body.revision}"`);
    await expect(alice.sets("count", 3, { ifMatch: put.body.revision })).rejects.toMatchObject(mismatch);
    expect((await alice.sets("count", 3, { ifMatch: "*" })).value).toBe(3);
    expect(await alice.sees(alice, "count")).toBe(3);
  });

  test("If-Match on what is not there finds nothing, whatever it says", async () => {
    const alice = await world.registers("alice");
    const { revision } = await alice.sets("count", 1);
    await alice.removes("count");
    for (const ifMatch of ["*", 1, revision]) {
      await expect(alice.sets("count", 2, { ifMatch })).rejects.toMatchObject(mismatch);
      await expect(alice.removes("count", { ifMatch })).rejects.toMatchObject(mismatch);
    }
    expect(await alice.sees(alice, "count")).toBeUndefined();
  });

  test("If-None-Match: * creates, and never replaces", async () => {
    const alice = await world.registers("alice");
    const put = await alice.puts("count", 1, { ifNoneMatch: "*" });
    expect(put.status).toBe(201);
    await expect(alice.sets("count", 2, { ifNoneMatch: "*" })).rejects.toMatchObject(mismatch);
    await alice.removes("count");
    expect((await alice.puts("count", 3, { ifNoneMatch: "*" })).status).toBe(201);
  });

  test("a DELETE under a condition keeps to it", async () => {
    const alice = await world.registers("alice");
    const { revision } = await alice.sets("count", 1);
    await expect(alice.removes("count", { ifMatch: revision - 1 })).rejects.toMatchObject(mismatch);
    await expect(alice.removes("count", { ifNoneMatch: "*" })).rejects.toMatchObject(mismatch);
    expect(await alice.sees(alice, "count")).toBe(1);
    await alice.removes("count", { ifMatch: revision });
    expect(await alice.sees(alice, "count")).toBeUndefined();
  });

  test("the end of a lease is a change: the revision before it is stale", async () => {
    const alice = await world.registers("alice");
    const bob = await world.registers("bob");
    await bob.watches(alice, "count");
    const { revision } = await alice.sets("count", 1, { lease: { seconds: 1, default: 0 } });
    await bob.hears("property.changed", { value: 1 });
    const ended = await bob.hears("property.changed", { value: 0, reason: "expired" });
    await expect(alice.sets("count", 2, { ifMatch: revision })).rejects.toMatchObject(mismatch);
    await alice.sets("count", 2, { ifMatch: ended.event.data.revision });
  });

  test("a renewal is no change: the revision stays good", async () => {
    const alice = await world.registers("alice");
    const { revision, lease } = await alice.sets("count", 1, { lease: { seconds: 60 } });
    await alice.renews(lease?.id as string);
    const second = await alice.sets("count", 2, { ifMatch: revision });
    expect(second.revision).toBeGreaterThan(revision);
  });

  test("If-None-Match on a read answers 304 without a body, until something changes", async () => {
    const alice = await world.registers("alice");
    const bob = await world.registers("bob");
    const { revision } = await alice.sets("count", 1);
    const read = async (tag: string) =>
      await bob.asks("GET", propertyPath(alice.address, "count"), { headers: { "if-none-match": tag } });
    for (const tag of [`"${revision}"`, `W/"${revision}"`, `"1", "${revision}"`, "*"]) {
      const answer = await read(tag);
      expect({ tag, status: answer.status, text: answer.text }).toEqual({ tag, status: 304, text: "" });
      expect(answer.headers.get("etag")).toBe(`"${revision}"`);
    }
    for (const tag of [`"${revision + 1}"`, `${revision}`, "nonsense", ""]) {
      const answer = await read(tag);
      expect({ tag, status: answer.status, value: answer.body.value }).toEqual({
        tag,
        status: 200,
        value: 1,
      });
    }
    await alice.sets("count", 2);
    expect((await read(`"${revision}"`)).body.value).toBe(2);
  });

  const pairs = isFull ? 1_000 : 100;
  test(`of two who write from one revision exactly one wins, ${pairs} times`, async () => {
    const alice = await world.registers("alice");
    let { revision } = await alice.sets("count", "start");
    for (let round = 0; round < pairs; round++) {
      const values = [`${round} left`, `${round} right`];
      const answers = await Promise.all(
        values.map((value) =>
          alice.asks("PUT", propertyPath(alice.address, "count"), {
            body: { value },
            headers: { "if-match": `"${revision}"` },
          }),
        ),
      );
      const statuses = answers.map(({ status }) => status);
      expect(statuses.toSorted()).toEqual([200, 412]);
      const winner = statuses.indexOf(200);
      const { value, revision: next } = await alice.gets(alice, "count");
      expect(value).toBe(values[winner]);
      expect(next).toBe(answers[winner]?.body.revision);
      revision = next;
    }
  });

  test("of twenty who create at once exactly one does", async () => {
    const alice = await world.registers("alice");
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, index) =>
        alice.asks("PUT", propertyPath(alice.address, "count"), {
          body: { value: index },
          headers: { "if-none-match": "*" },
        }),
      ),
    );
    expect(answers.map(({ status }) => status).toSorted()).toEqual([201, ...Array(19).fill(412)]);
    expect(await alice.sees(alice, "count")).toBe(answers.findIndex(({ status }) => status === 201));
  });
});
