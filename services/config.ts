// Configuration: environment and flags to one frozen object.
// In: process.env and the command line. Out: Config. Never: a default taken silently in place of a bad value.
import { parseArgs } from "node:util";
import { emailOf, isDomain } from "./core/address.ts";
import { StartError } from "./core/start-error.ts";

export interface Config {
  readonly host: string;
  /** 0 picks a free one. */
  readonly port: number;
  readonly domain: string;
  readonly dataDir: string;
  /** Servers of an existing cluster; none means the embedded server. */
  readonly natsServers: readonly string[];
  readonly replicas: number;
  readonly registration: "open" | "invite" | "closed";
  /** Undefined: generated into the data folder. */
  readonly adminToken: string | undefined;
  /** Whose access tokens are good here besides the broker's own. */
  readonly oidc:
    | { readonly issuer: string; readonly audience: string; readonly handleClaim: string }
    | undefined;
  /** The mail server that codes go out by, and what they come from. */
  readonly smtp: { readonly url: string; readonly from: string } | undefined;
  /** Origins of pages that may open sockets and streams, besides the broker's own. */
  readonly origins: ReadonlySet<string>;
  readonly rateLimit: boolean;
  readonly webhookAllowPrivate: boolean;
  /** Folders and files of agents besides those that are shipped. */
  readonly agents: readonly string[];
  readonly peers: ReadonlyMap<string, string>;
  readonly logLevel: string;
}

interface Setting {
  readonly name: string;
  readonly fallback: string | undefined;
  readonly rule: string;
  readonly fits: (text: string) => boolean;
  /** Never shown, not even when it does not fit. */
  readonly isSecret?: true;
}

const settings: readonly Setting[] = [
  {
    name: "TIDINGS_HOST",
    fallback: "127.0.0.1",
    rule: "a host name or address",
    fits: (text) => /^[A-Za-z0-9.:_-]+$/.test(text),
  },
  {
    name: "TIDINGS_PORT",
    fallback: "4280",
    rule: "a port from 0 to 65535",
    fits: (text) => isWhole(text, 0, 65535),
  },
  { name: "TIDINGS_DOMAIN", fallback: "localhost", rule: "a domain in lower case", fits: isDomain },
  { name: "TIDINGS_DATA", fallback: "./data", rule: "a folder", fits: (text) => text !== "" },
  {
    name: "TIDINGS_NATS_URL",
    fallback: undefined,
    rule: "NATS servers separated by commas, such as nats://10.0.0.1:4222",
    fits: (text) => text.split(",").every(isServer),
  },
  {
    name: "TIDINGS_REPLICAS",
    fallback: "1",
    rule: "1, 3 or 5",
    fits: (text) => ["1", "3", "5"].includes(text),
  },
  {
    name: "TIDINGS_REGISTRATION",
    fallback: undefined,
    rule: "open, invite or closed",
    fits: (text) => ["open", "invite", "closed"].includes(text),
  },
  {
    name: "TIDINGS_OIDC_ISSUER",
    fallback: undefined,
    rule: "the https URL of an OIDC issuer, exactly as its tokens name it",
    fits: isIssuer,
  },
  {
    name: "TIDINGS_OIDC_AUDIENCE",
    fallback: undefined,
    rule: "what the issuer's tokens name as their audience",
    fits: (text) => /^[\x21-\x7e]{1,512}$/.test(text),
  },
  {
    name: "TIDINGS_OIDC_HANDLE_CLAIM",
    fallback: "preferred_username",
    rule: "the name of a claim",
    fits: (text) => /^[\x21-\x7e]{1,128}$/.test(text),
  },
  {
    name: "TIDINGS_ADMIN_TOKEN",
    fallback: undefined,
    rule: "at least 16 visible ASCII characters",
    fits: (text) => /^[\x21-\x7e]{16,512}$/.test(text),
    isSecret: true,
  },
  {
    name: "TIDINGS_SMTP_URL",
    fallback: undefined,
    rule: "a mail server such as smtps://user:password@mail.example.com or smtp://127.0.0.1:25",
    fits: (text) => URL.canParse(text) && /^smtps?:\/\/[^/]+$/.test(text) && new URL(text).hostname !== "",
    isSecret: true,
  },
  {
    name: "TIDINGS_SMTP_FROM",
    fallback: undefined,
    rule: "an e-mail address",
    fits: (text) => emailOf(text) !== undefined,
  },
  {
    name: "TIDINGS_ORIGINS",
    fallback: undefined,
    rule: "origins separated by commas, such as https://example.com",
    fits: (text) => text.split(",").every((one) => URL.canParse(one) && new URL(one).origin === one),
  },
  {
    name: "TIDINGS_RATE_LIMIT",
    fallback: "on",
    rule: "on or off",
    fits: (text) => ["on", "off"].includes(text),
  },
  {
    name: "TIDINGS_WEBHOOK_ALLOW_PRIVATE",
    fallback: "false",
    rule: "true or false",
    fits: (text) => ["true", "false"].includes(text),
  },
  {
    name: "TIDINGS_AGENTS",
    fallback: undefined,
    rule: "folders or files of agents, separated by commas",
    fits: (text) => text.split(",").every((path) => path.trim() !== ""),
  },
  {
    name: "TIDINGS_PEERS",
    fallback: undefined,
    rule: "domain=https://base pairs separated by commas",
    fits: (text) => text.split(",").every((pair) => /^[a-z0-9.-]+=https?:\/\/\S+$/.test(pair)),
  },
  {
    name: "TIDINGS_LOG_LEVEL",
    fallback: "info",
    rule: "trace, debug, info, warn, error, fatal or silent",
    fits: (text) => ["trace", "debug", "info", "warn", "error", "fatal", "silent"].includes(text),
  },
];

