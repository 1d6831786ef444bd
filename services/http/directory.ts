// /v1/directory: nodes found by the words and values of what they show to the caller.
// In: HTTP requests. Out: calls to the directory, pages. Never: a word about what is hidden.
import type { FastifyInstance } from "fastify";
import { type Static, Type } from "typebox";
import { DirectoryPage } from "../../schemas/wire/shapes.ts";
import type { Search } from "../directory/directory.ts";
import { lookOf, type Reader, revealQuery } from "./look.ts";
import type { Quotas } from "./quotas.ts";
import { describe } from "./route.ts";

const Query = Type.Object(
  {
    q: Type.Optional(
      Type.String({
        description:
          "Words: all must stand in the node's address or in its properties. Case and diacritics make no difference.",
      }),
    ),
    where: Type.Optional(
      Type.String({
        description:
          'A CEL expression over `node`, `now` and properties: `prop("travel").city == "Berlin"`. Where a property is missing, the node does not match.',
      }),
    ),
    limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 100, description: "20 without it." })),
    after: Type.Optional(Type.String({ description: "`next` of the page before." })),
    ...revealQuery,
  },
  { additionalProperties: false },
);

export interface DirectoryRouteDeps {
  readonly search: Search;
  readonly reader: Reader;
  readonly quotas: Pick<Quotas, "take">;
}

export function directoryRoutes(app: FastifyInstance, { search, reader, quotas }: DirectoryRouteDeps): void {
  app.get<{ Querystring: Static<typeof Query> }>(
    "/v1/directory",
    describe({
      id: "searchDirectory",
      summary: "Find nodes by what they show to the caller",
      description:
        "Asks for `q`, `where` or both. Nothing that the caller may not read has a part in what is found, how it is ordered or counted. Each node that is shown counts as a request, and its owner is told of it as of any read.",
      tag: "Directory",
      access: "caller",
      query: Query,
      answers: { 200: { description: "A page of nodes.", schema: DirectoryPage } },
      refusals: ["bad-cursor", "bad-filter", "bad-name", "scope-missing", "search-too-broad"],
    }),
    async (request) => {
      const { reveal, ...wish } = request.query;
      const look = await lookOf(request.caller, reveal, reader);
      return await search(look, wish, (more) => {
        if (more > 0) quotas.take("requests", request, more);
      });
    },
  );
}
