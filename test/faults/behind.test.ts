// A broker that is behind: what another one has acknowledged holds for whoever asks there next, though it has yet to hear of it.
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ask, register } from "../../bench/lean-http.ts";
import { nodePath, propertyPath } from "../conversations/person.ts";
import { until } from "../store/embedded.ts";
import { type Pair, pairs } from "./pairs.ts";
import { portOf, type Where } from "./targets.ts";

describe.each(Object.entries(pairs))("on %s", (_, open) => {
  let pair: Pair | undefined;
  beforeAll(async () => {
    pair = await open();
  });
  afterAll(async () => await pair?.[Symbol.asyncDispose]());

  const ports = (): number[] => (pair as Pair).brokers.map((broker: Where) => portOf(broker));

  test("whoever was granted a right may use it", async () => {
    const [here = 0, there = 0] = ports();
    const [alice, bob] = [await register(here, "alice-1"), await register(here, "bob-1")];
    const rule = { who: [bob.address], properties: ["*"], allow: ["write"] };
    const path = propertyPath(alice.address, "note");
    const writes = { method: "PUT", path, token: bob.token, body: { value: 1 } };
    await expect(ask(there, writes)).rejects.toThrow("403");
    const { token } = alice;
    await ask(here, {
      method: "PUT",
      path: `${nodePath(alice.address)}/policy`,
      token,
      body: { rules: [rule] },
    });
    expect(await ask(there, writes)).toMatchObject({ value: 1 });
  });

  test("a value that fits its type since it was changed is taken", async () => {
    const [here = 0, there = 0] = ports();
    const { address, token } = await register(here, "carol-1");
    const path = `${nodePath(address)}/types/note`;
    const fits = async (type: string): Promise<unknown> =>
      await ask(here, { method: "PUT", path, token, body: { schema: { type } } });
    const writes = { method: "PUT", path: propertyPath(address, "note"), token, body: { value: "a text" } };
    await fits("number");
    await until(
      "the other one knows the type",
      async () =>
        await ask(there, writes).then(
          () => false,
          ({ message }) => message.includes("422"),
        ),
    );
    await fits("string");
    expect(await ask(there, writes)).toMatchObject({ value: "a text" });
  });
});
