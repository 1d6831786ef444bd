// Types: who sees a property unless its owner says otherwise, and which values fit it.
import { describe, expect, test } from "vitest";
import { refusals } from "../../services/core/refusals.ts";
import { aWorld, nodePath, type Person, stages } from "./world.ts";

const celsius = {
  type: "object",
  properties: {
    celsius: { type: "number", minimum: -273.15 },
    tags: { type: "array", items: { type: "string" } },
  },
  required: ["celsius"],
  additionalProperties: false,
};

describe.each(stages)("types on the %s log", (stage) => {
  const world = aWorld(stage);
  const ownType = (who: Person, name: string): string => `${nodePath(who.address)}/types/${name}`;

  test("what ships decides who sees what", async () => {
    const alice = await world.registers("alice");
    const bob = await world.registers("bob");
    const shipped: [name: string, value: unknown, who: string][] = [
      ["profile", { name: "Alice" }, "stranger bob alice"],
      ["for-sale", { item: "bike" }, "stranger bob alice"],
      ["looking-for", { item: "flat" }, "stranger bob alice"],
      ["presence", { status: "online" }, "bob alice"],
      ["activity", { activity: "reading" }, "bob alice"],
      ["travel", { city: "Oslo" }, "bob alice"],
      ["unknown-to-all", 1, "bob alice"],
      ["contact", { phone: "1" }, "alice"],
      ["location", { lat: 1, lon: 2 }, "alice"],
    ];
    for (const [name, value] of shipped) await alice.sets(name, value);
    const readers: [string, Person][] = [
      ["stranger", world.stranger],
      ["bob", bob],
      ["alice", alice],
    ];
    const nodes = new Map<string, string[]>();
    for (const [who, reader] of readers) nodes.set(who, Object.keys((await reader.reads(alice)).properties));
    for (const [name, value, expected] of shipped) {
      const seeing: string[] = [];
      for (const [who, reader] of readers) {
        const seen = await reader.sees(alice, name);
        if (seen !== undefined) expect(seen).toEqual(value);
        expect(nodes.get(who)?.includes(name)).toBe(seen !== undefined);
        if (seen !== undefined) seeing.push(who);
      }
      expect(`${name}: ${seeing.join(" ")}`).toBe(`${name}: ${expected}`);
    }
    const { types } = (await world.stranger.asks("GET", "/v1/types")).body;
    for (const type of types)
      expect(type).toMatchObject({ schema: { type: "object" }, visibility: expect.any(String) });
    expect((await world.stranger.asks("GET", "/v1/types/travel")).body).toMatchObject({
      name: "travel",
      visibility: "contacts",
      source: "shipped",
    });
    expect((await world.stranger.asks("GET", "/v1/types/never-was")).body.code).toBe("not-found");
  });

  test("a value that does not fit a shipped type is refused with pointers, its default as well", async () => {
    const alice = await world.registers("alice");
    await expect(alice.sets("presence", { status: 7 })).rejects.toMatchObject({
      status: 422,
      code: "value-invalid",
      problem: { errors: [{ pointer: "/value/status", detail: expect.any(String) }] },
    });
    const lease = { seconds: 60, default: { status: false } };
    await expect(alice.sets("presence", { status: "online" }, { lease })).rejects.toMatchObject({
      problem: { errors: [{ pointer: "/lease/default/status" }] },
    });
    expect(await alice.sees(alice, "presence")).toBeUndefined();
  });

  test("the operator sets a type for all: values that do not fit are refused with pointers", async () => {
    const alice = await world.registers("alice");
    const put = await world.operator.asks("PUT", "/v1/types/weather", {
      body: { schema: celsius, visibility: "public" },
    });
    expect(put).toMatchObject({
      status: 201,
      body: { name: "weather", schema: celsius, visibility: "public", source: "domain" },
    });
    await alice.sets("weather", { celsius: 21.5, tags: ["sunny"] });
    expect(await world.stranger.sees(alice, "weather")).toEqual({ celsius: 21.5, tags: ["sunny"] });
    const wrong: [value: unknown, pointer: string][] = [
      [{ celsius: "warm" }, "/value/celsius"],
      [{ celsius: -300 }, "/value/celsius"],
      [{ celsius: 1, tags: ["a", 2] }, "/value/tags/1"],
      [7, "/value"],
    ];
    for (const [value, pointer] of wrong) {
      await expect(alice.sets("weather", value)).rejects.toMatchObject({
        status: 422,
        code: "value-invalid",
        problem: { errors: [{ pointer }] },
      });
    }
    await expect(alice.sets("weather", {})).rejects.toMatchObject({ code: "value-invalid" });
    await expect(alice.sets("weather", { celsius: 1, wind: 2 })).rejects.toMatchObject({
      code: "value-invalid",
    });
    expect(await alice.sees(alice, "weather")).toEqual({ celsius: 21.5, tags: ["sunny"] });

    const looser = await world.operator.asks("PUT", "/v1/types/weather", {
      body: { schema: {}, visibility: "private" },
    });
    expect(looser.status).toBe(200);
    await alice.sets("weather", 7);
    expect(await world.stranger.sees(alice, "weather")).toBeUndefined();
    expect((await world.operator.asks("DELETE", "/v1/types/weather")).status).toBe(204);
    expect((await world.stranger.asks("GET", "/v1/types/weather")).status).toBe(404);
    expect((await world.operator.asks("DELETE", "/v1/types/weather")).status).toBe(204);
  });

  test("a type that the operator makes private is private to streams that are open", async () => {
    const alice = await world.registers("alice");
    const bob = await world.registers("bob");
    await bob.watches(alice, "mood");
    await alice.sets("mood", "fine");
    await bob.hears("property.changed", { value: "fine" });
    await world.operator.asks("PUT", "/v1/types/mood", { body: { schema: {}, visibility: "private" } });
    await bob.hears("property.removed", { name: "mood" });
    await alice.sets("mood", "secret");
    await bob.hearsNothing();
    expect(await bob.sees(alice, "mood")).toBeUndefined();
  });

  test("a shipped type that the operator replaced comes back as shipped", async () => {
    const alice = await world.registers("alice");
    await world.operator.asks("PUT", "/v1/types/looking-for", { body: { schema: { type: "string" } } });
    await alice.sets("looking-for", "a flat");
    await expect(alice.sets("looking-for", { item: "flat" })).rejects.toMatchObject({
      code: "value-invalid",
    });
    await world.operator.asks("DELETE", "/v1/types/looking-for");
    await alice.sets("looking-for", { item: "flat" });
    await expect(alice.sets("looking-for", "a flat")).rejects.toMatchObject({ code: "value-invalid" });
  });

  test("only the operator sets types for all", async () => {
    const alice = await world.registers("alice");
    const body = { schema: celsius };
    expect(await alice.asks("PUT", "/v1/types/weather", { body })).toMatchObject({
      status: 403,
      body: { code: "forbidden" },
    });
    expect(await alice.asks("DELETE", "/v1/types/travel")).toMatchObject({ status: 403 });
    expect(await world.stranger.asks("PUT", "/v1/types/weather", { body })).toMatchObject({ status: 401 });
    expect((await world.stranger.asks("GET", "/v1/types/weather")).status).toBe(404);
  });

  test("a custom type holds for one's own properties alone, children included", async () => {
    const alice = await world.registers("alice");
    const bob = await world.registers("bob");
    const body = { schema: celsius, visibility: "private" };
    expect(await alice.asks("PUT", ownType(alice, "room"), { body })).toMatchObject({
      status: 201,
      body: { name: "room", schema: celsius, visibility: "private", source: "custom" },
    });
    expect((await alice.asks("GET", ownType(alice, "room"))).body.schema).toEqual(celsius);
    await expect(alice.sets("room", "warm")).rejects.toMatchObject({ status: 422, code: "value-invalid" });
    await alice.creates(`${alice.address}/attic`);
    await expect(alice.sets("room", "warm", { at: `${alice.address}/attic` })).rejects.toMatchObject({
      status: 422,
    });
    await alice.sets("room", { celsius: 20 });
    expect(await bob.sees(alice, "room")).toBeUndefined();
    await bob.sets("room", "warm");
    expect(await alice.sees(bob, "room")).toBe("warm");

    expect(await bob.asks("PUT", ownType(alice, "room"), { body })).toMatchObject({
      status: 403,
      body: { code: "forbidden" },
    });
    expect(await bob.asks("GET", ownType(alice, "room"))).toMatchObject({ status: 403 });
    expect(await alice.asks("PUT", ownType(alice, "travel"), { body })).toMatchObject({
      status: 409,
      body: { code: "type-taken" },
    });
    expect((await alice.asks("DELETE", ownType(alice, "room"))).status).toBe(204);
    expect((await alice.asks("GET", ownType(alice, "room"))).status).toBe(404);
    await alice.sets("room", "warm");
    expect(await bob.sees(alice, "room")).toBe("warm");
  });

  test("a schema that could do harm is refused, and the broker goes on", async () => {
    const alice = await world.registers("alice");
    let deep: unknown = { type: "string" };
    for (let level = 0; level < 20; level++) deep = { properties: { a: deep } };
    const hostile: [what: string, schema: unknown][] = [
      ["a reference to another server", { $ref: "https://evil.example/schema.json" }],
      ["a reference to a file", { properties: { a: { $ref: "file:///etc/passwd" } } }],
      ["a pattern that is not RE2's", { type: "string", pattern: "(?=a)b" }],
      ["a pattern that is none", { type: "string", pattern: "(" }],
      ["no schema at all", { type: "no-such-type" }],
      ["another dialect", { $schema: "http://json-schema.org/draft-04/schema#" }],
      ["more than 16 KiB", { description: "x".repeat(17_000) }],
      ["too many levels", deep],
    ];
    for (const [what, schema] of hostile) {
      const answer = await alice.asks("PUT", ownType(alice, "evil"), { body: { schema } });
      expect(`${what}: ${answer.status} ${answer.body.code}`).toMatch(/: 422 (type-invalid|too-deep)$/);
    }
    const nested = await alice.asks("PUT", ownType(alice, "evil"), {
      body: { schema: { properties: { a: { properties: { b: { pattern: "(?<=x)" } } } } } },
    });
    expect(nested.body.errors[0].pointer).toBe("/schema/properties/a/properties/b/pattern");
    // A pattern that is slow elsewhere is not slow here.
    await alice.asks("PUT", ownType(alice, "evil"), {
      body: { schema: { type: "string", pattern: "^(a+)+$" } },
    });
    await expect(alice.sets("evil", `${"a".repeat(30_000)}!`)).rejects.toMatchObject({
      code: "value-invalid",
    });
    await alice.sets("travel", { city: "Oslo" });
  });

  test("every refusal is explained in plain words", async () => {
    for (const [code, { status, title, remedy }] of Object.entries(refusals)) {
      const answer = await world.stranger.asks("GET", `/problems/${code}`);
      expect(answer.status).toBe(200);
      expect(answer.headers.get("content-type")).toBe("text/plain; charset=utf-8");
      for (const part of [code, String(status), title, remedy]) expect(answer.text).toContain(part);
    }
    for (const code of ["never-was", "__proto__", "toString"]) {
      expect(await world.stranger.asks("GET", `/problems/${code}`)).toMatchObject({ status: 404 });
    }
  });
});
