// Property types: what a value must look like, and who sees it unless its owner says otherwise.
// In: shipped types, types of the domain, custom types of accounts. Out: a verdict on a value, a visibility. Never: a user's schema run on this thread.
import { createHash } from "node:crypto";
import { type Address, makeAddress, type PropertyName, rootOf } from "../core/address.ts";
import type { TypeFact } from "../core/fact.ts";
import { tombstoneSeconds } from "../core/fact.ts";
import type { Json } from "../core/json.ts";
import { type Visibility, visibilityOfUnknown } from "../core/policy.ts";
import { Refusal, type RefusalError } from "../core/refusal.ts";
import type { Soon } from "../core/soon.ts";
import { askedTwice, type Follower } from "../store/follower.ts";
import type { Heads } from "../store/heads.ts";
import type { Log } from "../store/log.ts";
import { type Fact, LogUnavailable, onceApplied } from "../store/log.ts";
import { factsOfNode, placeOf, subjectOf } from "../store/subjects.ts";
import { compileTrusted, type Validate } from "./ajv.ts";
import type { Changes } from "./change.ts";
import { openSchemaCheck, type SchemaVerdict } from "./schema-check.ts";
import { loadShippedTypes } from "./shipped-types.ts";
import { typeOf } from "./type-facts.ts";
import { openVisibilities, type Visibilities } from "./visibilities.ts";

export interface TypeShape {
  readonly name: string;
  readonly schema: { readonly [key: string]: Json };
  readonly visibility: Visibility;
  /** `shipped` with Tidings, set by the `domain`'s operator, or `custom` to an account. */
  readonly source: "shipped" | "domain" | "custom";
}

export interface TypeWish {
  readonly schema: { readonly [key: string]: Json };
  readonly visibility?: Visibility | undefined;
}

export interface Types extends AsyncDisposable {
  readonly visibilities: Pick<Visibilities, "of" | "ownersOf" | "changed" | "listen">;
  /** @param at where in the body the value stands. @throws Refusal `value-invalid` with pointers that begin there */
  check(owner: Address, name: PropertyName, value: Json, at: string): Soon<void>;
  list(): readonly TypeShape[];
  get(name: string): TypeShape | undefined;
  put(name: PropertyName, wish: TypeWish): Promise<{ type: TypeShape; created: boolean }>;
  remove(name: PropertyName): Promise<void>;
  listOwn(owner: Address): Promise<readonly TypeShape[]>;
  getOwn(owner: Address, name: PropertyName): Promise<TypeShape | undefined>;
  putOwn(owner: Address, name: PropertyName, wish: TypeWish): Promise<{ type: TypeShape; created: boolean }>;
  removeOwn(owner: Address, name: PropertyName): Promise<void>;
}

export interface TypeDeps {
  readonly domain: string;
  readonly log: Log;
  readonly heads: Heads;
  readonly follower: Follower;
  readonly changes: Changes;
}

/** Custom types of one account. */
const ownTypesMax = 100;

