// /openapi.json: the contract as OpenAPI 3.1, made from the routes themselves.
// In: every route's description. Out: one document. Never: a route that is served and not listed.
import swagger from "@fastify/swagger";
import type { FastifyInstance } from "fastify";
import { Type } from "typebox";
import { describe } from "./route.ts";

export async function openApi(app: FastifyInstance): Promise<void> {
  await app.register(swagger, {
    openapi: {
      openapi: "3.1.0",
      info: {
        title: "Tidings",
        version: "1.0.0",
        description:
          "Leased properties, watched live. Every refusal is application/problem+json (RFC 9457). A path that is not listed here answers 404 `not-found`, another method than those listed 405 `method-not-allowed` with `Allow`. Answers carry `RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers): what an account, or without a token an address, may ask for and what is left of it; 429 `rate-limited` carries `Retry-After`.",
        license: { name: "Apache-2.0", identifier: "Apache-2.0" },
      },
      servers: [{ url: "/", description: "This broker." }],
      components: {
        securitySchemes: {
          bearer: {
            type: "http",
            scheme: "bearer",
            description:
              "A token of POST /v1/accounts or POST /v1/tokens, or an access token (RFC 9068) of the operator's OIDC issuer.",
          },
        },
      },
    },
  });
  app.get(
    "/openapi.json",
    describe({
      id: "openapi",
      summary: "This document",
      tag: "Operation",
      access: "open",
      answers: { 200: { description: "OpenAPI 3.1.", schema: Type.Unsafe<unknown>({ type: "object" }) } },
      refusals: [],
    }),
    async () => app.swagger(),
  );
}
