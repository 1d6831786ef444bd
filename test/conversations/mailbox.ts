// A mailbox for every address: a real SMTP server that keeps what it is given, or refuses it.
// In: letters over SMTP. Out: the codes in them. Never: a letter that leaves this machine.
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { SMTPServer } from "smtp-server";
import { until } from "../store/embedded.ts";

export interface Mailbox extends AsyncDisposable {
  readonly settings: { readonly url: string; readonly from: string };
  /** Everything that came to this address, oldest first. */
  letters(to: string): readonly string[];
  /** The code in the letter of this number, once it has come. */
  code(to: string, number?: number): Promise<string>;
  /** Answers the next letters with this status. */
  refuses(times: number, status: number): void;
  /** How many it has refused. */
  readonly refused: number;
}

const user = "tidings";
const password = "p@ss word";

export async function openMailbox(): Promise<Mailbox> {
  const letters = new Map<string, string[]>();
  let toRefuse = 0;
  let refusal = 0;
  let refused = 0;
  const server = new SMTPServer({
    disabledCommands: ["STARTTLS"],
    allowInsecureAuth: true,
    onAuth({ username, password: given }, _, done) {
      if (username === user && given === password) done(null, { user });
      else done(new Error("who are you?"));
    },
    onData(stream, { envelope }, done) {
      let text = "";
      stream.on("data", (bytes) => (text += bytes));
      stream.on("end", () => {
        if (toRefuse > 0) {
          toRefuse--;
          refused++;
          return done(Object.assign(new Error("not now"), { responseCode: refusal }));
        }
        for (const { address } of envelope.rcptTo)
          letters.set(address, [...(letters.get(address) ?? []), text]);
        done();
      });
    },
  });
  server.on("error", () => undefined);
  await once(server.listen(0, "127.0.0.1"), "listening");
  const { port } = server.server.address() as AddressInfo;
  const of = (to: string): readonly string[] => letters.get(to) ?? [];
  return {
    settings: {
      url: `smtp://${user}:${encodeURIComponent(password)}@127.0.0.1:${port}`,
      from: "broker@example.com",
    },
    letters: of,
    async code(to, number = 1) {
      const letter = await until(`letter ${number} to ${to}`, () => of(to)[number - 1]);
      // Its head has a Message-ID, which may look like one.
      return /^ +([A-Z2-9]{4}-[A-Z2-9]{4})\r?$/m.exec(letter)?.[1] as string;
    },
    refuses(times, status) {
      toRefuse = times;
      refusal = status;
    },
    get refused() {
      return refused;
    },
    async [Symbol.asyncDispose]() {
      await new Promise<void>((resolve) => server.close(resolve));
    },
  };
}
