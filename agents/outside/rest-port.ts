// The port over REST: what a run asks, asked of a broker elsewhere and of the local store.
// In: a run, a call. Out: its answer. Never: the same effect twice for one key; the broker remembers keys for a day.
import {
  type Calls,
  type FetchAnswer,
  type FetchWish,
  type FoundNode,
  type LogLevel,
  type Port,
  PortError,
  type Property,
  type Run,
  type SetWish,
} from "../port.ts";
import type { LocalStore } from "./local-store.ts";
import { nodePath, propertyPath, type Rest, RestError } from "./rest.ts";
import type { StoredTimers } from "./timers.ts";

export interface RestPortOptions {
  readonly rest: Rest;
  readonly store: LocalStore;
  readonly timers: Pick<StoredTimers, "set" | "cancel">;
  onLog(run: Run, level: LogLevel, text: string, data: unknown): void;
}

type Answers = {
  [Call in keyof Calls]: (run: Run, takes: Calls[Call]["takes"]) => Promise<Calls[Call]["gives"]>;
};

const answerMsMax = 30_000;
const fetchedBytesMax = 1024 * 1024;

export function openRestPort({ rest, store, timers, onLog }: RestPortOptions): Port {
  async function ask(
    method: string,
    path: string,
    wish: { body?: unknown; headers?: Record<string, string> } = {},
  ) {
    try {
      return await rest.ask(method, path, { ...wish, signal: AbortSignal.timeout(answerMsMax) });
    } catch (error) {
      throw portErrorOf(error);
    }
  }

  const answers: Answers = {
    async get(_, { node, name }) {
      try {
        return (await ask("GET", propertyPath(node, name))) as Property;
      } catch (error) {
        if (error instanceof PortError && error.code === "not-found") return undefined;
        throw error;
      }
    },
    async set(run, wish) {
      const { node, name, value, lease, view, ifMatch } = wish;
      const body = { value, lease, view };
      const headers = { ...headersOf(run, wish), ...conditionOf(ifMatch) };
      const { revision } = (await ask("PUT", propertyPath(node, name), { body, headers })) as {
        revision: number;
      };
      return { revision };
    },
    async remove(run, wish) {
      await ask("DELETE", propertyPath(wish.node, wish.name), { headers: headersOf(run, wish) });
    },
    async send(run, wish) {
      const { to, content, contentType = "text/plain; charset=utf-8", expiresIn } = wish;
      const body = { contentType, content, expiresIn };
      const sent = await ask("POST", `${nodePath(to)}/messages`, { body, headers: headersOf(run, wish) });
      return { id: (sent as { id: string }).id };
    },
    async find(_, { q, where, limit }) {
      const query = new URLSearchParams();
      for (const [name, value] of Object.entries({ q, where, limit })) {
        if (value !== undefined) query.append(name, String(value));
      }
      return ((await ask("GET", `/v1/directory?${query}`)) as { nodes: FoundNode[] }).nodes;
    },
    fetch: async (_, wish) => await fetched(wish),
    recallState: async (_, { key }) => store.state(key),
    keepState: async (_, { key, value }) => void (await store.keepState(key, value)),
    recallStep: async ({ id }, { name }) => store.step(id, name),
    keepStep: async ({ id }, { name, value }) => void (await store.keepStep(id, name, value)),
    async setTimer({ hops }, { name, dueMs, data, key }) {
      await timers.set({ name, id: `timer:${key}`, dueMs, data, hops });
      return undefined;
    },
    async cancelTimer(_, { name }) {
      await timers.cancel(name);
      return undefined;
    },
    async log(run, { level, text, data }) {
      onLog(run, level, text, data);
      return undefined;
    },
  };
  return (run, call, takes) => answers[call](run, takes);
}

function headersOf({ hops }: Run, { key }: { readonly key: string }): Record<string, string> {
  return { "idempotency-key": key, "tidings-hops": String(hops + 1) };
}

function conditionOf(ifMatch: SetWish["ifMatch"]): Record<string, string> {
  if (ifMatch === undefined) return {};
  return ifMatch === 0 ? { "if-none-match": "*" } : { "if-match": `"${ifMatch}"` };
}

function portErrorOf(error: unknown): unknown {
  if (error instanceof RestError) {
    return new PortError(
      error.isPassing ? "unavailable" : error.code,
      `${error.title} ${error.message}`.trim(),
    );
  }
  if ((error as Error).name === "TimeoutError")
    return new PortError("unavailable", "The broker did not answer in time.");
  return error;
}

/** Goes where the agent's permissions let it; a redirect is the agent's to follow. */
async function fetched({ url, method = "GET", headers = {}, body }: FetchWish): Promise<FetchAnswer> {
  if (!/^https?:$/.test(URL.parse(url)?.protocol ?? "")) {
    throw new PortError(
      "bad-request",
      `ctx.fetch takes an http or https URL, and ${url.slice(0, 100)} is none.`,
    );
  }
  const signal = AbortSignal.timeout(answerMsMax);
  const init = { method, headers, signal, redirect: "manual" as const, ...(body !== undefined && { body }) };
  let response: Response;
  let text = "";
  try {
    response = await fetch(url, init);
    let bytes = 0;
    const decoder = new TextDecoder();
    for await (const piece of response.body ?? []) {
      bytes += piece.length;
      if (bytes > fetchedBytesMax)
        throw new PortError("too-large", `The answer of ${url} has more than 1 MiB.`);
      text += decoder.decode(piece, { stream: true });
    }
    text += decoder.decode();
  } catch (error) {
    if (error instanceof PortError) throw error;
    const why = (error as { cause?: { code?: string } }).cause?.code ?? (error as Error).name;
    throw new PortError("fetch-failed", `${method} ${url} failed: ${why}.`);
  }
  return { status: response.status, headers: Object.fromEntries(response.headers), body: text };
}