export function openTypes({ domain, log, heads, follower, changes }: TypeDeps): Types {
  const domainAddress = makeAddress("", domain);
  const shipped = new Map<string, TypeShape & { validate: Validate }>();
  for (const [name, type] of loadShippedTypes()) {
    const schema = type.schema as { [key: string]: Json };
    const { visibility } = type;
    shipped.set(name, { name, schema, visibility, source: "shipped", validate: compileTrusted(schema) });
  }
  const ofDomain = new Map<string, TypeShape>();
  // Accounts' own schemas stay in the log until a value must fit one.
  const visibilities = openVisibilities(
    follower,
    new Map([...shipped].map(([name, { visibility }]) => [name, visibility])),
  );
  const checker = openSchemaCheck();
  const listening = follower.listen({ take });

  function take(fact: Fact): void {
    if (!fact.subject.includes(".type.")) return;
    const { address, kind, name } = placeOf(fact.subject);
    if (kind !== "type") return;
    const type = typeOf(fact);
    if (address.local !== "") return;
    if (type) ofDomain.set(name, typeShape(name, type, "domain"));
    else ofDomain.delete(name);
  }

  function get(name: string): TypeShape | undefined {
    const type = ofDomain.get(name) ?? shipped.get(name);
    return type && { name: type.name, schema: type.schema, visibility: type.visibility, source: type.source };
  }

  function check(owner: Address, name: PropertyName, value: Json, at: string): Soon<void> {
    return askedTwice(follower, () => checkAsKnown(owner, name, value, at));
  }

  function checkAsKnown(owner: Address, name: PropertyName, value: Json, at: string): Soon<void> {
    const schema = ofDomain.get(name)?.schema;
    if (schema !== undefined) return checkAgainst(schema, value, at);
    const trusted = shipped.get(name);
    if (trusted !== undefined) return refuse(trusted.validate(value), at);
    if (!visibilities.hasOwn(owner, name)) return;
    return checkOwn(owner, name, value, at);
  }

  async function checkOwn(owner: Address, name: string, value: Json, at: string): Promise<void> {
    const schema = await ownSchema(owner, name);
    if (schema !== undefined) await checkAgainst(schema, value, at);
  }

  async function checkAgainst(schema: TypeFact["schema"], value: Json, at: string): Promise<void> {
    refuse(errorsOf(await guarded(() => checker.validate(hash(schema), schema, value))), at);
  }

  async function ownSchema(owner: Address, name: string): Promise<TypeFact["schema"] | undefined> {
    const fact = await heads.get(subjectOf(rootOf(owner), "type", name));
    return fact && typeOf(fact)?.schema;
  }

  async function put(
    address: Address,
    name: PropertyName,
    { schema, visibility }: TypeWish,
    source: "domain" | "custom",
  ): Promise<{ type: TypeShape; created: boolean }> {
    const verdict = await guarded(() => checker.check(schema));
    if (!verdict.ok) {
      const errors = verdict.errors.map(({ pointer, detail }) => ({ pointer: `/schema${pointer}`, detail }));
      throw new Refusal(
        "type-invalid",
        `The schema cannot be used: ${errors[0]?.detail ?? "it is not valid"}.`,
        errors,
      );
    }
    const subject = subjectOf(address, "type", name);
    const type: TypeFact = visibility === undefined ? { schema } : { schema, visibility };
    const { outcome } = await changes.change({
      writes: [subject],
      decide: (known) => {
        const fact = known.get(subject);
        return {
          appends: [{ subject, body: JSON.stringify(type), expected: fact?.position ?? 0 }],
          outcome: fact === undefined || typeOf(fact) === undefined,
        };
      },
    });
    await learned(subject);
    return { type: typeShape(name, type, source), created: outcome };
  }

  async function remove(address: Address, name: PropertyName): Promise<void> {
    const subject = subjectOf(address, "type", name);
    await changes.change({
      writes: [subject],
      decide: (known) => {
        const fact = known.get(subject);
        if (fact === undefined || typeOf(fact) === undefined) return { appends: [], outcome: undefined };
        const gone = { subject, body: "{}", expected: fact.position, keepSeconds: tombstoneSeconds };
        return { appends: [gone], outcome: undefined };
      },
    });
    await learned(subject);
  }

  /** What was answered holds for the very next request to this broker. */
  async function learned(subject: string): Promise<void> {
    const fact = await onceApplied(heads.get(subject));
    if (fact) await onceApplied(follower.known(fact.position));
  }

  return {
    visibilities,
    check,
    list: () =>
      [...new Set([...shipped.keys(), ...ofDomain.keys()])].sort().map((name) => get(name) as TypeShape),
    get,
    put: async (name, wish) => await put(domainAddress, name, wish, "domain"),
    remove: async (name) => await remove(domainAddress, name),
    async listOwn(owner) {
      const { facts } = await log.snapshot([factsOfNode(rootOf(owner), "type")]);
      const types: TypeShape[] = [];
      for (const fact of facts) {
        const type = typeOf(fact);
        if (type) types.push(typeShape(placeOf(fact.subject).name, type, "custom"));
      }
      return types;
    },
    async getOwn(owner, name) {
      const fact = await log.last(subjectOf(rootOf(owner), "type", name));
      const type = fact && typeOf(fact);
      return type && typeShape(name, type, "custom");
    },
    async putOwn(owner, name, wish) {
      if (get(name)) throw new Refusal("type-taken", `The domain's own type ${name} holds for everybody.`);
      const own = await this.listOwn(owner);
      if (own.length >= ownTypesMax && !own.some((type) => type.name === name)) {
        throw new Refusal("type-invalid", `An account has at most ${ownTypesMax} types of its own.`);
      }
      return await put(rootOf(owner), name, wish, "custom");
    },
    removeOwn: async (owner, name) => await remove(rootOf(owner), name),
    async [Symbol.asyncDispose]() {
      listening[Symbol.dispose]();
      visibilities[Symbol.dispose]();
      await checker[Symbol.asyncDispose]();
    },
  };
}

function typeShape(name: string, type: TypeFact, source: TypeShape["source"]): TypeShape {
  return { name, schema: type.schema, visibility: type.visibility ?? visibilityOfUnknown, source };
}

async function guarded(ask: () => Promise<SchemaVerdict>): Promise<SchemaVerdict> {
  try {
    return await ask();
  } catch (error) {
    throw new LogUnavailable((error as Error).message);
  }
}

function errorsOf(verdict: SchemaVerdict): readonly RefusalError[] {
  return verdict.ok ? [] : verdict.errors;
}

function refuse(errors: readonly RefusalError[], at: string): void {
  const [first] = errors;
  if (first === undefined) return;
  throw new Refusal(
    "value-invalid",
    `The value does not fit its type: ${first.pointer} ${first.detail}`.trim(),
    errors.map(({ pointer, detail }) => ({ pointer: `${at}${pointer}`, detail })),
  );
}

function hash(schema: object): string {
  return createHash("sha256").update(JSON.stringify(schema)).digest("base64url");
}
