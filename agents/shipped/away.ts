// Away: answers who writes while its owner is not there, once a sender and absence; and leaves a note where presence lapsed.
// In: the owner's presence and messages. Out: one answer, one note. Never: an answer to a program, which might answer too.
import {
  type Context,
  defineAgent,
  type Json,
  message,
  PortError,
  property,
  type Static,
  Type,
} from "../agent.ts";

const config = Type.Object({
  text: Type.String({ default: "I am away, and will read this when I am back.", maxLength: 4096 }),
  note: Type.String({
    default: "Not seen for a while",
    maxLength: 1024,
    description: "What the presence says once it has lapsed; empty for nothing.",
  }),
});
type Ctx = Context<Static<typeof config>>;

const absent = ["away", "offline", "xa", "invisible"];
const answeredMax = 1000;

export default defineAgent({
  name: "away",
  version: "1.0.0",
  description:
    "Answers messages while you are away, once a sender, and leaves a note when your presence lapses.",
  config,
  permissions: ["read:presence", "write:presence", "inbox", "message:anyone"],
  on: [property("presence"), message()],
  async handle(event, ctx) {
    switch (event.type) {
      case "message.received":
        // RFC 3834 §2: no automatic answer to an automatic message.
        if (event.hops === 0) await answer(event.message.from, ctx);
        return;
      case "property.removed":
        if (event.reason === "expired") await leaveNote({ status: "offline" }, 0, ctx);
        return;
      case "property.changed":
        if (!isAbsent(event.value)) await ctx.state.delete("answered");
        else if (event.reason === "expired") await leaveNote(event.value, event.revision, ctx);
    }
  },
});

async function answer(sender: string, ctx: Ctx): Promise<void> {
  const presence = await ctx.get(ctx.owner, "presence");
  if (presence && !isAbsent(presence.value)) return;
  // The list begins anew whenever the owner was there.
  const answered = (await ctx.state.get<string[]>("answered")) ?? [];
  if (answered.includes(sender)) return;
  await ctx.step("answer", () => ctx.send(sender, ctx.config.text));
  await ctx.state.set("answered", [...answered, sender].slice(-answeredMax));
}

/** Unless the owner has come back meanwhile, or has said something already. */
async function leaveNote(value: Json, revision: number, ctx: Ctx): Promise<void> {
  const said = value as { readonly [key: string]: Json };
  if (ctx.config.note === "" || typeof said.note === "string") return;
  try {
    const noted = { ...said, note: ctx.config.note };
    await ctx.set({ node: ctx.owner, name: "presence" }, noted, { ifMatch: revision });
  } catch (error) {
    if (!(error instanceof PortError && error.code === "revision-mismatch")) throw error;
  }
}

function isAbsent(value: Json): boolean {
  const { status, state, show } = (value ?? {}) as { readonly [key: string]: Json };
  return absent.includes(String(status ?? state ?? show));
}
