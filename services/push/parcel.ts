// Parcels: what is delivered with one POST.
// In: deliveries of a stream, in order. Out: bodies, and the cursor that each leads to. Never: an event that says only how far the stream is.
import { createHash } from "node:crypto";
import { type Delivery, toldEvent } from "../watch/watching.ts";

export interface Parcel {
  /** Empty: there is nothing to send, and the cursor moves on. */
  readonly events: readonly Delivery[];
  /** Where to go on once it is delivered. */
  readonly cursor: string;
}

export interface Letter {
  /** Stays the same when the same is sent again. */
  readonly id: string;
  readonly type: string;
  readonly contentType: string;
  readonly body: string;
}

const eventsMax = 100;
const charsMax = 256 * 1024;
/** Their cursors count; a receiver of single requests has no use for the rest. */
const ofTheStream = /\.stream\.(live|bookmark)$/;

/** The next of what waits, taken off its front. @param waiting not empty */
export function nextParcel(waiting: Delivery[], isBatch: boolean): Parcel {
  const events: Delivery[] = [];
  let cursor = "";
  let chars = 0;
  for (let next = waiting[0]; next; next = waiting[0]) {
    const isSilent = ofTheStream.test(next.shared.event.type);
    const isFull = events.length >= (isBatch ? eventsMax : 1) || chars + next.shared.size > charsMax;
    if (!isSilent && events.length > 0 && isFull) break;
    waiting.shift();
    cursor = next.cursor;
    if (isSilent) continue;
    events.push(next);
    chars += next.shared.size;
  }
  return { events, cursor };
}

export function letterOf(events: readonly Delivery[], isBatch: boolean): Letter {
  const texts = events.map((one) => (one.skipped === 0 ? one.shared.json : JSON.stringify(toldEvent(one))));
  const [first] = events;
  if (!isBatch && first) {
    const { id, type } = first.shared.event;
    return { id, type, contentType: "application/cloudevents+json", body: texts[0] ?? "" };
  }
  const ids = events.map(({ shared }) => shared.event.id).join("\n");
  return {
    id: `batch-${createHash("sha256").update(ids).digest("base64url").slice(0, 22)}`,
    type: "batch",
    contentType: "application/cloudevents-batch+json",
    body: `[${texts.join(",")}]`,
  };
}
