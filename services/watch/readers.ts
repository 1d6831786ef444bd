// Readers: the streams that hear what becomes of their callers' subscriptions, of whom they wait for, and of groups.
// In: streams as they come and go, the feed, coming and going of members, registrations. Out: word to each that it concerns. Never: a word to a stream that has left.
import { type Address, rootOf } from "../core/address.ts";
import type { Members } from "../groups/groups.ts";
import { subjectOf } from "../store/subjects.ts";
import type { Hub } from "./hub.ts";
import type { Own } from "./own.ts";
import { nodeKey } from "./target.ts";

export interface Readers extends Disposable {
  /** @param account whose subscriptions it carries. @returns what ends it; may be called twice */
  add(own: Own, account: Address | undefined): () => void;
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

  /** From now on the stream hears what becomes of its caller's subscriptions. */
  function join(account: Address, own: Own): () => void {
    const key = nodeKey(subjectOf(rootOf(account), "node"));
    const beside = byAccount.get(key) ?? new Set();
    beside.add(own);
    byAccount.set(key, beside);
    subscribers.set(key, (fact) => {
      for (const one of beside) one.take(fact);
    });
    return () => {
      // Others may have come to its place meanwhile.
      if (!beside.delete(own) || beside.size > 0) return;
      byAccount.delete(key);
      subscribers.delete(key);
    };
  }

  return {
    add(own, account) {
      const leave = account ? join(account, own) : () => undefined;
      all.add(own);
      return () => {
        leave();
        all.delete(own);
      };
    },
    registered(email, address) {
      for (const one of all) one.registered(email, address);
    },
    [Symbol.dispose]: () => joining[Symbol.dispose](),
  };
}
