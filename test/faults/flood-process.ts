// A flood in a process of its own: one account that pipelines writes on many connections, as fast as they are answered.
// In: where, whose, how many connections, how many unanswered writes on each. Out: how many were answered, by status, once a second. Never: an end by itself.
import { connect } from "node:net";
import { requestBytes } from "../../bench/lean-http.ts";
import { propertyPath } from "../conversations/person.ts";

const [port, token = "", address = "", connections, depth, names] = process.argv.slice(2);
const answered: Record<string, number> = {};
let made = 0;

function next(): Buffer {
  const path = propertyPath(address, `flood${made++ % Number(names)}`);
  return requestBytes({ method: "PUT", path, token, body: { value: made } });
}

for (let index = 0; index < Number(connections); index++) {
  const socket = connect(Number(port), "127.0.0.1");
  let rest = "";
  socket.setEncoding("latin1").on("data", (text: string) => {
    const answers = [...(rest + text).matchAll(/HTTP\/1\.1 (\d{3}) /g)];
    for (const [, status = ""] of answers) answered[status] = (answered[status] ?? 0) + 1;
    // A status line that is cut in two is shorter than this.
    rest = (rest + text).slice(-13).replace(/HTTP\/1\.1 \d{3} /g, "");
    if (answers.length > 0) socket.write(Buffer.concat(answers.map(next)));
  });
  socket.on("error", () => socket.destroy());
  socket.write(Buffer.concat(Array.from({ length: Number(depth) }, next)));
}
setInterval(() => console.log(JSON.stringify(answered)), 200);
