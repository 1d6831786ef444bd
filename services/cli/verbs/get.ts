// tidings get: what a node shows you.
// In: an address, and perhaps a name. Out: values as JSON, one a line. Never: what you may not see; it looks like nothing.
import { nodePath, propertyPath } from "../../../agents/outside/rest.ts";
import type { Verb } from "../verb.ts";

interface Shown {
  readonly address: string;
  readonly properties: Readonly<Record<string, { readonly value: unknown }>>;
}

export const get: Verb = {
  typed: "get <address> [name]",
  summary: "read a node, or one property of it",
  more: "Prints the value; with --json everything about it (revision, lease, who set it).",
  async run({ args: [address = "", name], rest, answer }) {
    if (name !== undefined) {
      const property = (await rest.ask("GET", propertyPath(address, name))) as { value: unknown };
      answer(property, JSON.stringify(property.value));
      return;
    }
    const node = (await rest.ask("GET", nodePath(address))) as Shown;
    const lines = Object.entries(node.properties).map(
      ([each, { value }]) => `${each}  ${JSON.stringify(value)}`,
    );
    answer(node, lines);
  },
};
