// Post: what people do with messages over HTTP, for conversations.
// In: people and what they say. Out: ids, what waits, what a poll brings. Never: a shortcut past the public contract.
import type { CloudEvent } from "./event-stream.ts";
import { type Answer, type Data, nodePath, type Person, Refused } from "./world.ts";

const week = 7 * 24 * 3_600;
export const weekMs = week * 1_000;

export function messagesPath(to: Person | string): string {
  return `${nodePath(typeof to === "string" ? to : to.address)}/messages`;
}

/** With status and headers. */
export async function posts(
  from: Person,
  to: Person | string,
  body: Data,
  headers: Record<string, string> = {},
): Promise<Answer> {
  return await from.asks("POST", messagesPath(to), { body, headers });
}

/** @returns its id. @throws Refused */
export async function sends(
  from: Person,
  to: Person | string,
  content: string,
  wish: Data = {},
  headers: Record<string, string> = {},
): Promise<string> {
  const answer = await posts(from, to, { contentType: "text/plain", content, ...wish }, headers);
  if (answer.status !== 202) throw new Refused(`a message to ${JSON.stringify(to)}`, answer);
  return answer.body.id;
}

/** All that waits, page by page. */
export async function waiting(who: Person, limit = 100): Promise<Data[]> {
  const all: Data[] = [];
  let after = "";
  for (;;) {
    const answer = await who.asks("GET", `/v1/messages?limit=${limit}${after}`);
    if (answer.status !== 200) throw new Refused("GET /v1/messages", answer);
    all.push(...answer.body.messages);
    if (answer.body.next === undefined) return all;
    after = `&after=${answer.body.next}`;
  }
}

export async function acknowledges(who: Person, id: string, query = ""): Promise<void> {
  const answer = await who.asks("DELETE", `/v1/messages/${id}${query}`);
  if (answer.status !== 204) throw new Refused("DELETE /v1/messages", answer);
}

export async function polls(who: Person, after?: string): Promise<{ events: CloudEvent[]; cursor: string }> {
  const answer = await who.asks("GET", `/v1/poll${after === undefined ? "" : `?after=${after}`}`);
  if (answer.status !== 200) throw new Refused("GET /v1/poll", answer);
  return answer.body as { events: CloudEvent[]; cursor: string };
}

/** What the messages among these events say. */
export function said(events: readonly { readonly event: CloudEvent }[] | readonly CloudEvent[]): string[] {
  return events
    .map((one) => ("event" in one ? one.event : one))
    .filter(({ type }) => type === "dev.tidings.message.received")
    .map(({ data }) => data.content);
}
