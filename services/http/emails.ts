// /v1/me/email: the account's e-mail address, and the code that confirms it.
// In: HTTP requests. Out: calls to accounts/, answers. Never: a code in an answer.
import type { FastifyInstance } from "fastify";
import { CodePost, EmailPut } from "../../schemas/wire/accounts.ts";
import type { Accounts } from "../accounts/accounts.ts";
import type { Principal } from "../core/principal.ts";
import { describe } from "./route.ts";

const tag = "Accounts and tokens";

export function emailRoutes(app: FastifyInstance, { accounts }: { accounts: Accounts }): void {
  app.put<{ Body: EmailPut }>(
    "/v1/me/email",
    describe({
      id: "setEmail",
      summary: "Set an e-mail address, or another one in its place; a code is sent to it",
      description: "A broker without a mail server sends no codes and confirms no addresses.",
      tag,
      access: "account",
      body: EmailPut,
      answers: { 204: { description: "Set, and to be confirmed.", schema: null } },
      refusals: ["scope-missing", "storage-full"],
    }),
    async (request, reply) => {
      await accounts.setEmail(request.caller as Principal, request.body.email);
      return reply.code(204).send();
    },
  );

  app.post(
    "/v1/me/email/code",
    describe({
      id: "sendEmailCode",
      summary: "Send another code to the account's e-mail address, at most five a day",
      tag,
      access: "account",
      answers: {
        202: { description: "On its way. Codes that were sent before are not good any more.", schema: null },
      },
      refusals: ["nothing-to-confirm", "scope-missing", "storage-full"],
    }),
    async (request, reply) => {
      await accounts.sendCode(request.caller as Principal);
      return reply.code(202).send();
    },
  );

  app.post<{ Body: CodePost }>(
    "/v1/me/email/confirm",
    describe({
      id: "confirmEmail",
      summary: "Confirm the account's e-mail address with the code that was sent there",
      description:
        "A code is good once, for 24 hours and five tries. The address is then this account's, whoever named it before.",
      tag,
      access: "account",
      body: CodePost,
      answers: { 204: { description: "Confirmed.", schema: null } },
      refusals: ["scope-missing", "storage-full", "wrong-code"],
    }),
    async (request, reply) => {
      await accounts.confirm(request.caller as Principal, request.body.code);
      return reply.code(204).send();
    },
  );
}
