// Clients: callers without a token, told apart by the network that they come from.
// In: the IP address of a connection. Out: one name for all addresses of one client. Never: trust in a header that anybody can send.

/** An IPv4 address; of an IPv6 address its /64, since that is what one subscriber has at least (RFC 6177 §2). */
export function clientOf(ip: string | undefined): string {
  // A connection that is gone has no address any more, whatever the types say; nobody reads the answer either.
  if (ip === undefined) return "";
  if (!ip.includes(":")) return ip;
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(ip)?.[1];
  if (mapped !== undefined) return mapped;
  const [text = ""] = ip.split("%");
  const [head = "", tail] = text.split("::");
  const left = head === "" ? [] : head.split(":");
  const right = tail ? tail.split(":") : [];
  const zeros = Array.from({ length: Math.max(0, 8 - left.length - right.length) }, () => "0");
  const network = [...left, ...zeros, ...right].slice(0, 4);
  return `${network.map((group) => Number.parseInt(group, 16).toString(16)).join(":")}::/64`;
}

/** Whether it comes from this machine: the operator, or a proxy that stands for everybody. */
export function isLoopback(ip: string | undefined): boolean {
  return ip !== undefined && (ip === "::1" || /^(::ffff:)?127\./i.test(ip));
}
