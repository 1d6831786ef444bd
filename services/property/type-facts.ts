// Type facts: property types as the log holds them.
// In: facts of types. Out: schema and visibility; undefined once a type was taken back. Never: a schema that was not checked when it was made.
import type { TypeFact } from "../core/fact.ts";
import { oncePerFact } from "../store/decoded.ts";

export const typeOf = oncePerFact(({ body }): TypeFact | undefined => {
  const type = JSON.parse(body) as Partial<TypeFact>;
  return type.schema === undefined ? undefined : (type as TypeFact);
});
