// Presence keeper: makes one presence of what the owner's devices say, and turns idle ones to away.
// In: the owner's presence, one view a device. Out: the same view as away; one merged property. Never: a person more present than a device says.
import {
  type Context,
  defineAgent,
  type Json,
  type LeaseWish,
  property,
  type Static,
  Type,
} from "../agent.ts";

const config = Type.Object({
  idleMinutes: Type.Number({ default: 10, minimum: 1, maximum: 1440 }),
  into: Type.String({ default: "presence.merged", pattern: "^presence\\.[a-z0-9.-]{1,100}$" }),
});
type Ctx = Context<Static<typeof config>>;
type Value = { readonly [key: string]: Json };
interface Said {
  readonly value: Value;
  readonly lease?: LeaseWish;
}
interface Kept {
  /** What each device said last. */
  readonly devices: { readonly [device: string]: Said };
  /** The device that spoke last. */
  readonly last?: string | undefined;
}

/** From the most present to the least; what is not known counts as online. */
const order = ["online", "busy", "on-phone", "idle", "back-soon", "at-lunch", "away", "invisible", "offline"];
const devicesMax = 32;

export default defineAgent({
  name: "presence-keeper",
  version: "1.0.0",
  description: "Makes one presence of your devices, and turns idle ones to away.",
  config,
  permissions: ["read:presence", "read:presence.*", "write:presence", "write:presence.*"],
  on: [property("presence")],
  concurrency: 1,
  async handle(event, ctx) {
    const { devices, last } = (await ctx.state.get<Kept>("kept")) ?? { devices: {} };
    if (event.type === "timer") {
      const device = String(event.data);
      const said = devices[device];
      if (said === undefined || !canIdle(said.value)) return;
      const away: Said = { ...said, value: { ...said.value, status: "away" } };
      // The lease keeps its id: the device goes on renewing what it set.
      const options = { view: device, ...(said.lease && { lease: said.lease }) };
      await ctx.set({ node: ctx.owner, name: "presence" }, away.value, options);
      return keep({ devices: { ...devices, [device]: away }, last: device }, ctx);
    }
    if (event.type === "property.removed") return keep({ devices: {} }, ctx);
    const value = (event.value ?? {}) as Value;
    const device = deviceOf(value);
    // The view that was seen last has ended, and this is the one behind it.
    const { [event.reason === "expired" ? (last ?? "") : ""]: _ended, ...rest } = devices;
    const { until: _, ...lease } = event.lease ?? { until: "" };
    const said = { value, ...("id" in lease && { lease }) };
    await keep({ devices: { ...rest, [device]: said }, last: device }, ctx);
    const idleMs = Number(value.idleSeconds ?? 0) * 1000;
    if (!canIdle(value)) return ctx.cancel(`idle ${device}`);
    await ctx.schedule(`idle ${device}`, Math.max(0, ctx.config.idleMinutes * 60_000 - idleMs), device);
  },
});

/** Remembers it, and says what all devices together mean. */
async function keep({ devices, last }: Kept, ctx: Ctx): Promise<void> {
  const some = Object.fromEntries(Object.entries(devices).slice(-devicesMax));
  await ctx.state.set("kept", { devices: some, ...(last !== undefined && { last }) });
  const [best] = Object.values(some).toSorted((one, other) => rankOf(one.value) - rankOf(other.value));
  const status = best ? statusOf(best.value) : "offline";
  const merged = { status, devices: Object.keys(some).toSorted() };
  const place = { node: ctx.owner, name: ctx.config.into };
  const before = await ctx.get(place.node, place.name);
  if (JSON.stringify(before?.value) !== JSON.stringify(merged)) await ctx.set(place, merged);
}

function statusOf({ status, state, show }: Value): string {
  return String(status ?? state ?? show ?? "online");
}

function rankOf(value: Value): number {
  return Math.max(0, order.indexOf(statusOf(value)));
}

/** Who is busy or on the phone is not idle, and who is away is so already. */
function canIdle(value: Value): boolean {
  return rankOf(value) === 0 || statusOf(value) === "idle";
}

/** As a view may be called. */
function deviceOf({ device }: Value): string {
  return (
    String(device ?? "device")
      .replace(/[^A-Za-z0-9._~-]/g, "-")
      .slice(0, 64) || "device"
  );
}
