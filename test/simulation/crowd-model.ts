// A second opinion on crowds: what carries which mark, what one fact ends, and what is written out later.
// In: states as the tape gets them, and facts that end crowds. Out: what follows from those. Never: code of services/property/crowd-*.ts.
import type { PropertyState } from "../../services/core/property.ts";
import type { Fact } from "../../services/store/log.ts";
import { nameOf } from "../../services/store/subjects.ts";
import { afterEnds, spell } from "./property-model.ts";

export class CrowdModel {
  /** The mark of each property that carries one. */
  readonly #marked = new Map<string, string>();
  /** Ended with others, and not written out yet. */
  readonly #unwritten = new Set<string>();

  take(subject: string, { crowd }: PropertyState): void {
    this.#unwritten.delete(subject);
    if (crowd === undefined) this.#marked.delete(subject);
    else this.#marked.set(subject, crowd);
  }

  /** Whether this is a mark, or writes out what is so already: readers see no change. */
  isSilent(subject: string, before: PropertyState | undefined, next: PropertyState | undefined): boolean {
    const isAsked = next?.crowd !== undefined || this.#unwritten.has(subject);
    return isAsked && spell(before) === spell(next);
  }

  isEnd({ subject }: Fact): boolean {
    return subject.includes(".crowd.");
  }

  /** When the crowd that this fact ends was due, and how each of its properties stands from now on. */
  end(
    { subject, body, position }: Fact,
    states: ReadonlyMap<string, PropertyState>,
  ): { endsMs: number; ended: ReadonlyMap<string, PropertyState> } {
    const { endsMs } = JSON.parse(body) as { endsMs: number };
    const ended = new Map<string, PropertyState>();
    for (const [property, crowd] of this.#marked) {
      const before = states.get(property);
      if (crowd !== nameOf(subject) || before === undefined) continue;
      const moment = { position, by: "", fromMs: endsMs, toMs: endsMs, actual: undefined };
      const next = afterEnds(before, ({ lease }) => lease !== undefined && lease.untilMs <= endsMs, moment);
      if (next === undefined) continue;
      ended.set(property, next);
      this.#unwritten.add(property);
    }
    for (const property of ended.keys()) this.#marked.delete(property);
    return { endsMs, ended };
  }
}
