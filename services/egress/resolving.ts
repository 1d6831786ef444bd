// Resolving: from a host's name to addresses, for connections that go where they were checked to go.
// In: names. Out: addresses, none that may not be reached. Never: a thread held by a name server that does not answer.
import type { LookupAddress } from "node:dns";
import { lookup, Resolver } from "node:dns/promises";
import type { LookupFunction } from "node:net";
import { isPublic } from "./addresses.ts";

export type Resolve = (host: string) => Promise<readonly LookupAddress[]>;

/** The name leads to an address that may not be reached. */
export class NotAllowed extends Error {
  override readonly name = "NotAllowed";
}

/** Of a name server that does not answer, over all tries. */
const dnsMs = 2_000;
const tries = 2;

/** Asks the name servers without a thread of the pool; what they do not know may still stand in the hosts file. */
export function openResolve(): Resolve {
  const resolver = new Resolver({ timeout: dnsMs, tries });
  return async (host) => {
    const [four, six] = await Promise.allSettled([resolver.resolve4(host), resolver.resolve6(host)]);
    const found = [
      ...(four.status === "fulfilled" ? four.value.map((address) => ({ address, family: 4 })) : []),
      ...(six.status === "fulfilled" ? six.value.map((address) => ({ address, family: 6 })) : []),
    ];
    if (found.length > 0) return found;
    const codes = [four, six].map(
      (one) => one.status === "rejected" && (one.reason as { code: string }).code,
    );
    if (codes.includes("ETIMEOUT")) throw new Error(`no name server answers for ${host}`);
    return await lookup(host, { all: true });
  };
}

/**
 * Every address that the name has is looked at, and just these are connected to: a name that means another address the
 * next time (DNS rebinding) is looked at again with the next connection.
 */
export function checkedLookup(resolve: Resolve, allowPrivate: boolean): LookupFunction {
  return (host, options, callback) => {
    resolve(host).then(
      (found) => {
        const fits = found.filter(
          ({ family }) => !options.family || `${options.family}`.endsWith(`${family}`),
        );
        const first = fits[0];
        if (first === undefined) return callback(new Error(`${host} has no address`), "", 4);
        if (!allowPrivate && !fits.every(({ address }) => isPublic(address))) {
          return callback(new NotAllowed(`${host} leads to an address that is not public`), "", 4);
        }
        if (options.all) callback(null, [...fits]);
        else callback(null, first.address, first.family);
      },
      (error: Error) => callback(error, "", 4),
    );
  };
}
