// After: the place in the directory's order at which a page ended, as its reader holds it.
// In: the key of a node. Out: text, and back. Never: anything but what the address of a node that was shown says anyway.
import { Refusal } from "../core/refusal.ts";

export function formatAfter(key: bigint): string {
  return key.toString(16).padStart(16, "0");
}

/** @throws Refusal `bad-cursor` */
export function parseAfter(text: string | undefined): bigint {
  if (text === undefined || text === "") return -1n;
  if (!/^[0-7][0-9a-f]{15}$/.test(text)) {
    throw new Refusal("bad-cursor", "`after` takes what an answer gave as `next`.");
  }
  return BigInt(`0x${text}`);
}
