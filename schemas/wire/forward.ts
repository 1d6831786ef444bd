// Forward shapes: where an account's watchers and messages go on to, for types, validation and OpenAPI.
// In: nothing. Out: TypeBox schemas. Never: a rule that only the services know (addresses, times to come).
import { type Static, Type } from "typebox";

const Until = Type.String({
  format: "date-time",
  description: "RFC 3339: the forward ends by itself then. Without it, it holds until it is taken back.",
});

export const Forward = Type.Object(
  {
    to: Type.String({ maxLength: 850, description: "An address of this domain; it need not exist yet." }),
    until: Type.Optional(Until),
  },
  { additionalProperties: false },
);
export type Forward = Static<typeof Forward>;
