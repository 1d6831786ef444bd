// Authentication: who calls, by bearer token (RFC 6750).
// In: the Authorization header. Out: the caller, or a Refusal. Never: a token in a log, or a comparison whose time tells.
import { timingSafeEqual } from "node:crypto";
import type { FastifyRequest } from "fastify";
import type { Accounts } from "../accounts/accounts.ts";
import type { Principal } from "../core/principal.ts";
import { Refusal } from "../core/refusal.ts";
import type { Soon } from "../core/soon.ts";
import type { Access } from "./route.ts";

/** @returns who calls this route, undefined for nobody in particular. @throws Refusal */
export function authenticator(
  accounts: Accounts,
  adminToken: string,
): (request: FastifyRequest) => Soon<Principal | undefined> {
  const admin = Buffer.from(adminToken);

  function isOperator(token: string | undefined): boolean {
    return token?.length === admin.length && timingSafeEqual(Buffer.from(token), admin);
  }

  async function refuseOthers(token: string | undefined): Promise<never> {
    if (token === undefined) throw new Refusal("unauthenticated", "The operator's token is needed.");
    await accounts.principalOf(token);
    throw new Refusal("forbidden", "Only the operator may do this.");
  }

  return (request) => {
    const access: Access = request.routeOptions.config.access ?? "open";
    if (access === "open") return undefined;
    const token = bearerOf(request.headers.authorization);
    const ticket = request.routeOptions.config.takesTicket && ticketOf(request);
    if (ticket && token === undefined) return accounts.principalOfTicket(ticket);
    if (access === "operator") return isOperator(token) ? undefined : refuseOthers(token);
    if (token === undefined) {
      if (access === "account") throw new Refusal("unauthenticated", "A bearer token is needed.");
      return undefined;
    }
    if (isOperator(token))
      throw new Refusal(
        "forbidden",
        "The operator's token is for operator's routes; use an account's token here.",
      );
    return accounts.principalOf(token);
  };
}

function ticketOf({ query }: FastifyRequest): string | undefined {
  const { ticket } = query as { ticket?: unknown };
  return typeof ticket === "string" && ticket !== "" ? ticket : undefined;
}

export function bearerOf(header: string | undefined): string | undefined {
  if (header === undefined) return undefined;
  const token = /^Bearer +([\x21-\x7e]{1,8000})$/i.exec(header)?.[1];
  if (token === undefined) throw new Refusal("unauthenticated", "Authorization must be `Bearer <token>`.");
  return token;
}
