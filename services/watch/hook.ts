// Hook: where a subscription is delivered to by POST, as a request wishes it, as the log holds it, as its owner is shown it.
// In: fields of requests and facts. Out: hooks, and secrets that sign. Never: a secret in a fact.
import { randomBytes } from "node:crypto";
import { Refusal } from "../core/refusal.ts";

export type HookFormat = "cloudevents" | "batch";

export interface Hook {
  readonly url: string;
  readonly format: HookFormat;
  /** Whether the endpoint said that it wants what is sent there. */
  readonly isVerified: boolean;
  /** Requests that it wants a minute at most. */
  readonly rate: number | undefined;
}

export interface HookWire {
  u: string;
  f: HookFormat;
  /** 1: verified. */
  v?: 1;
  r?: number;
}

export interface HookWish {
  readonly url: string;
  readonly secret?: string | undefined;
  readonly format?: HookFormat | undefined;
}

export interface HookChangeWish {
  readonly url?: string | undefined;
  readonly format?: HookFormat | undefined;
  /** From now on it signs; the one before does so for a day as well. */
  readonly secret?: string | undefined;
  /** The same with a new one of ours. */
  readonly rotate?: boolean | undefined;
}

export interface HookStanding {
  readonly state: "active" | "failing" | "disabled";
  readonly reason?: string;
}

export interface HookShape extends HookStanding {
  readonly url: string;
  readonly format: HookFormat;
  readonly verified: boolean;
  /** Shown once: where it was issued. */
  readonly secret?: string;
}

export function hookOf({ u, f, v, r }: HookWire): Hook {
  return { url: u, format: f, isVerified: v === 1, rate: r };
}

export function hookWire({ url, format, isVerified, rate }: Hook): HookWire {
  return { u: url, f: format, ...(isVerified && { v: 1 }), ...(rate !== undefined && { r: rate }) };
}

export function hookShape(hook: Hook, standing: HookStanding, issued: string | undefined): HookShape {
  const { url, format, isVerified } = hook;
  return { url, format, verified: isVerified, ...standing, ...(issued !== undefined && { secret: issued }) };
}

/** By the letter of Standard Webhooks: 24 to 64 random bytes, in base64 after `whsec_`. */
const secretPrefix = "whsec_";
const secretBytes = { min: 24, max: 64, ours: 32 } as const;

export function issueSecret(): string {
  return secretPrefix + randomBytes(secretBytes.ours).toString("base64");
}

/** @throws Refusal `bad-webhook` */
export function requireSecret(secret: string): void {
  const text = secret.startsWith(secretPrefix) ? secret.slice(secretPrefix.length) : "";
  const bytes = Buffer.from(text, "base64");
  // Whatever a decoder passes over, another one may read.
  const isPlain = bytes.toString("base64") === text;
  if (isPlain && bytes.length >= secretBytes.min && bytes.length <= secretBytes.max) return;
  throw badWebhook("secret", "must be whsec_ and standard base64 of 24 to 64 random bytes");
}

export function badWebhook(field: "url" | "secret" | "rotate", detail: string): Refusal {
  const pointer = `/delivery/webhook/${field}`;
  return new Refusal("bad-webhook", `\`${field}\` ${detail}.`, [{ pointer, detail }]);
}
