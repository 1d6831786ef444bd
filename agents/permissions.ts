// Permissions: what an agent says that it needs, and a port that gives no more.
// In: declared permissions, and calls. Out: the same calls, or a refusal that names what is missing. Never: a right that the owner does not have.
import { AgentError, shown } from "./agent-error.ts";
import { covers, isPattern, isWithin } from "./names.ts";
import { type Calls, type Port, PortError } from "./port.ts";

export type Permission =
  /** May read and watch properties; `write`: may set and remove them. */
  | { readonly kind: "read" | "write"; readonly pattern: string }
  | { readonly kind: "message"; readonly to: "owner" | "contacts" | "anyone" }
  /** Only `https://example.com` and the like, or `*`. */
  | { readonly kind: "fetch"; readonly origin: string }
  /** `inbox`: hears its owner's messages. `watchers`: hears who wants to know. `smtp`: sends mail by itself; told to the owner, not enforced. */
  | { readonly kind: "inbox" | "watchers" | "find" | "smtp" };

export const permissionsMax = 64;
const plain = ["inbox", "watchers", "find", "smtp"] as const;
const listed =
  "read:<name or pattern>, write:<name or pattern>, message:owner, message:contacts, message:anyone, inbox, watchers, find, fetch:<origin>, fetch:*, smtp";

/** @throws AgentError that says what it may be */
export function parsePermission(text: string): Permission {
  const colon = text.indexOf(":");
  const kind = colon === -1 ? text : text.slice(0, colon);
  const what = colon === -1 ? "" : text.slice(colon + 1);
  const simple = plain.find((one) => one === text);
  if (simple) return { kind: simple };
  if (kind === "read" || kind === "write") {
    if (isPattern(what)) return { kind, pattern: what };
    throw new AgentError(
      `permission "${shown(text)}": after "${kind}:" comes the name of a property or a pattern, such as ${kind}:travel or ${kind}:profile.*`,
    );
  }
  if (kind === "message" && (what === "owner" || what === "contacts" || what === "anyone")) {
    return { kind, to: what };
  }
  if (kind === "fetch" && what !== "") {
    if (what === "*" || isOrigin(what)) return { kind, origin: what };
    throw new AgentError(
      `permission "${shown(text)}": after "fetch:" comes * or an origin and nothing after it, such as fetch:https://example.com`,
    );
  }
  throw new AgentError(`permission "${shown(text)}" is unknown; there are ${listed}`);
}

function isOrigin(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const { origin, protocol } = new URL(text);
  return origin === text && (protocol === "https:" || protocol === "http:");
}

/** Whether one of them lets every property be read that the pattern selects. */
export function mayRead(permissions: readonly Permission[], pattern: string): boolean {
  return permissions.some((one) => one.kind === "read" && covers(one.pattern, pattern));
}

export interface Permitted {
  readonly permissions: readonly string[];
  readonly owner: string;
  /** The agent's own: it may read there without asking. */
  readonly node: string;
  isContact(address: string): boolean;
}

/** The port that an agent gets. What it may not do is `not-permitted`, with the permission that it would need. */
export function permitted(port: Port, { permissions, owner, node, isContact }: Permitted): Port {
  const granted = permissions.map(parsePermission);
  const origins = new Set(granted.flatMap((one) => (one.kind === "fetch" ? one.origin : [])));
  const recipients = new Set(granted.flatMap((one) => (one.kind === "message" ? one.to : [])));
  const isGranted = (kind: Permission["kind"]) => granted.some((one) => one.kind === kind);
  const mayWrite = (name: string) => granted.some((one) => one.kind === "write" && covers(one.pattern, name));
  const missing: { readonly [Call in keyof Calls]?: (takes: Calls[Call]["takes"]) => string | undefined } = {
    get: ({ node: of, name }) =>
      isWithin(of, node, "infinity") || mayRead(granted, name) ? undefined : `read:${name}`,
    set: ({ name }) => (mayWrite(name) ? undefined : `write:${name}`),
    remove: ({ name }) => (mayWrite(name) ? undefined : `write:${name}`),
    send: ({ to }) => {
      if (recipients.has("anyone")) return undefined;
      if (to === owner) return recipients.has("owner") ? undefined : "message:owner";
      if (!isContact(to)) return "message:anyone";
      return recipients.has("contacts") ? undefined : "message:contacts";
    },
    find: () => (isGranted("find") ? undefined : "find"),
    fetch: ({ url }) => {
      const origin = URL.canParse(url) ? new URL(url).origin : "*";
      return origins.has("*") || origins.has(origin) ? undefined : `fetch:${origin}`;
    },
  };
  return async (run, call, takes) => {
    const need = missing[call]?.(takes);
    if (need !== undefined) {
      throw new PortError("not-permitted", `The agent does not declare the permission "${need}".`);
    }
    const gives = await port(run, call, takes);
    if (call !== "find") return gives;
    return (gives as Calls["find"]["gives"]).map((found) => ({
      ...found,
      properties: readable(granted, found.properties),
    })) as unknown as typeof gives;
  };
}

/** Those among properties by name that may be read. */
export function readable<Value>(
  permissions: readonly Permission[],
  properties: { readonly [name: string]: Value },
): { readonly [name: string]: Value } {
  return Object.fromEntries(Object.entries(properties).filter(([name]) => mayRead(permissions, name)));
}
