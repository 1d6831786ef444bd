// Agents: programs that watch and act in their own name, on behalf of whoever runs them. The folder's public file.
// In: wishes of people, what is installed. Out: agents at work, each on one of the brokers, and what they did. Never: an agent that does more than its owner may, or one that harms another.
import { randomBytes } from "node:crypto";
import type { Json } from "../core/json.ts";
import { type Principal, requireScope } from "../core/principal.ts";
import { Refusal } from "../core/refusal.ts";
import { openGate, type Room } from "../egress/egress.ts";
import type { NodeService } from "../property/properties.ts";
import { nodeOf as agentNodeOf } from "../store/decoded.ts";
import { type Follower, follow } from "../store/follower.ts";
import { openHeads } from "../store/heads.ts";
import { placeOf } from "../store/subjects.ts";
import type { Work } from "../work/work.ts";
import { openCatalog } from "./catalog.ts";
import { checkConfig } from "./describing.ts";
import { requireGrantable } from "./granting.ts";
import { type HostingDeps, openHosting } from "./hosting.ts";
import { type DeadLetter, openKeeping, type RunShape } from "./keeping.ts";
import { listenNoMore } from "./listening.ts";
import { noPace, openPace } from "./pace.ts";
import { progressJson, progressOf } from "./progress.ts";
import { openRecords, type Record } from "./records.ts";
import { shapeOf } from "./ring.ts";
import { type AgentShape, agentShape, brokenShape, type KindShape, kindShape } from "./shapes.ts";
import { openThreads, type ThreadLimits, usualThreadLimits } from "./threads.ts";
import { nodeOf, principalOf } from "./who.ts";

export interface Agents extends AsyncDisposable {
  kinds(): Promise<readonly KindShape[]>;
  list(who: Principal): Promise<readonly AgentShape[]>;
  /** @throws Refusal `bad-request`, `value-invalid`, `too-many-agents`, `scope-missing` */
  start(who: Principal, agent: string, config: Json): Promise<AgentShape>;
  get(who: Principal, id: string): Promise<AgentShape>;
  /** Enabling one that failed lets it begin again. */
  change(who: Principal, id: string, wish: { enabled?: boolean; config?: Json }): Promise<AgentShape>;
  remove(who: Principal, id: string): Promise<void>;
  runs(who: Principal, id: string): Promise<readonly RunShape[]>;
  state(who: Principal, id: string): Promise<Json>;
  deadLetters(who: Principal, id: string): Promise<readonly DeadLetter[]>;
  /** The event is handled again; steps that it remembers are not done again. */
  replay(who: Principal, id: string, run: string): Promise<void>;
}

export interface AgentsDeps
  extends Omit<HostingDeps, "records" | "catalog" | "threads" | "pace" | "gate" | "backoffMs"> {
  /** Whether an owner's agents are held to the pace of their owner. */
  readonly rateLimit: boolean;
  /** What becomes of nodes. */
  readonly facts: Pick<Follower, "listen">;
  readonly work: Pick<Work, "divide">;
  readonly nodes: Pick<NodeService, "create" | "remove">;
  /** Folders and files of agents besides those that are shipped. */
  readonly paths: readonly string[];
  /** Whether agents may reach loopback and private addresses as well. */
  readonly allowPrivate: boolean;
  /** Others than usual, for tests. */
  readonly agentLimits?: AgentLimits | undefined;
}

export interface AgentLimits {
  readonly thread?: ThreadLimits;
  /** The waits before a failed event is handled again, in ms. */
  readonly backoffMs?: readonly number[];
}

const agentsMax = 20;
/** Requests of agents to the outside: an owner alone has at most 80 under way. */
const room: Room = { places: 400, sharedBy: 4 };
/** Configs that are looked at or wait for it: each takes a process of its own. */
const checksMax = 16;
const headsMax = 1024 * 1024;

