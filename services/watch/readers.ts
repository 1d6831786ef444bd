// Readers: the streams that hear what becomes of their callers' subscriptions, of whom they wait for, and of groups.
// In: streams as they come and go, the feed, coming and going of members, registrations. Out: word to each that it concerns. Never: a word to a stream that has left.
import { type Address, rootOf } from "../core/address.ts";
import type { Members } from "../groups/groups.ts";
import { subjectOf } from "../store/subjects.ts";
import type { Hub } from "./hub.ts";
import type { Own } from "./own.ts";
import { nodeKey } from "./target.ts";

export interface Readers extends Disposable {
  /** @param account whose subscriptions it carries */
  add(own: Own, account: Address | undefined): void;
  /** May be said twice, and of one that was added without an account. */
  remove(own: Own, account: Address | undefined): void;
  /** Somebody registered with this e-mail address. */
  registered(email: string, address: Address): void;
}

export function openReaders(
  { subscribers }: Pick<Hub, "subscribers">,
  members: Pick<Members, "listen">,
): Readers {
  const all = new Set<Own>();
  const byAccount = new Map<string, Set<Own>>();
  const joining = members.listen((turn) => {
    for (const own of all) own.onMember(turn);
  });

  return {
    add(own, account) {
      all.add(own);
      if (account === undefined) return;
      const key = keyOf(account);
      const beside = byAccount.get(key) ?? new Set();
      beside.add(own);
      byAccount.set(key, beside);
      subscribers.set(key, (fact) => {
        for (const one of beside) one.take(fact);
      });
    },
    remove(own, account) {
      all.delete(own);
      if (account === undefined) return;
      const key = keyOf(account);
      const beside = byAccount.get(key);
      if (!beside?.delete(own) || beside.size > 0) return;
      byAccount.delete(key);
      subscribers.delete(key);
    },
    registered(email, address) {
      for (const one of all) one.registered(email, address);
    },
    [Symbol.dispose]: () => joining[Symbol.dispose](),
  };
}

function keyOf(account: Address): string {
  return nodeKey(subjectOf(rootOf(account), "node"));
}
