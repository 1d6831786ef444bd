// A gathering: the members of a group that a subscription watches, each by a watch of its own, as they come and go.
// In: who belongs to the group, whether the watcher may know. Out: watches on the stream. Never: a member that the watcher may not know of, or two watches of one.
import { type Address, parseAddress } from "../core/address.ts";
import { allows, type Caller } from "../core/principal.ts";
import type { Members, MemberTurn } from "../groups/groups.ts";
import type { Access, Look } from "../property/properties.ts";
import type { Start } from "./history.ts";
import type { Stream } from "./stream.ts";
import type { Target } from "./target.ts";
import type { Watch } from "./watch.ts";

export interface GatheringDeps {
  readonly members: Pick<Members, "of" | "turnsSince">;
  readonly access: Pick<Access, "maySeeMembers" | "hasChanged">;
}

export interface Gathered {
  /** The subscription. */
  readonly id: string;
  readonly look: Look;
  readonly target: Target;
}

/** What was decided meanwhile, or who came and went, may hide what the reader knows: then it begins anew. */
export function asDecided(
  { look, target }: Gathered,
  start: Start,
  { members, access }: GatheringDeps,
): Start {
  const { node, depth } = target;
  const { position } = start;
  if (position === undefined) return start;
  const hasTurned = (): boolean =>
    members.turnsSince(node.text, position).length > 0 ||
    [...members.of(node.text).keys()].some((one) => access.hasChanged(look, parseAddress(one), position));
  const isOther = access.hasChanged(look, node, position) || (depth !== "0" && hasTurned());
  return isOther ? { ...start, position: undefined, isLost: true } : start;
}

/** Whether a reader is told: the owner of the group, whom it is about, and whoever watches the group and may know. */
export function isTold(
  { group, member, standing, before }: MemberTurn,
  caller: Caller,
  watching: readonly Look[],
  access: GatheringDeps["access"],
): boolean {
  const isOwn = member === caller?.address.text || group.startsWith(`${caller?.address.text}/`);
  if (caller && isOwn && allows(caller.scopes, "watch")) return true;
  // Whoever asks to be let in is nobody else's business.
  if (standing !== "member" && before !== "member") return false;
  return watching.some((look) => access.maySeeMembers(look, parseAddress(group), "watch"));
}

export class Gathering {
  readonly #gathered: Gathered;
  readonly #stream: Stream;
  readonly #deps: GatheringDeps;
  readonly #watches = new Map<string, Watch>();

  constructor(gathered: Gathered, stream: Stream, deps: GatheringDeps) {
    this.#gathered = gathered;
    this.#stream = stream;
    this.#deps = deps;
  }

  get group(): string {
    return this.#gathered.target.node.text;
  }

  /** Whether the watcher may know who belongs to the group. */
  get isOpen(): boolean {
    const { look, target } = this.#gathered;
    return this.#deps.access.maySeeMembers(look, target.node, "watch");
  }

  /** @param start where the reader left off with all of them */
  begin(start: Start): void {
    if (!this.isOpen) return;
    for (const member of this.#deps.members.of(this.group).keys()) this.#add(member, start);
  }

  /** Somebody came or went. */
  turned({ member, standing, position }: MemberTurn): void {
    const present = this.#watches.get(member);
    if (standing !== "member") {
      if (present) this.#remove(member, present, position);
    } else if (present === undefined && this.isOpen) this.#add(member, this.#unknown(), "late");
    // Whoever is let in may know of the others, and whoever is put out may no more.
    if (member === this.#gathered.look.caller?.address.text) this.decided(position);
  }

  /** The owner of the group has decided anew who may know of its members. */
  decided(position: number): void {
    if (!this.isOpen) for (const [member, watch] of this.#watches) this.#remove(member, watch, position);
    else {
      for (const member of this.#deps.members.of(this.group).keys()) {
        if (!this.#watches.has(member)) this.#add(member, this.#unknown(), "late");
      }
    }
  }

  drop(): void {
    for (const watch of this.#watches.values()) this.#stream.drop(watch);
    this.#watches.clear();
  }

  #add(member: string, start: Start, place?: "late"): void {
    const { target, id } = this.#gathered;
    const node: Address = parseAddress(member);
    // The group's own watch reaches what lies beside it.
    if (node.text === target.node.text) return;
    const watched: Target = { ...target, node, depth: "0", isGathered: true };
    this.#watches.set(member, this.#stream.add(watched, start, id, place));
  }

  #remove(member: string, watch: Watch, position: number): void {
    this.#watches.delete(member);
    this.#stream.takeAway(watch, position);
  }

  /** Of whoever comes now the reader knows nothing; until it is shown, it goes on from here. */
  #unknown(): Start {
    return { text: this.#stream.last, position: undefined, isLost: false };
  }
}