export async function openAgents(deps: AgentsDeps): Promise<Agents> {
  const { domain, log, nodes, now, agentLimits = {} } = deps;
  const { thread: limits = usualThreadLimits, backoffMs } = agentLimits;
  const follower = follow(log, await log.end());
  const records = await openRecords({ domain, log, follower, heads: openHeads(log, headsMax, now) });
  const threads = openThreads(limits, deps.onTrouble, !deps.allowPrivate);
  /** Agents of each owner that are being made. */
  const making = new Map<string, number>();
  let checks = 0;
  const catalog = openCatalog(deps.paths, threads);
  const pace = deps.rateLimit ? openPace() : noPace;
  const hosting = openHosting({ ...deps, records, catalog, threads, pace, gate: openGate(room), backoffMs });
  const division = deps.work.divide("agent", hosting.work);
  const listening = records.listen({
    changed({ id }) {
      division.add(id);
      hosting.changed(id);
    },
    gone({ id }) {
      hosting.changed(id);
      division.remove(id);
    },
  });
  // Whoever leaves, or deletes the agent's node, ends it.
  const leaving = deps.facts.listen({
    take(fact) {
      if (!fact.subject.includes(".node.")) return;
      const { address } = placeOf(fact.subject);
      const record = records.get(address.path[0] ?? "");
      if (record === undefined || address.text !== nodeOf(record).text || agentNodeOf(fact) !== undefined)
        return;
      end(record).catch((error: Error) =>
        deps.onTrouble(`${record.id} could not be ended: ${error.message}`),
      );
    },
  });
  const keepingOf = (id: string): ReturnType<typeof openKeeping> => openKeeping(log, domain, id);

  async function own(who: Principal, id: string): Promise<Record> {
    requireScope(who, "account");
    await records.caughtUp();
    const record = records.get(id);
    if (record?.owner === who.address.text) return record;
    throw new Refusal("not-found", "You run no such agent.");
  }

  function requireRoom(owner: string): void {
    if (records.of(owner).length + (making.get(owner) ?? 0) < agentsMax) return;
    throw new Refusal("too-many-agents", `You run ${agentsMax} agents already.`);
  }

  async function checked(agent: string, config: Json): Promise<Record["config"]> {
    if (checks >= checksMax)
      throw new Refusal("unavailable", "Too many configs of agents are looked at now.");
    checks++;
    try {
      return await check(agent, config);
    } finally {
      checks--;
    }
  }

  async function check(agent: string, config: Json): Promise<Record["config"]> {
    const kind = await catalog.get(agent);
    if (kind === undefined) {
      throw new Refusal("bad-request", `No agent "${agent.slice(0, 63)}" is installed here.`, [
        { pointer: "/agent", detail: "must be one of those that GET /v1/agents lists" },
      ]);
    }
    const { problems, config: whole } = await checkConfig(kind.file, config, threads).catch(
      (error: Error) => {
        throw new Refusal(
          "unavailable",
          `The agent could not be asked whether the config fits: ${error.message}.`,
        );
      },
    );
    if (problems.length === 0) return whole as Record["config"];
    throw new Refusal(
      "value-invalid",
      `The config does not fit ${agent}.`,
      problems.slice(0, 20).map(({ pointer, detail }) => ({ pointer: `/config${pointer}`, detail })),
    );
  }

  async function make(who: Principal, agent: string, config: Json): Promise<AgentShape> {
    const given = await checked(agent, config);
    const { permissions = [], version = "" } = (await catalog.get(agent))?.definition ?? {};
    requireGrantable(who, permissions);
    const record: Record = {
      id: `${agent}-${randomBytes(4).toString("hex")}`,
      owner: who.address.text,
      agent,
      version,
      config: given,
      isEnabled: true,
      failed: undefined,
      sinceMs: Math.floor(now()),
      turn: 1,
    };
    await nodes.create(nodeOf(record), "agent");
    await records.make(record);
    return agentShape(record);
  }

  async function end(record: Record): Promise<void> {
    await records.remove(record.id);
    await listenNoMore(principalOf(record, []), deps.subscriptions);
    await keepingOf(record.id).forget();
  }

  return {
    async kinds() {
      const { kinds, broken } = await catalog.all();
      return [...[...kinds.values()].map(kindShape), ...broken.map(brokenShape)];
    },
    async list(who) {
      requireScope(who, "account");
      await records.caughtUp();
      return records.of(who.address.text).map(agentShape);
    },
    async start(who, agent, config) {
      requireScope(who, "account");
      const owner = who.address.text;
      await records.caughtUp();
      requireRoom(owner);
      making.set(owner, (making.get(owner) ?? 0) + 1);
      try {
        return await make(who, agent, config);
      } finally {
        const left = (making.get(owner) ?? 1) - 1;
        if (left > 0) making.set(owner, left);
        else making.delete(owner);
      }
    },
    get: async (who, id) => agentShape(await own(who, id)),
    async change(who, id, { enabled, config }) {
      const record = await own(who, id);
      const given = config === undefined ? undefined : await checked(record.agent, config);
      const changed = await records.change(id, (present) => {
        const isEnabled = enabled ?? present.isEnabled;
        const begins =
          isEnabled && (!present.isEnabled || (enabled === true && present.failed !== undefined));
        return {
          ...present,
          isEnabled,
          config: given ?? present.config,
          failed: begins || given ? undefined : present.failed,
          turn: begins ? present.turn + 1 : present.turn,
        };
      });
      if (changed === undefined) throw new Refusal("not-found", "You run no such agent.");
      return agentShape(changed);
    },
    async remove(who, id) {
      const record = await own(who, id).catch((error) => {
        if (error instanceof Refusal && error.code === "not-found") return undefined;
        throw error;
      });
      if (record === undefined) return;
      await end(record);
      await nodes.remove(nodeOf(record));
    },
    async runs(who, id) {
      const { id: there } = await own(who, id);
      const shown = hosting.showing(there);
      if (shown === undefined) return await keepingOf(there).runs();
      const running = shown.running().map(shapeOf);
      const ids = new Set(running.map((one) => one.id));
      return [...running, ...shown.ring.shapes().filter((one) => !ids.has(one.id))];
    },
    state: async (who, id) => (await keepingOf((await own(who, id)).id).allState()) as Json,
    deadLetters: async (who, id) => await keepingOf((await own(who, id)).id).dead(),
    async replay(who, id, of) {
      const record = await own(who, id);
      const letter = (await keepingOf(id).dead()).find((one) => one.run === of);
      if (letter === undefined) throw new Refusal("not-found", "There is no dead letter of this run.");
      await division.reset(record.id, (present) => {
        const progress = progressOf(present);
        const others = progress.replay.filter((one) => one.id !== letter.event.id);
        return progressJson({ ...progress, replay: [...others, letter.event] });
      });
    },
    async [Symbol.asyncDispose]() {
      leaving[Symbol.dispose]();
      listening[Symbol.dispose]();
      hosting[Symbol.dispose]();
      await division[Symbol.asyncDispose]();
      await threads[Symbol.asyncDispose]();
      await records[Symbol.asyncDispose]();
      await follower[Symbol.asyncDispose]();
    },
  };
}
