// Tarpits: endpoints that take a request and never answer it, and what accounts other than their owner's notice of them, nothing.
import { afterEach, describe, expect, test } from "vitest";
import { usualTimes } from "../../services/push/push-times.ts";
import { until } from "../store/embedded.ts";
import { type Endpoint, openEndpoint } from "./endpoint.ts";
import { aWorld, type Data } from "./world.ts";

let open = new AsyncDisposableStack();
afterEach(async () => {
  await open.disposeAsync();
  open = new AsyncDisposableStack();
});

async function anEndpoint(): Promise<Endpoint> {
  return open.use(await openEndpoint());
}

const hookOf = ({ url }: Endpoint): Data => ({ webhook: { url } });

describe("one account's tarpits", () => {
  const world = aWorld("memory", {
    settings: {
      webhookAllowPrivate: true,
      push: { times: usualTimes, room: { places: 4, sharedBy: 1 } },
    },
  });

  test("are asked a few at a time, and keep nobody else's webhooks waiting", async () => {
    const alice = await world.registers("alice");
    const [bob, carol] = [await world.registers("bob"), await world.registers("carol")];
    const [tarpit, good] = [await anEndpoint(), await anEndpoint()];
    const held: (() => void)[] = [];
    tarpit.answer = (response) => void held.push(() => response.writeHead(204).end());
    await alice.sets("for-sale", { item: "gate", price: 1 });
    for (let made = 0; made < 6; made++) {
      await bob.subscribes({ target: alice.address, delivery: hookOf(tarpit) });
    }
    await until("two of them to hang", () => held.length >= 2);
    await carol.subscribes({ target: alice.address, delivery: hookOf(good) });
    await good.hears("it", ({ data }) => data.value?.price === 1);
    await alice.sets("for-sale", { item: "gate", price: 2 });
    await good.hears("the change", ({ data }) => data.value?.price === 2);
    expect(held.length).toBe(2);
    // Where one is answered after all, its owner's next one is asked.
    held[0]?.();
    await until("the third", () => held.length === 3);
  });

  test("are shaken hands with a few at a time, and keep nobody else from subscribing", async () => {
    const alice = await world.registers("alice");
    const [bob, carol] = [await world.registers("bob"), await world.registers("carol")];
    const [tarpit, good] = [await anEndpoint(), await anEndpoint()];
    const held: (() => void)[] = [];
    tarpit.shake = (response) => void held.push(() => response.writeHead(200).end());
    const all = Promise.all(
      Array.from({ length: 8 }, async () => {
        return await bob.subscribes({ target: alice.address, delivery: hookOf(tarpit) });
      }),
    );
    await until("five of them to hang", () => held.length >= 5);
    await carol.subscribes({ target: alice.address, delivery: hookOf(good) });
    expect(good.asked.length).toBe(1);
    expect(held.length).toBe(5);
    held.shift()?.();
    await until("the sixth", () => held.length === 5);
    tarpit.shake = (response) => void response.writeHead(200).end();
    for (const answer of held) answer();
    expect(await all).toHaveLength(8);
  });

  test("take nothing off the lease of a subscription by thinking it over", async () => {
    const [alice, bob] = [await world.registers("alice"), await world.registers("bob")];
    const slow = await anEndpoint();
    slow.shake = (response) => void setTimeout(() => response.writeHead(200).end(), 300);
    const askedMs = Date.now();
    const made = await bob.subscribes({
      target: alice.address,
      delivery: hookOf(slow),
      lease: { seconds: 60 },
    });
    expect(Date.parse(made.lease.until)).toBeGreaterThanOrEqual(askedMs + 60_300);
  });
});
