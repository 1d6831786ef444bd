// /v1/accounts, /v1/me, /v1/tokens: who there is, and how they prove it.
// In: HTTP requests. Out: calls to accounts/, answers. Never: a token shown twice.
import type { FastifyInstance } from "fastify";
import {
  Account,
  AccountPost,
  IssuedToken,
  Me,
  PasswordPut,
  Ticket,
  TokenPost,
  Tokens,
} from "../../schemas/wire/accounts.ts";
import type { Accounts } from "../accounts/accounts.ts";
import { parseAddress } from "../core/address.ts";
import type { Principal } from "../core/principal.ts";
import { Refusal } from "../core/refusal.ts";
import type { Quotas } from "./quotas.ts";
import { describe } from "./route.ts";

const tag = "Accounts and tokens";

export function accountRoutes(
  app: FastifyInstance,
  { accounts, quotas }: { accounts: Accounts; quotas: Quotas },
): void {
  app.post<{ Body: AccountPost }>(
    "/v1/accounts",
    describe({
      id: "register",
      counts: "registration",
      summary: "Register an account; without a handle the broker issues a number",
      tag,
      access: "open",
      body: AccountPost,
      answers: { 201: { description: "Registered. The token is shown once.", schema: Account } },
      refusals: ["bad-address", "handle-taken", "registration-closed", "storage-full"],
    }),
    async (request, reply) => {
      const account = await accounts.register(request.body);
      return reply
        .code(201)
        .header("location", `/v1/nodes/${encodeURIComponent(account.address)}`)
        .send(account);
    },
  );

  app.get(
    "/v1/me",
    describe({
      id: "me",
      summary: "Who the token stands for",
      tag,
      access: "account",
      answers: { 200: { description: "The account and the scopes of its token.", schema: Me } },
      refusals: [],
    }),
    async (request) => {
      const who = request.caller as Principal;
      const { address, kind, scopes } = who;
      return { address: address.text, kind, scopes, ...(await accounts.profile(who)) };
    },
  );

  app.delete(
    "/v1/me",
    describe({
      id: "deleteAccount",
      counts: "revocation",
      summary: "End the account, its tokens, its subscriptions, its nodes and everything on them",
      description:
        "Its handle stays taken. Once the account is ended the rest follows, also if the broker is killed meanwhile: who gets 503 and then 401 has ended it.",
      tag,
      access: "account",
      answers: { 204: { description: "Ended.", schema: null } },
      refusals: ["scope-missing", "storage-full"],
    }),
    async (request, reply) => {
      await accounts.remove(request.caller as Principal);
      return reply.code(204).send();
    },
  );

  app.put<{ Body: PasswordPut }>(
    "/v1/me/password",
    describe({
      id: "setPassword",
      summary: "Set a password, or another one in its place",
      description:
        "All other tokens of the account end, and the streams that are open on them, unless `keepTokens` is true. The token of this request stays good.",
      tag,
      access: "account",
      body: PasswordPut,
      answers: { 204: { description: "Set.", schema: null } },
      refusals: ["forbidden", "scope-missing", "storage-full", "wrong-password"],
    }),
    async (request, reply) => {
      await accounts.changePassword(request.caller as Principal, request.body);
      return reply.code(204).send();
    },
  );

  app.post<{ Body: TokenPost }>(
    "/v1/tokens",
    describe({
      id: "issueToken",
      summary: "Make a token, by address and password or by a bearer token",
      tag,
      access: "caller",
      body: TokenPost,
      answers: { 201: { description: "The token, shown once and stored hashed.", schema: IssuedToken } },
      refusals: ["bad-address", "scope-missing", "storage-full", "unauthenticated"],
    }),
    async (request, reply) => {
      const { address, password, ...wish } = request.body;
      if (address !== undefined && password !== undefined) {
        const target = parseAddress(address);
        const signIn = (): Promise<object> => accounts.signIn(target, password, wish);
        return reply.code(201).send(await quotas.signIn(request.ip, target, signIn));
      }
      if (address !== undefined || password !== undefined) {
        throw new Refusal(
          "bad-request",
          "Send address and password together, or neither and a bearer token.",
        );
      }
      if (request.caller === undefined) {
        throw new Refusal("unauthenticated", "Send address and password, or a bearer token.");
      }
      return reply.code(201).send(await accounts.issue(request.caller, wish));
    },
  );

  app.get(
    "/v1/tokens",
    describe({
      id: "listTokens",
      summary: "The account's tokens, without their secrets",
      tag,
      access: "account",
      answers: { 200: { description: "The tokens that are still good.", schema: Tokens } },
      refusals: [],
    }),
    async (request) => ({ tokens: await accounts.list(request.caller as Principal) }),
  );

  app.delete<{ Params: { id: string } }>(
    "/v1/tokens/:id",
    describe({
      id: "revokeToken",
      counts: "revocation",
      summary: "Revoke a token",
      tag,
      access: "account",
      params: { id: "The token's id." },
      answers: { 204: { description: "Revoked.", schema: null } },
      refusals: ["not-found", "scope-missing", "storage-full"],
    }),
    async (request, reply) => {
      await accounts.revoke(request.caller as Principal, request.params.id);
      return reply.code(204).send();
    },
  );

  app.post(
    "/v1/tickets",
    describe({
      id: "makeTicket",
      summary: "A ticket with which a browser opens one stream or socket, within 30 seconds",
      tag,
      access: "account",
      answers: { 201: { description: "For `?ticket=`. It is shown once and good once.", schema: Ticket } },
      refusals: ["storage-full"],
    }),
    async (request, reply) => reply.code(201).send(await accounts.ticket(request.caller as Principal)),
  );
}
