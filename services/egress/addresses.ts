// Addresses: which of them lie on the public internet, and which are nobody's business of ours.
// In: host names as URLs write them, IP addresses as resolvers write them. Out: what speaks against one. Never: a name taken for public because its notation is odd.
import { BlockList, isIPv4 } from "node:net";

/** Not globally reachable, or not one host (IANA special-purpose registries, RFC 6890). */
const special4 = listOf("ipv4", [
  ["0.0.0.0", 8],
  ["10.0.0.0", 8],
  ["100.64.0.0", 10],
  ["127.0.0.0", 8],
  ["169.254.0.0", 16],
  ["172.16.0.0", 12],
  ["192.0.0.0", 24],
  ["192.0.2.0", 24],
  ["192.88.99.0", 24],
  ["192.168.0.0", 16],
  ["198.18.0.0", 15],
  ["198.51.100.0", 24],
  ["203.0.113.0", 24],
  ["224.0.0.0", 3],
]);
/** All of IPv6 that is handed out to hosts (RFC 4291 §2.4); loopback, unique-local, link-local and multicast lie beside it. */
const global6 = listOf("ipv6", [["2000::", 3]]);
const special6 = listOf("ipv6", [
  // Teredo, ORCHID, benchmarks.
  ["2001::", 23],
  ["2001:db8::", 32],
  ["3fff::", 20],
]);
/** Each holds an IPv4 address in two of its eight groups, from this one on. */
const wrappers: readonly (readonly [BlockList, group: number])[] = [
  // Mapped (RFC 4291 §2.5.5.2).
  [listOf("ipv6", [["::ffff:0:0", 96]]), 6],
  // NAT64 (RFC 6052).
  [listOf("ipv6", [["64:ff9b::", 96]]), 6],
  // 6to4 (RFC 3056).
  [listOf("ipv6", [["2002::", 16]]), 1],
];

/** Whether it is the address of one host on the public internet. */
export function isPublic(address: string): boolean {
  if (isIPv4(address)) return !special4.check(address, "ipv4");
  const groups = groupsOf(address);
  if (groups === undefined) return false;
  const plain = groups.map((group) => group.toString(16)).join(":");
  for (const [wrapper, at] of wrappers) {
    if (wrapper.check(plain, "ipv6")) return isPublic(dotted(groups[at] ?? 0, groups[at + 1] ?? 0));
  }
  return global6.check(plain, "ipv6") && !special6.check(plain, "ipv6");
}

/** The IP address that a URL's host is written as; undefined for a name. @param host as `URL.hostname` gives it */
export function literalOf(host: string): string | undefined {
  if (host.startsWith("[")) return host.slice(1, -1);
  return isIPv4(host) ? host : undefined;
}

/** Names that mean the machine itself (RFC 6761 §6.3). */
export function isLocalName(host: string): boolean {
  const name = host.replace(/\.$/, "");
  return name === "localhost" || name.endsWith(".localhost");
}

/** The eight groups of an IPv6 address; undefined when it is none, or names a zone. */
function groupsOf(address: string): readonly number[] | undefined {
  if (!URL.canParse(`http://[${address}]/`)) return undefined;
  const [head = "", tail] = new URL(`http://[${address}]/`).hostname.slice(1, -1).split("::");
  const [before, after] = [head, tail ?? ""].map((part) => (part === "" ? [] : part.split(":")));
  const all = [
    ...(before ?? []),
    ...zeros(8 - (before?.length ?? 0) - (after?.length ?? 0)),
    ...(after ?? []),
  ];
  return all.map((group) => Number.parseInt(group, 16));
}

function zeros(count: number): readonly string[] {
  return Array.from({ length: count }, () => "0");
}

function dotted(high: number, low: number): string {
  return [high >> 8, high & 255, low >> 8, low & 255].join(".");
}

function listOf(family: "ipv4" | "ipv6", nets: readonly (readonly [string, number])[]): BlockList {
  const list = new BlockList();
  for (const [net, prefix] of nets) list.addSubnet(net, prefix, family);
  return list;
}
