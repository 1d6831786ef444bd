// Marketplace: matches who looks for something with who offers it, and introduces both.
// In: offers and wishes that the agent may see in its own name. Out: one message to each of a pair, once. Never: a word of the
// one's offer or wish to the other: each hears its own words and an address, and reads there what it may see itself.
import { createHash } from "node:crypto";
import { defineAgent, type Json, match, type Property, Type } from "../agent.ts";

interface Item {
  readonly item?: string;
  readonly title?: string;
  readonly text?: string;
  readonly tags?: readonly string[];
  readonly category?: string;
  readonly city?: string;
  readonly currency?: string;
  readonly price?: number;
  readonly priceMax?: number;
  readonly until?: string;
}

const offers = 'prop("for-sale") != null';
const wishes = 'prop("looking-for") != null';

export default defineAgent({
  name: "marketplace",
  version: "1.0.0",
  description: "Introduces who offers something and who looks for it.",
  config: Type.Object({ limit: Type.Integer({ default: 20, minimum: 1, maximum: 100 }) }),
  permissions: ["find", "read:for-sale", "read:looking-for", "message:anyone"],
  on: [match({ where: `${offers} || ${wishes}` })],
  // Both of a pair may come at once, and each would find the other.
  concurrency: 1,
  async handle(event, ctx) {
    if (event.type !== "match.entered") return;
    const { "for-sale": offer, "looking-for": wish } = event.properties;
    const { limit } = ctx.config;
    const pairs: { readonly offer: Property; readonly wish: Property }[] = [];
    if (offer) {
      for (const { properties } of await ctx.find({ where: wishes, limit })) {
        if (properties["looking-for"]) pairs.push({ offer, wish: properties["looking-for"] });
      }
    }
    if (wish) {
      for (const { properties } of await ctx.find({ where: offers, limit })) {
        if (properties["for-sale"]) pairs.push({ offer: properties["for-sale"], wish });
      }
    }
    for (const pair of pairs.filter(({ offer, wish }) => fits(offer, wish, ctx.now()))) {
      const [seller, buyer] = [accountOf(pair.offer.node), accountOf(pair.wish.node)];
      const mark = createHash("sha256").update(`${pair.offer.node} ${pair.wish.node}`).digest("hex");
      if (seller === buyer || (await ctx.state.get(mark))) continue;
      await ctx.step(`introduce ${mark}`, async () => {
        await ctx.send(buyer, `You look for "${nameOf(pair.wish.value)}": see ${pair.offer.node}.`);
        await ctx.send(seller, `You offer "${nameOf(pair.offer.value)}": ${pair.wish.node} may want it.`);
      });
      await ctx.state.set(mark, true);
    }
  },
});

function fits(offer: Property, wish: Property, nowMs: number): boolean {
  const [has, wants] = [offer.value as Item, wish.value as Item];
  const isOver = ({ until }: Item) => until !== undefined && Date.parse(until) + 86_400_000 < nowMs;
  if (isOver(has) || isOver(wants)) return false;
  if (has.city && wants.city && !isSame(has.city, wants.city)) return false;
  if (has.price !== undefined && wants.priceMax !== undefined) {
    if (!isSame(has.currency ?? "", wants.currency ?? "") || has.price > wants.priceMax) return false;
  }
  const known = [has.item, has.title, has.category, ...(has.tags ?? [])].filter((word) => word !== undefined);
  return known.some(
    (word) => isSame(word, nameOf(wish.value)) || wants.tags?.some((tag) => isSame(tag, word)),
  );
}

function isSame(one: string, other: string): boolean {
  return one.trim().toLowerCase() === other.trim().toLowerCase();
}

function nameOf(value: Json): string {
  const { item, title, text } = value as Item;
  return item ?? title ?? text ?? "";
}

function accountOf(node: string): string {
  return node.split("/", 1)[0] ?? node;
}
