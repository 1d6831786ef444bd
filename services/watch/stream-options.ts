// What a stream is opened with: by the broker for all streams, and for each by whoever reads it.
// In: nothing. Out: types. Never: a default.
import type { Caller } from "../core/principal.ts";
import type { ForwardTurn } from "../forward/forwarding.ts";
import type { Turn } from "../policy/policies.ts";
import type { Change } from "./change.ts";
import type { Doorkeeper } from "./doorkeeper.ts";
import type { History, Start } from "./history.ts";
import type { InboxDeps } from "./inbox.ts";
import type { JoinDeps } from "./joining.ts";
import type { Tally } from "./session.ts";
import type { Share } from "./shares.ts";
import type { Watch, WatchOwner } from "./watch.ts";

export interface StreamDeps extends JoinDeps, InboxDeps {
  readonly tally: Tally;
  /** How long after it was stored an event was handed to its transport, in ms. */
  readonly onSent: (afterMs: number) => void;
  readonly history: History;
  readonly now: () => number;
  readonly access: WatchOwner["access"];
  readonly doorkeeper: Pick<Doorkeeper, "admit" | "leave">;
}

export interface StreamOptions {
  readonly caller: Caller;
  /** How its reader reads: poll, sse, websocket. */
  readonly via: string;
  readonly start: Start;
  /** Of the time of all filters, its reader's. */
  readonly share: Share;
  /** There may be something to take. */
  readonly onReady: () => void;
  /** What its reader was told is its no more: whatever of it is still on its way must not be for long. */
  readonly onTakenBack?: (() => void) | undefined;
  /** There may be, once the run of facts is through. */
  onTouched(): void;
  /** What the watched node or the watch itself became: for whoever keeps subscriptions. */
  onNode?(watch: Watch, change: Change): void;
  /** Its reader has been told to forget what it knew. */
  onReset?(): void;
  onStopped?(watch: Watch): void;
  /** The owner of the watched node has decided anew. */
  onTurned?(watch: Watch, turn: Turn): void;
  /** The watched node is forwarded elsewhere, or no more: for whoever lets watches follow. */
  onForwarded?(watch: Watch, turn: ForwardTurn): void;
  onDropped?(watch: Watch): void;
}
