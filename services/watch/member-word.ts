// Member word: who came into groups and left them, as far as it is a reader's to hear.
// In: turns of members, what the reader watches. Out: word of each, once. Never: a walk through all that it watches for each of them.
import type { MemberTurn } from "../groups/groups.ts";
import type { Look } from "../property/properties.ts";
import { isTold } from "./gathering.ts";
import type { OwnDeps } from "./own-deps.ts";
import type { Stream } from "./stream.ts";
import type { Word } from "./word.ts";

interface Watching {
  /** What the reader watches, and how. */
  looks(): Iterable<readonly [group: string, look: Look]>;
}

export class MemberWord {
  readonly #stream: Stream;
  readonly #word: Word;
  readonly #watching: Watching;
  readonly #hearsGroups: boolean;
  readonly #deps: OwnDeps;

  /** @param hearsGroups whether the reader is told of groups that are its own, or that it is in */
  constructor(stream: Stream, word: Word, watching: Watching, hearsGroups: boolean, deps: OwnDeps) {
    this.#stream = stream;
    this.#word = word;
    this.#watching = watching;
    this.#hearsGroups = hearsGroups;
    this.#deps = deps;
  }

  /** What concerned its own groups, and itself, while it was away. */
  begin(position: number | undefined): void {
    const { caller } = this.#stream;
    if (position === undefined || caller === undefined) return;
    this.tell(this.#deps.members.turnsNear(caller.address.text, position), "snapshot");
  }

  /** What concerned a group that it watches. */
  beginWith(group: string, position: number | undefined): void {
    if (position !== undefined) this.tell(this.#deps.members.turnsSince(group, position), "snapshot");
  }

  tell(turns: readonly MemberTurn[], when: "live" | "snapshot"): void {
    if (turns.length === 0) return;
    const { access } = this.#deps;
    const caller = this.#hearsGroups ? this.#stream.caller : undefined;
    const looks = Map.groupBy(this.#watching.looks(), ([group]) => group);
    for (const turn of turns) {
      const watching = (looks.get(turn.group) ?? []).map(([, look]) => look);
      if (isTold(turn, caller, watching, access)) this.#word.ofMember(turn, when);
    }
  }
}
