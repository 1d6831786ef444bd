// The envelope: how a fact lies in a message, with its place among the facts that were appended together with it.
// In: a body and a place. Out: the message's payload, and back. Never: a header; headers cost the feed more than all the rest.

/** Which of how many facts that were appended together. */
export interface GroupPlace {
  readonly index: number;
  readonly size: number;
}

/** No JSON begins with it; a body that does is put into an envelope of its own. */
const mark = "\u0001";

export function seal(body: string, { index, size }: GroupPlace): string {
  return size === 1 && !body.startsWith(mark) ? body : `${mark}${index}/${size}\n${body}`;
}

export function unseal(payload: string): { readonly body: string; readonly place: GroupPlace } {
  if (!payload.startsWith(mark)) return { body: payload, place: { index: 0, size: 1 } };
  const end = payload.indexOf("\n");
  const [index = 0, size = 1] = payload.slice(1, end).split("/").map(Number);
  return { body: payload.slice(end + 1), place: { index, size } };
}
