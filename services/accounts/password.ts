// Passwords: kept as scrypt (RFC 7914), compared in constant time.
// In: a password. Out: its hash, or whether it fits one. Never: a faster answer for an account that does not exist.
import { randomBytes, scrypt, timingSafeEqual } from "node:crypto";

/** 16 MiB and some 40 ms a try: N = 2^14, r = 8, p = 1, as OWASP lists them with p raised. */
const cost = { N: 16384, r: 8, p: 5 };
const keyBytes = 32;

export async function hashPassword(password: string): Promise<string> {
  const salt = randomBytes(16);
  const key = await derive(password, salt);
  return `scrypt:${salt.toString("base64url")}:${key.toString("base64url")}`;
}

/** Without a stored hash the same work is done, and the answer is no. */
export async function passwordFits(password: string, stored: string | undefined): Promise<boolean> {
  const [, salt = "", key = ""] = stored?.split(":") ?? [];
  const derived = await derive(password, salt === "" ? randomBytes(16) : Buffer.from(salt, "base64url"));
  const expected = Buffer.from(key, "base64url");
  return expected.length === keyBytes && timingSafeEqual(derived, expected);
}

function derive(password: string, salt: Buffer): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    scrypt(password.normalize("NFKC"), salt, keyBytes, { ...cost, maxmem: 64 * 1024 * 1024 }, (error, key) =>
      error ? reject(error) : resolve(key),
    );
  });
}
