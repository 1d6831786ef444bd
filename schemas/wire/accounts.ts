// Account shapes: accounts, their tokens, e-mail addresses, invitations and audit, for types, validation and OpenAPI.
// In: nothing. Out: TypeBox schemas. Never: a rule that only the services know (handles, scopes).
import { type Static, Type } from "typebox";

const closed = { additionalProperties: false } as const;
const Time = Type.String({ format: "date-time", description: "RFC 3339, UTC, milliseconds." });

const Email = Type.String({
  maxLength: 254,
  pattern: "^[^@\\s\\u0000-\\u001f]{1,64}@[^@\\s\\u0000-\\u001f]{1,190}$",
});
/** 256 characters are 1 KiB at most. */
const Password = Type.String({ minLength: 8, maxLength: 256 });

export const AccountPost = Type.Object(
  {
    handle: Type.Optional(Type.String()),
    email: Type.Optional(Email),
    password: Type.Optional(Password),
    displayName: Type.Optional(Type.String({ minLength: 1, maxLength: 128 })),
    invitation: Type.Optional(
      Type.String({
        maxLength: 128,
        description:
          "Needed where registration is by invitation, and used up there; not looked at elsewhere.",
      }),
    ),
  },
  closed,
);
export type AccountPost = Static<typeof AccountPost>;

export const Account = Type.Object({
  address: Type.String(),
  token: Type.String(),
  expires: Type.Optional(Time),
});

export const InvitationPost = Type.Object(
  {
    expiresIn: Type.Optional(
      Type.Number({ minimum: 1, maximum: 365 * 86400, description: "Seconds; 7 days without it." }),
    ),
    uses: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 10_000,
        description: "How many may register with it; 1 without it.",
      }),
    ),
  },
  closed,
);
export type InvitationPost = Static<typeof InvitationPost>;
export const IssuedInvitation = Type.Object({ id: Type.String(), invitation: Type.String(), expires: Time });
export const Invitations = Type.Object({
  invitations: Type.Array(
    Type.Object({
      id: Type.String(),
      created: Time,
      expires: Time,
      uses: Type.Integer({ description: "How many are left." }),
    }),
  ),
});

export const AuditEntries = Type.Object({
  entries: Type.Array(
    Type.Object({
      id: Type.String(),
      time: Time,
      kind: Type.String({ description: "What happened, such as `token.issued`." }),
      account: Type.Optional(Type.String({ description: "The address that it is about." })),
      token: Type.Optional(Type.String({ description: "The id of a token." })),
      invitation: Type.Optional(Type.String({ description: "The id of an invitation." })),
      type: Type.Optional(Type.String({ description: "The name of a property type." })),
      via: Type.Optional(Type.String({ description: "`oidc`: the account came from the issuer." })),
      unrecorded: Type.Optional(
        Type.Integer({ description: "How many of this kind came too fast to be recorded before it." }),
      ),
    }),
  ),
  next: Type.Optional(Type.String({ description: "There is more: send it as `after`." })),
});

export const Me = Type.Object({
  address: Type.String(),
  kind: Type.String(),
  scopes: Type.Array(Type.String()),
  email: Type.Optional(Type.String({ description: "For a token with the scope account." })),
  emailConfirmed: Type.Optional(Type.Boolean({ description: "Beside `email`." })),
});

export const EmailPut = Type.Object({ email: Email }, closed);
export type EmailPut = Static<typeof EmailPut>;
export const CodePost = Type.Object({ code: Type.String({ minLength: 1, maxLength: 32 }) }, closed);
export type CodePost = Static<typeof CodePost>;

export const PasswordPut = Type.Object(
  {
    current: Type.Optional(
      Type.String({ maxLength: 256, description: "The present password, if one is set." }),
    ),
    password: Password,
    keepTokens: Type.Optional(
      Type.Boolean({ description: "All other tokens stay good; without it they end, and their streams." }),
    ),
  },
  closed,
);
export type PasswordPut = Static<typeof PasswordPut>;

const tokenWish = {
  name: Type.Optional(Type.String({ minLength: 1, maxLength: 128 })),
  scopes: Type.Optional(Type.Array(Type.String({ maxLength: 140 }), { minItems: 1, maxItems: 50 })),
  expiresIn: Type.Optional(Type.Number({ minimum: 1, maximum: 10 * 365 * 86400, description: "Seconds." })),
};
export const TokenPost = Type.Object(
  {
    address: Type.Optional(Type.String({ description: "With `password`, in place of a bearer token." })),
    password: Type.Optional(Type.String({ maxLength: 256 })),
    ...tokenWish,
  },
  closed,
);
export type TokenPost = Static<typeof TokenPost>;

export const IssuedToken = Type.Object({
  id: Type.String(),
  token: Type.String(),
  expires: Type.Optional(Time),
});
const Token = Type.Object({
  id: Type.String(),
  name: Type.Optional(Type.String()),
  scopes: Type.Array(Type.String()),
  created: Time,
  expires: Type.Optional(Time),
});
export const Tokens = Type.Object({ tokens: Type.Array(Token) });

export const Ticket = Type.Object({ ticket: Type.String(), expires: Time });
