// Mail: letters on their way to an SMTP server (RFC 5321), tried again a few times.
// In: letters. Out: the same, to a mail server. Never: a caller kept waiting, or a word of a letter in a log.
import { createTransport } from "nodemailer";

export interface Letter {
  readonly to: string;
  readonly subject: string;
  readonly text: string;
}

export interface Mail extends Disposable {
  /** Goes out by and by. It may be lost: with the process, or when the server keeps refusing it. */
  send(letter: Letter): void;
}

export interface MailSettings {
  /** smtp://user:password@host:port, or smtps:// */
  readonly url: string;
  readonly from: string;
}

/** Letters that wait, also for another try. */
const waitingMax = 1_000;
const atOnce = 4;
/** Letters to one address within a day, whichever accounts name it: nobody's mailbox is flooded from here. */
const toOneMax = 20;
const dayMs = 24 * 3600 * 1000;
/** Addresses that letters are counted of; past this the oldest count is forgotten. */
const countedMax = 10_000;
const retryDelaysMs = [1_000, 5_000, 30_000];
const timeouts = {
  connectionTimeout: 10_000,
  greetingTimeout: 10_000,
  socketTimeout: 20_000,
  dnsTimeout: 10_000,
};

export interface MailDeps {
  readonly now: () => number;
  readonly onTrouble: (message: string) => void;
}

interface Waiting {
  readonly letter: Letter;
  readonly tries: number;
}

export function openMail({ url, from }: MailSettings, { now, onTrouble }: MailDeps): Mail {
  const transport = createTransport(serverOf(url), { from });
  const timers = new Set<NodeJS.Timeout>();
  const ready: Waiting[] = [];
  const counts = new Map<string, { readonly sinceMs: number; sent: number }>();
  let sending = 0;
  let isOpen = true;

  function pump(): void {
    while (isOpen && sending < atOnce) {
      const next = ready.shift();
      if (next === undefined) return;
      sending++;
      void deliver(next).finally(() => {
        sending--;
        pump();
      });
    }
  }

  async function deliver({ letter, tries }: Waiting): Promise<void> {
    try {
      await transport.sendMail({ ...letter, disableFileAccess: true, disableUrlAccess: true });
    } catch (error) {
      const { code = "", responseCode = 0 } = error as { code?: string; responseCode?: number };
      const delayMs = retryDelaysMs[tries];
      // RFC 5321 §4.2.1: the same letter would be refused again.
      const isFinal = responseCode >= 500 || delayMs === undefined;
      if (isFinal && isOpen) onTrouble(`a letter could not be sent: ${code} ${responseCode || ""}`.trim());
      if (!isFinal) later({ letter, tries: tries + 1 }, delayMs);
    }
  }

  function later(waiting: Waiting, delayMs: number): void {
    const timer = setTimeout(() => {
      timers.delete(timer);
      ready.push(waiting);
      pump();
    }, delayMs);
    timers.add(timer.unref());
  }

  /** @returns whether one more may go there today */
  function countTo(to: string): boolean {
    const counted = counts.get(to);
    if (counted && counted.sinceMs > now() - dayMs) return ++counted.sent <= toOneMax;
    counts.delete(to);
    counts.set(to, { sinceMs: now(), sent: 1 });
    for (const oldest of counts.keys()) {
      if (counts.size <= countedMax) break;
      counts.delete(oldest);
    }
    return true;
  }

  return {
    send(letter) {
      if (!countTo(letter.to)) return onTrouble("too many letters to one address: one was dropped");
      if (ready.length + timers.size >= waitingMax)
        return onTrouble("too many letters wait: one was dropped");
      ready.push({ letter, tries: 0 });
      pump();
    },
    [Symbol.dispose]() {
      isOpen = false;
      for (const timer of timers) clearTimeout(timer);
      transport.close();
    },
  };
}

/** Without TLS a password goes to this machine at most. */
function serverOf(url: string) {
  const { protocol, hostname, port, username, password } = new URL(url);
  const secure = protocol === "smtps:";
  const isHere = ["localhost", "127.0.0.1", "[::1]"].includes(hostname);
  const auth = { user: decodeURIComponent(username), pass: decodeURIComponent(password) };
  return {
    host: hostname.replace(/^\[|\]$/g, ""),
    port: port === "" ? (secure ? 465 : 587) : Number(port),
    secure,
    ...(username !== "" && { auth, requireTLS: !secure && !isHere }),
    ...timeouts,
  };
}
