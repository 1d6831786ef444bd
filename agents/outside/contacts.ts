// Contacts: whom the owner's list names now.
// In: the roster of a broker elsewhere. Out: whether somebody is in it. Never: the petnames and notes beside them.
import type { Rest } from "./rest.ts";

export interface Contacts {
  has(this: void, address: string): boolean;
  /** Reads the list again. @returns whether it is another one now. @throws RestError */
  refresh(this: void): Promise<boolean>;
}

export async function openContacts(rest: Rest): Promise<Contacts> {
  let known = new Set<string>();
  async function refresh(): Promise<boolean> {
    const { contacts } = (await rest.ask("GET", "/v1/me/roster?bare=true")) as {
      contacts: { address: string }[];
    };
    const before = known;
    known = new Set(contacts.map(({ address }) => address));
    return known.size !== before.size || [...before].some((address) => !known.has(address));
  }
  await refresh();
  return {
    refresh,
    has(address) {
      const [account = ""] = address.split("/");
      return known.has(account) || known.has(account.slice(account.indexOf("@")));
    },
  };
}
