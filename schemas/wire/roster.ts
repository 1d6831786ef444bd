// Wire shapes of the roster: contacts as they are read, exported and imported.
// In: nothing. Out: TypeBox schemas. Never: a rule that only the services know, such as what an address is.
import { type Static, Type } from "typebox";
import { Property } from "./shapes.ts";

const closed = { additionalProperties: false } as const;
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what it keeps out
const lines = /^[^\x00-\x1f\x7f]*$/.source;
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what it keeps out
const text = /^[^\x00-\x08\x0b-\x1f\x7f]*$/.source;

const noted = {
  address: Type.String({
    description: "An account such as bob@example.com, or a domain such as @example.com.",
  }),
  name: Type.Optional(
    Type.String({ maxLength: 128, pattern: lines, description: "The petname: what the caller calls it." }),
  ),
  groups: Type.Optional(
    Type.Array(Type.String({ minLength: 1, maxLength: 64, pattern: lines }), {
      maxItems: 16,
      description: "Labels; they are not group nodes.",
    }),
  ),
  note: Type.Optional(Type.String({ maxLength: 1_024, pattern: text })),
};

export const RosterPut = Type.Object(
  { contacts: Type.Array(Type.Object(noted, closed), { description: "At most 2,000." }) },
  closed,
);
export type RosterPut = Static<typeof RosterPut>;

export const Roster = Type.Object({
  contacts: Type.Array(
    Type.Object({
      ...noted,
      properties: Type.Record(Type.String(), Property, {
        description: "What the caller may see of it now; empty where nothing is.",
      }),
    }),
  ),
  revision: Type.Optional(
    Type.Integer({ description: "Of the property contacts, for If-Match; absent while there is none." }),
  ),
  cursor: Type.String({ description: "For ?after= on /v1/events, /v1/poll and /v1/socket." }),
});

export const RosterWritten = Type.Object({
  size: Type.Integer({ description: "How many contacts the roster has now." }),
});

/** In place of a shape: text has none. */
export const Vcards = Type.String({
  description: "vCards of version 4.0 (RFC 6350) in UTF-8, one a contact.",
});
