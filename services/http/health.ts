// /livez, /readyz, /metrics, /problems: what operators and programs ask of the broker itself.
// In: HTTP requests. Out: states, metrics, explanations. Never: an address as a label.
import type { FastifyInstance } from "fastify";
import type { Registry } from "prom-client";
import { Type } from "typebox";
import { Health } from "../../schemas/wire/shapes.ts";
import { Refusal } from "../core/refusal.ts";
import { type RefusalCode, refusals } from "../core/refusals.ts";
import { describe } from "./route.ts";

const tag = "Operation";

export interface HealthDeps {
  readonly metrics: Registry;
  readonly ailments: () => Promise<readonly string[]>;
}

export function healthRoutes(app: FastifyInstance, { metrics, ailments }: HealthDeps): void {
  app.get(
    "/livez",
    describe({
      id: "live",
      counts: "nothing",
      summary: "The process is up",
      tag,
      access: "open",
      answers: { 200: { description: "It is.", schema: Health } },
      refusals: [],
    }),
    async () => ({ status: "ok" }),
  );

  app.get(
    "/readyz",
    describe({
      id: "ready",
      counts: "nothing",
      summary: "Bus and store serve",
      tag,
      access: "open",
      answers: {
        200: { description: "They do.", schema: Health },
      },
      refusals: ["unavailable"],
    }),
    async () => {
      const reasons = await ailments();
      if (reasons.length > 0) throw new Refusal("unavailable", `${reasons.join("; ")}.`);
      return { status: "ok" };
    },
  );

  app.get(
    "/metrics",
    describe({
      id: "metrics",
      counts: "nothing",
      summary: "Prometheus metrics",
      tag,
      access: "open",
      answers: { 200: { description: "Text format 0.0.4.", schema: Type.String(), mediaType: "text/plain" } },
      refusals: [],
    }),
    async (_, reply) => reply.type(metrics.contentType).send(await metrics.metrics()),
  );

  app.get<{ Params: { code: string } }>(
    "/problems/:code",
    describe({
      id: "explainProblem",
      summary: "What a refusal means and what to do about it",
      tag,
      access: "open",
      params: { code: "A problem's `code`." },
      answers: { 200: { description: "Plain words.", schema: Type.String(), mediaType: "text/plain" } },
      refusals: ["not-found"],
    }),
    async (request, reply) => {
      const { code } = request.params;
      if (!Object.hasOwn(refusals, code)) throw new Refusal("not-found", "No refusal has this code.");
      const { status, title, remedy } = refusals[code as RefusalCode];
      return reply.type("text/plain; charset=utf-8").send(`${title} (${code}, ${status})\n\n${remedy}\n`);
    },
  );
}
