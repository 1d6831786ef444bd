// Group shapes: members as they travel, for types, validation and OpenAPI.
// In: nothing. Out: TypeBox schemas. Never: a rule that only the services know (addresses).
import { Type } from "typebox";

const Time = Type.String({ format: "date-time", description: "RFC 3339, UTC, milliseconds." });
const State = Type.Enum(["member", "pending"], {
  description: "`pending` waits for the owner to let it in.",
});

export const Member = Type.Object({ member: Type.String(), state: State, since: Time });

export const Joining = Type.Enum(["open", "approval", "invitation"], {
  description:
    "How others become members of a group: by themselves, by asking, or by the owner alone (`invitation`, as long as nothing else was said).",
});

export const Group = Type.Object({ group: Type.String(), joining: Joining, members: Type.Array(Member) });

export const MyGroups = Type.Object({
  groups: Type.Array(Type.Object({ group: Type.String(), state: State, since: Time })),
});
