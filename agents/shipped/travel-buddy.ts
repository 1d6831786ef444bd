// Travel buddy: tells its owner and the contacts who will be in the same city at the same time.
// In: travel of the owner and of its contacts. Out: a message to each of the two. Never: the same stay twice, or one that is over.
import { type Context, defineAgent, type Json, property, type Static, Type } from "../agent.ts";

const config = Type.Object({
  tellContacts: Type.Boolean({ default: true, description: "Tells the contact too, not the owner alone." }),
});

interface Stay {
  readonly city: string;
  /** RFC 3339; missing: it is on already, or has no end. */
  readonly from?: string;
  readonly until?: string;
}
type Stays = { [address: string]: Stay & { told?: string } };

const staysMax = 500;
const datePattern = /^\d{4}-\d\d-\d\d/;

export default defineAgent({
  name: "travel-buddy",
  version: "1.0.0",
  description: "Tells you and your contacts when you will be in the same city at the same time.",
  config,
  permissions: ["read:travel", "message:owner", "message:contacts"],
  on: [property("travel"), property("travel", { of: "contacts" })],
  // What it knows is one record, which two runs at once would take from each other.
  concurrency: 1,
  async handle(event, ctx) {
    if (event.type !== "property.changed" && event.type !== "property.removed") return;
    const stays = await ctx.state.get<Stays>("stays");
    const { [event.node]: _before, ...known } = stays ?? {};
    const stay = event.type === "property.changed" ? stayOf(event.value) : undefined;
    const now = { ...known, ...(stay && { [event.node]: stay }) };
    await introduce(now, ctx);
    const kept = Object.entries(now).filter(([, { until }]) => endMs(until) > ctx.now());
    await ctx.state.set("stays", Object.fromEntries(kept.slice(-staysMax)));
  },
});

async function introduce(stays: Stays, ctx: Context<Static<typeof config>>): Promise<void> {
  const { [ctx.owner]: mine, ...others } = stays;
  if (mine === undefined) return;
  for (const [contact, theirs] of Object.entries(others)) {
    const meeting = `${mine.city} ${mine.from} ${mine.until}`;
    if (theirs.told === meeting || !isTogether(mine, theirs, ctx.now())) continue;
    await ctx.step(`tell ${contact}`, async () => {
      await ctx.send(ctx.owner, `${contact} will be in ${theirs.city} too${when(theirs)}.`);
      if (ctx.config.tellContacts) {
        await ctx.send(contact, `${ctx.owner} will be in ${mine.city} too${when(mine)}.`);
      }
    });
    theirs.told = meeting;
  }
}

/** `from` and `to` are dates or places, as the type has it. */
function stayOf(value: Json): Stay | undefined {
  const { city, from, to, until } = (value ?? {}) as { readonly [key: string]: string | undefined };
  const isDate = (text: string | undefined) => text !== undefined && datePattern.test(text);
  const place = city ?? (isDate(to) ? undefined : to);
  if (place === undefined) return undefined;
  const end = until ?? (isDate(to) ? to : undefined);
  return { city: place, ...(from && isDate(from) && { from }), ...(end && { until: end }) };
}

/** A day lasts until its end, everywhere on earth. */
function endMs(until: string | undefined): number {
  if (until === undefined) return Infinity;
  return Date.parse(until) + (until.length === 10 ? 36 * 3_600_000 : 0);
}

function isTogether(one: Stay, other: Stay, nowMs: number): boolean {
  const begins = Math.max(
    nowMs,
    Date.parse(one.from ?? "1970-01-01"),
    Date.parse(other.from ?? "1970-01-01"),
  );
  const isSameCity = one.city.trim().toLowerCase() === other.city.trim().toLowerCase();
  return isSameCity && begins < Math.min(endMs(one.until), endMs(other.until));
}

function when({ from, until }: Stay): string {
  return `${from ? ` from ${from.slice(0, 10)}` : ""}${until ? ` until ${until.slice(0, 10)}` : ""}`;
}
