// The doorkeeper: nobody is shown in unannounced.
// In: watches that are about to be told what is there, and such as end. Out: notices to the owners. Never: a first value before its notice, or a wait that tells a block from an absence.
import { randomBytes } from "node:crypto";
import type { Address } from "../core/address.ts";
import type { Verdict } from "../core/policy.ts";
import { actorOf } from "../core/principal.ts";
import type { Soon } from "../core/soon.ts";
import type { Access } from "../property/properties.ts";
import type { Notices, Watched } from "./notices.ts";
import { selected } from "./standing.ts";
import type { Watch } from "./watch.ts";

export interface Doorkeeper {
  /** Resolves when the watch may be told what is granted to it. */
  admit(watch: Watch): Soon<void>;
  leave(watch: Watch): void;
  /** The same for a subscription that is kept, whoever is there to hear of it. */
  announce(watched: Watched): Soon<void>;
  /** @param isBack whether it is there again by then */
  ended(node: Address, watcher: Address, id: string, isBack?: () => boolean): void;
}

export interface DoorkeeperDeps {
  readonly access: Pick<Access, "judge">;
  readonly notices: Pick<Notices, "started" | "pending" | "ended" | "fetched" | "denied">;
}

export function openDoorkeeper({ access, notices }: DoorkeeperDeps): Doorkeeper {
  function announce(watched: Watched): Soon<void> {
    const { look, node, properties, isKept } = watched;
    const judged = (): readonly Verdict[] =>
      properties.map((name) => access.judge(look, node, name, "watch"));
    const isGranted = (): boolean => judged().some(({ is }) => is === "granted");
    if (isGranted()) return notices.started(watched);
    const verdicts = judged();
    const isPending = verdicts.some(({ is }) => is === "pending");
    // Who keeps a subscription may be let in one day; who is blocked may not.
    if (isPending || (isKept && !verdicts.some(isShutOut))) notices.pending(watched, () => !isGranted());
    else notices.denied(look, node, properties);
  }

  return {
    announce,
    admit(watch) {
      const { look, target } = watch;
      const { node, isKept = false } = target;
      // One notice for a group, however many belong to it (docs/decisions/groups.md).
      if (target.isGathered) return;
      const properties = selected(target);
      // A poll that keeps nothing is a read like any other.
      if (look.via === "poll" && !isKept) {
        const isGranted = properties.some((name) => access.judge(look, node, name, "watch").is === "granted");
        if (isGranted) return notices.fetched(look, node, properties);
        notices.denied(look, node, properties);
        return;
      }
      if (isKept) {
        return announce({
          look: { ...look, via: "subscription" },
          node,
          properties,
          id: `${watch.id}`,
          isKept,
        });
      }
      const isNew = watch.noticeId === undefined;
      watch.noticeId ??= watch.id ?? randomBytes(9).toString("base64url");
      return announce({ look, node, properties, id: watch.noticeId, isKept, isNew });
    },
    leave(watch) {
      const { noticeId, look, target } = watch;
      if (noticeId === undefined || look.caller === undefined) return;
      watch.noticeId = undefined;
      notices.ended(target.node, actorOf(look.caller).text, noticeId);
    },
    ended: (node, watcher, id, isBack) => notices.ended(node, watcher.text, id, isBack),
  };
}

function isShutOut({ is, ground }: Verdict): boolean {
  return is === "blocked" || "block" in ground || ("answer" in ground && ground.answer === "polite");
}
