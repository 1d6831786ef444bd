// /v1/invitations: whom the operator lets register.
// In: HTTP requests of the operator. Out: calls to accounts/, answers. Never: an invitation shown twice.
import type { FastifyInstance } from "fastify";
import { InvitationPost, Invitations, IssuedInvitation } from "../../schemas/wire/accounts.ts";
import type { Accounts } from "../accounts/accounts.ts";
import { describe } from "./route.ts";

const tag = "Accounts and tokens";

export function invitationRoutes(
  app: FastifyInstance,
  deps: { accounts: Pick<Accounts, "invitations"> },
): void {
  const { invitations } = deps.accounts;

  app.post<{ Body: InvitationPost }>(
    "/v1/invitations",
    describe({
      id: "invite",
      summary: "Make an invitation, with which somebody registers where registration is by invitation",
      tag,
      access: "operator",
      body: InvitationPost,
      answers: {
        201: { description: "The invitation, shown once and stored hashed.", schema: IssuedInvitation },
      },
      refusals: ["storage-full"],
    }),
    async (request, reply) => {
      const made = await invitations.create(request.body);
      return reply.code(201).header("location", `/v1/invitations/${made.id}`).send(made);
    },
  );

  app.get(
    "/v1/invitations",
    describe({
      id: "listInvitations",
      summary: "The invitations that are still good, without their secrets",
      tag,
      access: "operator",
      answers: { 200: { description: "With the uses that are left.", schema: Invitations } },
      refusals: [],
    }),
    async () => ({ invitations: await invitations.list() }),
  );

  app.delete<{ Params: { id: string } }>(
    "/v1/invitations/:id",
    describe({
      id: "endInvitation",
      summary: "End an invitation",
      tag,
      access: "operator",
      params: { id: "The invitation's id." },
      answers: { 204: { description: "Ended. Who registered with it stays.", schema: null } },
      refusals: ["not-found", "storage-full"],
    }),
    async (request, reply) => {
      await invitations.remove(request.params.id);
      return reply.code(204).send();
    },
  );
}
