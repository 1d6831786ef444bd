// Mail server: what `smtp://user:password@host:port` names, and nothing else that a mail library would read from it.
// In: the URL that an owner wrote. Out: settings for one connection. Never: an option of the library from outside, or a way into the machine's own network where the host has ruled that out.
import { lookup } from "node:dns/promises";
import { BlockList, isIP, isIPv4 } from "node:net";

/** Set by brokers that let agents reach public addresses alone (`TIDINGS_WEBHOOK_ALLOW_PRIVATE` lifts it). */
const publicOnly = "TIDINGS_PUBLIC_ONLY";

export interface MailServer {
  readonly host: string;
  readonly port: number;
  readonly secure: boolean;
  readonly auth?: { readonly user: string; readonly pass: string };
  readonly tls: { readonly servername?: string };
}

/** @throws Error that says what is wrong with it */
export async function mailServerOf(text: string): Promise<MailServer> {
  if (!URL.canParse(text)) throw new Error("smtp is no URL: smtp://user:password@host:port");
  const { protocol, hostname, port, username, password, pathname, search, hash } = new URL(text);
  const isPlain = ["", "/"].includes(pathname) && search === "" && hash === "";
  if (!["smtp:", "smtps:"].includes(protocol) || hostname === "" || !isPlain)
    throw new Error(
      "smtp is written smtp://user:password@host:port or smtps://…, with nothing after the port",
    );
  const name = hostname.replace(/^\[|\]$/g, "");
  const secure = protocol === "smtps:";
  const auth = { user: decodeURIComponent(username), pass: decodeURIComponent(password) };
  return {
    host: process.env[publicOnly] === "1" ? await publicAddress(name) : name,
    port: port === "" ? (secure ? 465 : 587) : Number(port),
    secure,
    ...(username !== "" && { auth }),
    tls: isIP(name) === 0 ? { servername: name } : {},
  };
}

/** The address that is looked at is the one that is connected to. */
async function publicAddress(name: string): Promise<string> {
  const found = await lookup(name, { all: true });
  if (found.length > 0 && found.every(({ address }) => isPublic(address))) return found[0]?.address as string;
  throw new Error("smtp leads to an address that is not public");
}

/** As services/egress/ has it, which agents never see; test/vectors/private-hosts.json holds both to the same. RFC 6890; of IPv6 what is handed out to hosts (RFC 4291 §2.4), less what wraps an IPv4 address or is a host's by itself. */
const special = new BlockList();
for (const [net, prefix] of [
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
] as const)
  special.addSubnet(net, prefix, "ipv4");
const global6 = new BlockList();
global6.addSubnet("2000::", 3, "ipv6");
const special6 = new BlockList();
for (const [net, prefix] of [
  ["2001::", 23],
  ["2001:db8::", 32],
  ["2002::", 16],
  ["3fff::", 20],
] as const)
  special6.addSubnet(net, prefix, "ipv6");

function isPublic(address: string): boolean {
  if (isIPv4(address)) return !special.check(address, "ipv4");
  return isIP(address) === 6 && global6.check(address, "ipv6") && !special6.check(address, "ipv6");
}
