// Pairs of brokers on one log: two processes on one NATS, or two in this process, of which one is fed late, as on a busy machine.
// In: which. Out: where they are. Never: a process or folder that outlives its disposal.
import { pino } from "pino";
import { openBroker } from "../../services/broker.ts";
import { steadyClock } from "../../services/clock.ts";
import type { Log } from "../../services/store/log.ts";
import { openMemoryLog } from "../../services/store/memory.ts";
import { startProgram } from "../conversations/program.ts";
import { lagging } from "../conversations/world.ts";
import { startIn, temporaryFolder } from "../store/embedded.ts";
import type { Where } from "./targets.ts";

export interface Pair extends AsyncDisposable {
  readonly brokers: readonly Where[];
}

export const pairs = { "two processes": processes, "two brokers, one behind": late } as const;

async function processes(): Promise<Pair> {
  await using stack = new AsyncDisposableStack();
  const server = stack.use(await startIn(stack.use(await temporaryFolder()).path));
  const env = {
    TIDINGS_RATE_LIMIT: "off",
    TIDINGS_NATS_URL: server.url.replace("://", `://${server.token}@`),
  };
  const brokers: Where[] = [];
  for (let count = 0; count < 2; count++) {
    const folder = stack.use(await temporaryFolder());
    brokers.push(stack.use(await startProgram(folder.path, env)));
  }
  return pairOf(brokers, stack.move());
}

/** As far is the late one behind. */
const feedMs = 25;

async function late(): Promise<Pair> {
  await using stack = new AsyncDisposableStack();
  const [facts, secrets, work] = [openMemoryLog(), openMemoryLog(), openMemoryLog()];
  const brokers: Where[] = [];
  brokers.push({ url: await listen(stack, "early", facts, secrets, work) });
  brokers.push({ url: await listen(stack, "late", lagging(facts, feedMs), secrets, work) });
  return pairOf(brokers, stack.move());
}

async function listen(
  stack: AsyncDisposableStack,
  keeper: string,
  facts: Log,
  secrets: Log,
  work: Log,
): Promise<string> {
  const { http } = stack.use(
    await openBroker({
      domain: "localhost",
      registration: "open",
      rateLimit: true,
      adminToken: "the-operator-of-a-pair",
      origins: new Set<string>(),
      now: steadyClock(),
      log: pino({ level: "silent" }),
      facts,
      secrets,
      work,
      keeper,
    }),
  );
  return await http.listen("127.0.0.1", 0);
}

function pairOf(brokers: readonly Where[], stack: AsyncDisposableStack): Pair {
  return { brokers, [Symbol.asyncDispose]: async () => await stack[Symbol.asyncDispose]() };
}
