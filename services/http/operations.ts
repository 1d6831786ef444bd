// Operations: what a client asks for on a socket, carried out by the same services as over REST.
// In: one parsed frame. Out: what `ok` carries, or a Refusal. Never: an answer before the change is durable.
import { Ajv2020 } from "ajv/dist/2020.js";
import { frames } from "../../schemas/wire/frames.ts";
import { parseAddress, parsePropertyName } from "../core/address.ts";
import type { Json } from "../core/json.ts";
import { requireNamePatterns } from "../core/name-pattern.ts";
import type { Caller, Principal } from "../core/principal.ts";
import { Refusal } from "../core/refusal.ts";
import type { Messages } from "../messages/messages.ts";
import type { PropertyService, Terms, ValueWish } from "../property/properties.ts";
import { parseWatchWish, requireWatchScope, type Watcher } from "../watch/watching.ts";
import type { Lookups } from "./lookups.ts";
import { patch } from "./patch.ts";
import { invalid } from "./problem.ts";
import type { Asker, Quotas } from "./quotas.ts";
import { type Validator, whenAsked } from "./validation.ts";
import { readCursor } from "./watch-query.ts";

// biome-ignore lint/suspicious/noExplicitAny: each operation's schema has said what its fields are
type Fields = any;

export interface Operations {
  /** @throws Refusal, and what the services throw */
  run(who: Asker, watcher: Watcher, frame: { readonly [key: string]: Json }): Promise<unknown>;
}

/** One of the moment costs as much as one that is kept. */
const watchesMax = 10_000;

/** All others only read. */
const writes: ReadonlySet<string> = new Set(["set", "patch", "delete", "renew", "send"]);

export function openOperations(
  { reader, writer, renewer }: PropertyService,
  messages: Pick<Messages, "send">,
  quotas: Quotas,
  lookups: Lookups,
): Operations {
  const ajv = new Ajv2020({ strict: false, removeAdditional: false });
  const shapes = new Map<string, Validator>();
  for (const [op, schema] of Object.entries(frames)) shapes.set(op, whenAsked(ajv, schema));

  async function disclosedBy(
    caller: Caller,
    reveal: readonly string[] | undefined,
  ): Promise<ReadonlyMap<string, Json> | undefined> {
    const named = requireNamePatterns(reveal ?? []);
    return caller && reveal ? await reader.own(caller, named) : undefined;
  }

  const operations: Record<
    string,
    (fields: Fields, caller: Caller, watcher: Watcher, ip: Asker["ip"]) => Promise<unknown>
  > = {
    async watch({ id, op, after, reveal, ...fields }, caller, watcher, ip) {
      if (watcher.size >= watchesMax)
        throw new Refusal("too-many-subscriptions", "This socket watches as much as it may.");
      const disclosed = await disclosedBy(caller, reveal);
      const wish = { ...parseWatchWish(fields), disclosed };
      if ("query" in wish.whom)
        throw new Refusal("bad-request", "A standing query is kept: POST /v1/subscriptions with `query`.");
      if (caller) requireWatchScope(caller, wish.properties);
      await lookups.watch({ caller, ip }, [wish]);
      return await watcher.watch(wish, readCursor(after));
    },
    async unwatch({ subscription }, _, watcher) {
      if (!watcher.unwatch(subscription)) throw new Refusal("not-found", "This socket has no such watch.");
      return { subscription };
    },
    async set(frame, caller) {
      const { node, name, value, lease, view } = frame;
      const wish: ValueWish = { value, lease, view };
      const to = parseAddress(node);
      const { property } = await writer.set(known(caller), to, parsePropertyName(name), wish, termsOf(frame));
      return property;
    },
    patch: async (frame, caller) =>
      await patch(writer, known(caller), parseAddress(frame.node), frame, termsOf(frame)),
    async delete(frame, caller) {
      const { node, name, view } = frame;
      await writer.remove(known(caller), parseAddress(node), parsePropertyName(name), view, termsOf(frame));
      return {};
    },
    async send(frame, caller) {
      const { id, op, to, reveal, idempotencyKey, ...fields } = frame;
      const who = known(caller);
      const disclosed = await disclosedBy(who, reveal);
      const { once } = termsOf(frame);
      return await messages.send(who, parseAddress(to), fields, { once, disclosed });
    },
    renew: async ({ lease, seconds }, caller) => await renewer.renew(known(caller), lease, seconds),
    ping: async () => ({}),
  };

  return {
    async run(who, watcher, frame) {
      const op = typeof frame.op === "string" ? frame.op : "";
      quotas.take("requests", who);
      if (writes.has(op)) quotas.take("writes", who);
      const fits = shapes.get(op);
      const operation = operations[op];
      if (fits === undefined || operation === undefined) {
        throw new Refusal("bad-request", `op must be one of ${[...shapes.keys()].join(", ")}.`, [
          { pointer: "/op", detail: "is not known here" },
        ]);
      }
      if (!fits(frame)) throw invalid("frame", fits.errors ?? []);
      return await operation(frame, who.caller, watcher, who.ip);
    },
  };
}

function known(caller: Caller): Principal {
  if (caller === undefined) throw new Refusal("unauthenticated", "Open the socket with a token to do this.");
  return caller;
}

/** @param frame as it came; all of it but its number makes it the same request */
function termsOf({ id, ifMatch, ifNoneMatch, idempotencyKey, ...request }: Fields): Terms {
  if (ifMatch !== undefined && ifNoneMatch !== undefined) {
    throw new Refusal("bad-precondition", "ifMatch and ifNoneMatch contradict each other.");
  }
  const revision = ifNoneMatch === undefined ? (ifMatch === "*" ? "any" : ifMatch) : 0;
  return {
    condition: revision === undefined ? undefined : { revision },
    once:
      idempotencyKey === undefined ? undefined : { key: idempotencyKey, request: JSON.stringify(request) },
  };
}
