// /v1/audit: what happened to accounts, for the operator.
// In: HTTP requests of the operator. Out: entries, oldest first. Never: a secret.
import type { FastifyInstance } from "fastify";
import { Type } from "typebox";
import { AuditEntries } from "../../schemas/wire/accounts.ts";
import type { Accounts } from "../accounts/accounts.ts";
import { describe } from "./route.ts";

const query = Type.Object(
  {
    after: Type.Optional(
      Type.String({ pattern: "^\\d{1,15}$", description: "The id of an entry: those after it." }),
    ),
    limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 1_000, description: "100 without it." })),
  },
  { additionalProperties: false },
);

export function auditRoutes(app: FastifyInstance, { accounts }: { accounts: Pick<Accounts, "audit"> }): void {
  app.get<{ Querystring: { after?: string; limit?: number } }>(
    "/v1/audit",
    describe({
      id: "listAudit",
      summary: "What happened to accounts, invitations and types of the domain, oldest first",
      description:
        "Registrations, failed sign-ins, tokens issued and revoked, passwords changed, accounts ended, invitations made, used and ended, types of the domain set and removed. The newest thousand of each kind are kept, for 90 days at most; what comes too fast is counted. An entry is written after the thing itself, and lost if the broker is killed in between.",
      tag: "Operation",
      access: "operator",
      query,
      answers: { 200: { description: "The entries.", schema: AuditEntries } },
      refusals: [],
    }),
    async ({ query: { after, limit = 100 } }) => await accounts.audit.list(after, limit),
  );
}
