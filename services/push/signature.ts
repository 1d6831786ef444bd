// Signatures of deliveries, by the letter of Standard Webhooks 1.0 (HMAC-SHA256).
// In: an id, a time, a body, secrets. Out: header fields. Never: a secret in any of them.
import { createHmac } from "node:crypto";

const prefix = "whsec_";

/** @param timeMs since 1970. @param secrets each signs */
export function signed(
  id: string,
  timeMs: number,
  body: string,
  secrets: readonly string[],
): Record<string, string> {
  const seconds = String(Math.floor(timeMs / 1000));
  const signatures = secrets.map((secret) => {
    const key = Buffer.from(secret.slice(prefix.length), "base64");
    return `v1,${createHmac("sha256", key).update(`${id}.${seconds}.${body}`).digest("base64")}`;
  });
  return { "webhook-id": id, "webhook-timestamp": seconds, "webhook-signature": signatures.join(" ") };
}
