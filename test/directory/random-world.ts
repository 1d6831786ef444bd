// Random worlds: people with properties, policies, blocks, leases and types, and what others may look for among them.
// In: seeded chance. Out: deeds on a small world. Never: a choice that the seed does not decide.
import { parseAddress } from "../../services/core/address.ts";
import type { Json } from "../../services/core/json.ts";
import type { Grantable } from "../../services/core/policy.ts";
import type { Principal } from "../../services/core/principal.ts";
import { subjectOf } from "../../services/store/subjects.ts";
import type { Random } from "../simulation/random.ts";
import type { Question } from "./oracle.ts";
import { lookOf, principal, type SmallWorld } from "./small-world.ts";

const cities = ["Berlin", "Oslo", "São Paulo", "Ålesund"];
const words = ["climbing", "chess", "Käse", "Straße", "sailing"];
/** Public, contacts, private by their types; those without one are for contacts. */
const names = ["profile", "for-sale", "travel", "presence", "contact", "mood", "mood.today", "badge"];
const visibilities = ["public", "contacts", "private"];

export interface RandomWorld {
  /** Does a few things, each of some kind. */
  live(deeds: number): Promise<void>;
  readonly addresses: ReadonlySet<string>;
  /**
   * Where an ended lease may leave a value behind, that is found once the log has it: every node is read. Elsewhere time
   * goes on, and leases end of which the log knows nothing yet.
   */
  settle(): Promise<void>;
  anybody(): ReturnType<typeof lookOf>;
  question(): Question;
}

export function randomWorld(random: Random, world: SmallWorld, mark: string): RandomWorld {
  const people = ["ann", "ben", "cyd"].map((name) => `${mark}.${name}@localhost`);
  const foreigner = `${mark}.dan@far.example`;
  const accounts = [...people, foreigner];
  const addresses = new Set<string>();
  const live = new Set<string>();
  const leavesDefaults = random.chance(0.5);

  async function born(address: string): Promise<void> {
    await world.nodes.create(parseAddress(address), "person");
    addresses.add(address);
    live.add(address);
  }

  function valueFor(name: string): Json {
    const city = random.pick(cities);
    const word = random.pick(words);
    switch (name) {
      case "profile":
        return { about: `${word} in ${city}`, name: `${random.pick(["Ann", "Ben"])} Ørsted` };
      case "for-sale":
        return { item: `${word} gear`, price: random.int(5) };
      case "travel":
        return random.chance(0.8) ? { city, purpose: word } : { city };
      case "presence":
        return { status: random.pick(["online", "away"]), note: word };
      case "contact":
        return { email: `${random.pick(["ann", "ben"])}@example.com` };
      case "mood":
        return random.chance(0.3) ? word : { n: random.int(5), ok: random.chance(0.5), tags: [word, city] };
      default:
        return random.chance(0.5) ? random.int(5) : { deep: { word, n: random.int(5) } };
    }
  }

  const anyNode = (): string => random.pick([...live]);
  const some = <T>(from: readonly T[]): T[] => {
    const chosen = from.filter(() => random.chance(0.4));
    return chosen.length > 0 ? chosen : [random.pick(from)];
  };

  async function decide(owner: string): Promise<void> {
    const at = parseAddress(owner);
    const whom = [...accounts, "@localhost", "@far.example", "contacts", "authenticated", "anyone"];
    const allow: Grantable[] = ["read", "watch", "write"];
    const rules = Array.from({ length: random.int(4) }, () => ({
      who: some(whom),
      properties: some(["*", "profile", "travel", "contact", "mood", "mood.*", "for-sale"]),
      allow: some(allow),
      ...(random.chance(0.2) && { confirm: true }),
      ...(random.chance(0.2) && { reveal: some(["contact", "profile"]) }),
    }));
    if (random.chance(0.2)) await world.policies.removeRules(at);
    else await world.policies.setRules(at, rules);
  }

  const deeds: readonly (() => Promise<void>)[] = [
    async () => await decide(random.pick(people)),
    async () => {
      const who = random.pick([...accounts, "@localhost", "@far.example", "anonymous"]);
      const owner = parseAddress(random.pick(people));
      if (random.chance(0.3)) await world.policies.unblock(owner, who);
      else await world.policies.block(owner, who, random.chance(0.5) ? "polite" : "hard");
    },
    async () => {
      const properties = random.chance(0.5) ? some(["travel", "contact", "mood.*", "*"]) : undefined;
      const decision = random.pick(["allow", "deny", "polite"] as const);
      const owner = parseAddress(random.pick(people));
      await world.policies.answer(owner, random.pick(accounts), { decision, properties });
    },
    async () => {
      const members = some([...accounts, "@localhost"]);
      await world.sets(random.pick(people), "contacts", { members });
    },
    async () => {
      const address = random.pick(random.chance(0.8) ? people : [""]);
      const body = JSON.stringify({ schema: {}, visibility: random.pick(visibilities) });
      const subject =
        address === ""
          ? subjectOf({ ...parseAddress("x@localhost"), local: "", text: "@localhost" }, "type", "badge")
          : subjectOf(parseAddress(address), "type", "badge");
      const expected = (await world.log.last(subject))?.position ?? 0;
      await world.log.append([{ subject, body: random.chance(0.2) ? "{}" : body, expected }]);
      await world.follower.caughtUp();
    },
    async () => {
      const node = anyNode();
      if (node.includes("/")) {
        await world.nodes.remove(parseAddress(node));
        live.delete(node);
      } else await world.removes(node, random.pick(names));
    },
    async () => await born(`${random.pick(people)}/${random.pick(["bike", "boat"])}`),
    async () => world.advance(random.int(90_000)),
  ];

  async function write(): Promise<void> {
    const name = random.pick(names);
    // A type without a schema takes everything; what a worker has to check first takes long.
    const isLeased = random.chance(0.2);
    const lease = { seconds: 60, ...(leavesDefaults && { default: valueFor(name) }) };
    await world.sets(anyNode(), name, valueFor(name), isLeased ? lease : undefined);
  }

  return {
    addresses,
    async live(count) {
      for (const one of people) if (!addresses.has(one)) await born(one);
      for (let deed = 0; deed < count; deed++) {
        if (random.chance(0.6)) await write();
        else await random.pick(deeds)();
      }
    },
    async settle() {
      if (!leavesDefaults) return world.advance(random.pick([0, 61_000]));
      for (const address of live) {
        const owner = principal(address.split("/")[0] as string);
        await world.reader.glimpse(lookOf(owner), [parseAddress(address)]);
      }
    },
    anybody() {
      if (random.chance(0.25)) return lookOf(undefined);
      const scopes = random.chance(0.7)
        ? ["read"]
        : random.pick([["read:travel", "read:mood.*"], ["write", "read:profile"], ["read:contact"]]);
      const caller: Principal = principal(random.pick(accounts), scopes);
      const disclosed = random.chance(0.3) ? new Map([["contact", {}]]) : undefined;
      return lookOf(caller, disclosed);
    },
    question: () => questionOf(random, mark),
  };
}

