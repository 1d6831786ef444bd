// A ledger: what one watcher was told of one node's properties, over however many connections, and what of that nobody may be told.
// In: what is told, and where each connection begins. Out: where to resume, the last of each property, faults. Never: a value that was only guessed.
import type { Data } from "../conversations/event-stream.ts";
import type { Told } from "./transports.ts";

export interface Last {
  readonly revision: number;
  /** The number in its value; undefined: it is gone. */
  readonly n: number | undefined;
}

/** Two deliveries of one property that followed each other on a live stream. */
export interface Step {
  readonly name: string;
  readonly from: number;
  readonly to: number;
  readonly skipped: number;
}

export class Ledger {
  cursor: string | undefined;
  isLive = false;
  readonly last = new Map<string, Last>();
  readonly steps: Step[] = [];
  readonly wrong: string[] = [];
  told = 0;
  again = 0;
  resets = 0;
  /** Connections that told something and yet left the cursor where it was: they were cut off inside a snapshot. */
  cutInside = 0;
  readonly #ids = new Map<string, string>();
  readonly #highest = new Map<string, number>();
  #since = new Map<string, number>();
  #began: { readonly told: number; readonly cursor: string | undefined } = { told: 0, cursor: undefined };

  begin(): void {
    const { told, cursor } = this;
    if (told > this.#began.told && cursor === this.#began.cursor) this.cutInside++;
    this.#began = { told, cursor };
    this.isLive = false;
    this.#since = new Map();
  }

  take({ event, cursor }: Told): void {
    if (event?.type === "dev.tidings.stream.live") this.isLive = true;
    if (event?.type === "dev.tidings.stream.reset") {
      this.resets++;
      this.isLive = false;
      this.#since = new Map();
    }
    if (event?.type.startsWith("dev.tidings.property.")) this.#property(event.id, event.data);
    this.cursor = cursor ?? this.cursor;
  }

  /** Steps that passed over acknowledged revisions without saying so. */
  undeclared(acknowledged: ReadonlyMap<string, readonly number[]>): string[] {
    return this.steps
      .filter(({ name, from, to, skipped }) => {
        const passed = acknowledged.get(name)?.filter((revision) => revision > from && revision < to) ?? [];
        return passed.length > skipped;
      })
      .map((step) => JSON.stringify(step));
  }

  #property(id: string, { name, revision, value, skipped = 0 }: Data): void {
    this.told++;
    const key = `${name} ${revision}`;
    const before = this.#ids.get(key);
    const highest = this.#highest.get(name) ?? 0;
    if (before !== undefined) {
      this.again++;
      if (before !== id) this.wrong.push(`${key} came as ${before} and again as ${id}`);
    } else if (revision < highest) this.wrong.push(`${key} came first after ${highest}`);
    this.#ids.set(key, id);
    this.#highest.set(name, Math.max(highest, revision));
    this.last.set(name, { revision, n: value?.n });
    if (!this.isLive) return;
    const from = this.#since.get(name);
    this.#since.set(name, revision);
    if (from === undefined) return;
    this.steps.push({ name, from, to: revision, skipped });
    if (revision <= from) this.wrong.push(`${key} came after ${from} on one stream`);
  }
}
