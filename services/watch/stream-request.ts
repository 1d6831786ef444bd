// Stream requests: what a transport asks for, and what it drains.
// In: nothing. Out: types. Never: a default.
import type { Cursor } from "../core/cursor.ts";
import type { Caller } from "../core/principal.ts";
import type { Delivery } from "./session.ts";
import type { Target } from "./target.ts";
import type { WatchWish } from "./wish.ts";

export interface StreamRequest {
  readonly caller: Caller;
  /** Whose share of time its filters take, where that is not its caller's account. */
  readonly payer?: string | undefined;
  /** How its reader reads: poll, sse, websocket, webhook. */
  readonly via: string;
  /** Watched for as long as the stream is open. */
  readonly targets: readonly Target[];
  /** Whether the caller's subscriptions come along. */
  readonly own: boolean;
  /** Of those just this one, and nothing else that is the caller's: no messages, no notices. */
  readonly only?: string | undefined;
  /** What of the account an agent is told, besides the subscriptions that are its own. */
  readonly brings?:
    | {
        readonly inbox: boolean;
        readonly notices: boolean;
        /** Without a cursor: notices since then as well. */
        readonly sinceMs: number;
      }
    | undefined;
  readonly after: Cursor | undefined;
  /** There may be something to take. */
  readonly onReady: () => void;
  /** What the reader was told is its no more: whatever of it is still on its way must not be for long. */
  readonly onTakenBack?: (() => void) | undefined;
}

export interface Watcher extends Disposable {
  /** Everything that is owed now; when nothing is, the next part of the snapshot is fetched. */
  take(): readonly Delivery[];
  /** Watches one more thing for as long as the stream is open. @throws Refusal */
  watch(wish: WatchWish, after?: Cursor): Promise<{ subscription: string; state: "active" | "pending" }>;
  /** @returns false when there is no such watch */
  unwatch(subscription: string): boolean;
  /** Everything that is watched is live. */
  readonly isLive: boolean;
  /** Where the reader resumes, as far as it has taken what it is owed. */
  readonly last: string;
  /** Characters that wait for the reader. */
  readonly waiting: number;
  /** Subscriptions that the stream carries. */
  readonly size: number;
}
