// Bridge: mirrors chosen properties to a webhook.
// In: changes of the owner's properties, and of others that it is told to follow. Out: one POST each, in order for each node,
// with an Idempotency-Key. Never: the next of a node before the last was taken.
import { defineAgent, property, Type } from "../agent.ts";

export default defineAgent({
  name: "bridge",
  version: "1.0.0",
  description: "Mirrors your properties, and those that you follow, to a webhook.",
  config: Type.Object({
    url: Type.String({ pattern: "^https?://", maxLength: 2048 }),
    names: Type.Array(Type.String(), { default: [], description: "Of properties; all where there is none." }),
    follow: Type.Array(Type.String(), { default: [], maxItems: 100, description: "Addresses of others." }),
    token: Type.Optional(Type.String({ description: "Sent as a bearer token." })),
  }),
  permissions: ["read:*", "fetch:*"],
  on: [
    property("*", { where: "size(config.names) == 0 || name in config.names" }),
    property("*", { of: "config.follow", where: "size(config.names) == 0 || name in config.names" }),
  ],
  async handle(event, ctx) {
    if (event.type !== "property.changed" && event.type !== "property.removed") return;
    const { id, time, node, name, revision, reason } = event;
    const body = { id, time, node, name, revision, reason };
    const { url, token } = ctx.config;
    await ctx.step("post", async () => {
      const { ok, status } = await ctx.fetch(url, {
        method: "POST",
        headers: token === undefined ? {} : { authorization: `Bearer ${token}` },
        body: event.type === "property.changed" ? { ...body, value: event.value } : body,
      });
      // What is thrown here is tried again later; the events that follow wait.
      if (!ok) throw new Error(`The webhook answered ${status}.`);
      return status;
    });
  },
});