/** @throws StartError with one line that names the setting and what it takes */
export function readConfig(env: NodeJS.ProcessEnv, args: readonly string[]): Config {
  const flags = readFlags(args);
  const values = new Map<string, string | undefined>();
  for (const setting of settings) {
    const flag = flagOf(setting);
    const given = flags.get(flag);
    const text = given ?? (env[setting.name] || setting.fallback);
    if (text !== undefined && !setting.fits(text)) {
      const name = given === undefined ? setting.name : `--${flag}`;
      throw new StartError(`${name}${setting.isSecret ? "" : ` is "${text}", but`} must be ${setting.rule}.`);
    }
    values.set(setting.name, text);
  }
  const get = (name: string): string => values.get(`TIDINGS_${name}`) ?? "";
  const hasIssuer = get("OIDC_ISSUER") !== "";
  const config: Config = {
    host: get("HOST"),
    port: Number(get("PORT")),
    domain: get("DOMAIN"),
    dataDir: get("DATA"),
    natsServers: get("NATS_URL") === "" ? [] : get("NATS_URL").split(","),
    replicas: Number(get("REPLICAS")),
    // Where an issuer says who there is, nobody registers here unless that is asked for.
    registration: (get("REGISTRATION") || (hasIssuer ? "closed" : "open")) as Config["registration"],
    oidc: hasIssuer
      ? { issuer: get("OIDC_ISSUER"), audience: get("OIDC_AUDIENCE"), handleClaim: get("OIDC_HANDLE_CLAIM") }
      : undefined,
    adminToken: values.get("TIDINGS_ADMIN_TOKEN"),
    smtp: get("SMTP_URL") === "" ? undefined : { url: get("SMTP_URL"), from: get("SMTP_FROM") },
    origins: new Set(get("ORIGINS") === "" ? [] : get("ORIGINS").split(",")),
    rateLimit: get("RATE_LIMIT") === "on",
    webhookAllowPrivate: get("WEBHOOK_ALLOW_PRIVATE") === "true",
    agents: get("AGENTS") === "" ? [] : get("AGENTS").split(","),
    peers: new Map(get("PEERS") === "" ? [] : get("PEERS").split(",").map(splitPair)),
    logLevel: get("LOG_LEVEL"),
  };
  if (config.replicas > 1 && config.natsServers.length === 0) {
    throw new StartError("TIDINGS_REPLICAS above 1 needs a cluster: set TIDINGS_NATS_URL.");
  }
  if ((get("SMTP_URL") === "") !== (get("SMTP_FROM") === "")) {
    throw new StartError("TIDINGS_SMTP_URL and TIDINGS_SMTP_FROM go together: set both or neither.");
  }
  if (hasIssuer !== (get("OIDC_AUDIENCE") !== "")) {
    throw new StartError("TIDINGS_OIDC_ISSUER and TIDINGS_OIDC_AUDIENCE go together: set both or neither.");
  }
  return Object.freeze(config);
}

function readFlags(args: readonly string[]): Map<string, string> {
  const options = Object.fromEntries(
    settings.map((setting) => [flagOf(setting), { type: "string" as const }]),
  );
  try {
    const { values } = parseArgs({ args: [...args], options, strict: true, allowPositionals: false });
    return new Map(Object.entries(values).map(([flag, text]) => [flag, String(text)]));
  } catch (error) {
    const flags = settings.map((setting) => `--${flagOf(setting)}`).join(" ");
    throw new StartError(`${(error as Error).message.split("\n")[0]} Flags are ${flags}.`);
  }
}

/** TIDINGS_LOG_LEVEL is --log-level. */
function flagOf({ name }: Setting): string {
  return name.slice("TIDINGS_".length).toLowerCase().replaceAll("_", "-");
}

function isWhole(text: string, least: number, most: number): boolean {
  return /^\d{1,9}$/.test(text) && Number(text) >= least && Number(text) <= most;
}

function isServer(text: string): boolean {
  return URL.canParse(/^(nats|tls):\/\//.test(text) ? text : `nats://${text}`) && !/^wss?:/.test(text);
}

/** Keys come from there: over TLS, unless it is this machine. */
function isIssuer(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const { protocol, hostname, search, hash } = new URL(text);
  const isHere = ["localhost", "127.0.0.1", "[::1]"].includes(hostname);
  return (protocol === "https:" || (protocol === "http:" && isHere)) && search === "" && hash === "";
}

function splitPair(pair: string): [string, string] {
  const at = pair.indexOf("=");
  return [pair.slice(0, at), pair.slice(at + 1)];
}
