// Authentication: who calls, by bearer token (RFC 6750).
// In: the Authorization header. Out: the caller, or a Refusal. Never: a token in a log, or a comparison whose time tells.
import { timingSafeEqual } from "node:crypto";
import type { FastifyRequest } from "fastify";
import type { Accounts } from "../accounts/accounts.ts";
import { Refusal } from "../core/refusal.ts";
import type { Access } from "./route.ts";

export function authenticator(
  accounts: Accounts,
  adminToken: string,
): (request: FastifyRequest) => Promise<void> {
  const admin = Buffer.from(adminToken);

  return async (request) => {
    const access: Access = request.routeOptions.config.access ?? "open";
    if (access === "open") return;
    const token = bearerOf(request);
    const isOperator = token?.length === admin.length && timingSafeEqual(Buffer.from(token), admin);
    if (access === "operator") {
      if (isOperator) return;
      if (token === undefined) throw new Refusal("unauthenticated", "The operator's token is needed.");
      await accounts.principalOf(token);
      throw new Refusal("forbidden", "Only the operator may do this.");
    }
    if (token === undefined) {
      if (access === "account") throw new Refusal("unauthenticated", "A bearer token is needed.");
      return;
    }
    if (isOperator)
      throw new Refusal(
        "forbidden",
        "The operator's token is for operator's routes; use an account's token here.",
      );
    request.caller = await accounts.principalOf(token);
  };
}

function bearerOf({ headers }: FastifyRequest): string | undefined {
  const header = headers.authorization;
  if (header === undefined) return undefined;
  const token = /^Bearer +([\x21-\x7e]{1,600})$/i.exec(header)?.[1];
  if (token === undefined) throw new Refusal("unauthenticated", "Authorization must be `Bearer <token>`.");
  return token;
}