// biome-ignore lint/suspicious/noExplicitAny: what is missing is what is tried out.
type Loose = any;

function questionOf(random: Random, mark: string): Question {
  const city = random.pick(cities);
  const word = random.pick(words);
  const n = random.int(5);
  const asked: readonly (readonly [string, (p: Loose) => unknown])[] = [
    [`prop("travel").city == "${city}"`, (p) => p.travel.city === city],
    [`"${city}" == prop("travel")["city"]`, (p) => p.travel.city === city],
    [
      `prop("mood").n > ${n} && prop("travel").city != "${city}"`,
      (p) => p.mood.n > n && p.travel.city !== city,
    ],
    [`prop("mood").n <= ${n}.0`, (p) => p.mood.n <= n],
    [`prop("mood").n >= ${n} && prop("mood").ok`, (p) => p.mood.n >= n && p.mood.ok],
    [`!prop("mood").ok`, (p) => p.mood.ok === false],
    [`prop("mood").ok == true`, (p) => p.mood.ok === true],
    [`prop("mood") == "${word}"`, (p) => p.mood === word],
    [`prop("badge") == ${n}`, (p) => p.badge === n],
    [`prop("badge").deep.n < ${n}`, (p) => p.badge.deep.n < n],
    [`prop("contact").email == "ann@example.com"`, (p) => p.contact.email === "ann@example.com"],
    [`prop("travel").city > "C"`, (p) => p.travel.city > "C"],
    [`prop("travel").city in ["Oslo", "Berlin"]`, (p) => ["Oslo", "Berlin"].includes(p.travel.city)],
    [`prop("profile").about.contains("${city}")`, (p) => p.profile.about.includes(city)],
    [`has(prop("travel").purpose)`, (p) => "purpose" in p.travel],
    [`!has(prop("travel").purpose)`, (p) => !("purpose" in p.travel)],
    [
      `prop("contact").email == "ben@example.com" || prop("for-sale").price == ${n}`,
      (p) => p.contact?.email === "ben@example.com" || p["for-sale"].price === n,
    ],
    [`prop("mood").tags.exists(t, t == "${word}")`, (p) => p.mood.tags.includes(word)],
    [`prop("mood.today") == ${n} ? true : false`, (p) => p["mood.today"] === n],
    [`true`, () => true],
  ];
  const [where, is] = random.pick(asked);
  const marked = `${where.includes("?") || where.includes("||") ? `(${where})` : where} && node.startsWith("${mark}.")`;
  const q = `${mark} ${random.pick([
    word,
    city.toUpperCase(),
    "kase",
    "sao PAULO",
    `${word} ${city}`,
    "ann@example.com",
    "ann",
    "localhost",
    "far.example",
    "bike",
    "online",
    String(n),
    "Ørsted",
    "",
  ])}`;
  const asksWords = random.chance(0.5);
  if (!asksWords) return { where: marked, is };
  return random.chance(0.3) ? { q, where, is } : { q };
}
