// OIDC issuers on this machine: a real one, and one that signs whatever it is told to.
// In: claims, headers. Out: access tokens. Never: a key that outlives the test.
import { createHmac, createPublicKey, type JsonWebKeyInput } from "node:crypto";
import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { type CryptoKey, exportJWK, generateKeyPair, type JWK, SignJWT } from "jose";
import Provider from "oidc-provider";
import type { Data } from "./event-stream.ts";

const audience = "https://tidings.example.com";

export interface Issuer extends AsyncDisposable {
  readonly settings: { readonly issuer: string; readonly audience: string; readonly handleClaim: string };
}

export interface ForgingIssuer extends Issuer {
  /** A token that is good, but for what is said otherwise; undefined leaves a claim or header out. */
  sign(claims?: Data, header?: Data): Promise<string>;
  /** The same with a key that it does not publish. */
  forge(claims?: Data, header?: Data): Promise<string>;
  /** Signed with the public key as if it were a shared secret. */
  confuse(claims?: Data): Promise<string>;
  /** Not signed at all. */
  unsigned(alg: string): string;
  /** Signs with a new key from now on; it publishes that one alone. */
  rotates(algorithm?: string): Promise<void>;
  /** What it says of itself instead of the truth. */
  says(metadata: Data): void;
  /** How often its keys were asked for. */
  readonly asked: number;
}

async function listen(): Promise<{ server: Server; url: string } & AsyncDisposable> {
  const server = createServer();
  await once(server.listen(0, "127.0.0.1"), "listening");
  return {
    server,
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

export async function openForgingIssuer(): Promise<ForgingIssuer> {
  const { server, url: issuer, ...place } = await listen();
  let lie: Data = {};
  let asked = 0;
  let keys = 0;
  let signer: { key: CryptoKey; jwk: JWK } = await makeKey("RS256");

  async function makeKey(alg: string): Promise<{ key: CryptoKey; jwk: JWK }> {
    const { privateKey, publicKey } = await generateKeyPair(alg, { extractable: true });
    return {
      key: privateKey,
      jwk: { ...(await exportJWK(publicKey)), kid: `key-${++keys}`, alg, use: "sig" },
    };
  }

  server.on("request", ({ url }, response) => {
    response.setHeader("content-type", "application/json");
    if (url === "/.well-known/openid-configuration") {
      response.end(JSON.stringify({ issuer, jwks_uri: `${issuer}/keys`, ...lie }));
    } else {
      asked++;
      response.end(JSON.stringify({ keys: [signer.jwk] }));
    }
  });

  function parts(claims: Data, header: Data): { claims: Data; header: Data } {
    const now = Math.floor(Date.now() / 1000);
    const usual = {
      iss: issuer,
      aud: audience,
      sub: "someone",
      iat: now,
      exp: now + 60,
      client_id: "test",
      jti: "1",
    };
    const { alg, kid } = signer.jwk;
    const plain = (all: Data): Data => JSON.parse(JSON.stringify(all));
    return { claims: plain({ ...usual, ...claims }), header: plain({ alg, kid, typ: "at+jwt", ...header }) };
  }

  async function signWith(key: CryptoKey, given: Data, head: Data): Promise<string> {
    const { claims, header } = parts(given, head);
    // The library signs nothing with a header that it does not know unless it is told to.
    const crit = Object.fromEntries(((header.crit ?? []) as string[]).map((name) => [name, true]));
    return await new SignJWT(claims).setProtectedHeader(header as { alg: string }).sign(key, { crit });
  }

  const encode = (part: unknown): string => Buffer.from(JSON.stringify(part)).toString("base64url");

  return {
    settings: { issuer, audience, handleClaim: "preferred_username" },
    sign: async (claims = {}, header = {}) => await signWith(signer.key, claims, header),
    async forge(claims = {}, header = {}) {
      const { key } = await makeKey(signer.jwk.alg as string);
      return await signWith(key, claims, header);
    },
    async confuse(given = {}) {
      const { claims, header } = parts(given, { alg: "HS256" });
      const text = `${encode(header)}.${encode(claims)}`;
      const { kid, alg, use, ...bare } = signer.jwk;
      const pem = createPublicKey({ key: bare as JsonWebKeyInput["key"], format: "jwk" }).export({
        type: "spki",
        format: "pem",
      });
      return `${text}.${createHmac("sha256", pem).update(text).digest("base64url")}`;
    },
    unsigned(alg) {
      const { claims, header } = parts({}, { alg });
      return `${encode(header)}.${encode(claims)}.`;
    },
    async rotates(algorithm = "RS256") {
      signer = await makeKey(algorithm);
    },
    says(metadata) {
      lie = metadata;
    },
    get asked() {
      return asked;
    },
    ...place,
  };
}

export interface RealIssuer extends Issuer {
  /** An access token of the client of this name. */
  token(client: string, scope?: string): Promise<string>;
}

export async function openRealIssuer(clients: readonly string[]): Promise<RealIssuer> {
  const { server, url: issuer, ...place } = await listen();
  const { privateKey } = await generateKeyPair("RS256", { extractable: true });
  const key = { ...(await exportJWK(privateKey)), use: "sig", alg: "RS256" };
  const secret = "a secret of a client";
  const ttlSeconds = 60;
  const scopes = ["read", "write", "watch", "message", "account", "billing"];
  const provider = new Provider(issuer, {
    clients: clients.map((name) => ({
      client_id: name,
      client_secret: secret,
      grant_types: ["client_credentials"],
      redirect_uris: [],
      response_types: [],
    })),
    jwks: { keys: [key] },
    scopes,
    ttl: { ClientCredentials: ttlSeconds },
    extraTokenClaims: (_, { clientId }) => ({ preferred_username: clientId }),
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => audience,
        getResourceServerInfo: () => ({
          scope: scopes.join(" "),
          audience,
          accessTokenFormat: "jwt",
          accessTokenTTL: ttlSeconds,
        }),
      },
    },
  });
  server.on("request", provider.callback());
  return {
    settings: { issuer, audience, handleClaim: "preferred_username" },
    async token(client, scope = "") {
      const body = new URLSearchParams({ grant_type: "client_credentials", ...(scope && { scope }) });
      const authorization = `Basic ${btoa(`${encodeURIComponent(client)}:${encodeURIComponent(secret)}`)}`;
      const response = await fetch(`${issuer}/token`, { method: "POST", body, headers: { authorization } });
      const answer = (await response.json()) as Data;
      if (!response.ok) throw new Error(JSON.stringify(answer));
      return answer.access_token;
    },
    ...place,
  };
}
