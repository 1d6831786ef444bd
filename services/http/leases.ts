// /v1/leases/{id}: renew or end what a lease holds, over any number of properties.
// In: HTTP requests. Out: calls to the property service, answers. Never: somebody else's lease.
import type { FastifyInstance } from "fastify";
import { Renewed, RenewPost } from "../../schemas/wire/shapes.ts";
import type { Principal } from "../core/principal.ts";
import { Refusal } from "../core/refusal.ts";
import type { PropertyService } from "../property/properties.ts";
import { describe } from "./route.ts";

const tag = "Leases";
const params = { id: "The lease's id, as a property's `lease.id` shows it." };

export function leaseRoutes(app: FastifyInstance, { properties }: { properties: PropertyService }): void {
  const { renewer } = properties;

  app.post<{ Params: { id: string }; Body: RenewPost | undefined }>(
    "/v1/leases/:id/renew",
    {
      ...describe({
        id: "renewLease",
        summary: "Renew every property of the caller that holds this lease, without waking a watcher",
        tag,
        access: "account",
        params,
        body: RenewPost,
        answers: { 200: { description: "Renewed. `until` is the earliest end.", schema: Renewed } },
        refusals: ["bad-lease", "lease-ended", "scope-missing", "storage-full"],
      }),
      // The body may be left out altogether.
      preValidation: async (request) => {
        request.body ??= {};
      },
    },
    async (request) =>
      await renewer.renew(request.caller as Principal, leaseId(request.params.id), request.body?.seconds),
  );

  app.delete<{ Params: { id: string } }>(
    "/v1/leases/:id",
    describe({
      id: "endLease",
      summary: "End a lease now: its properties take their defaults, or go",
      tag,
      access: "account",
      params,
      answers: { 204: { description: "Ended, or it had ended before.", schema: null } },
      refusals: ["lease-ended", "scope-missing", "storage-full"],
    }),
    async (request, reply) => {
      await renewer.end(request.caller as Principal, leaseId(request.params.id));
      return reply.code(204).send();
    },
  );
}

function leaseId(text: string): string {
  if (!/^[A-Za-z0-9._~-]{1,64}$/.test(text)) throw new Refusal("lease-ended", "No lease has such an id.");
  return text;
}
