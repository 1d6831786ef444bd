// Media types: what a message says that it is (RFC 9110 §8.3.1). The grammar alone: a type that lies is carried as it is.
// In: text. Out: whether it is a media type. Never: a look at the content, or a list of types that are known.

/** RFC 9110 §5.6.2. */
const token = /[!#$%&'*+\-.^_`|~0-9A-Za-z]+/y;
/** RFC 9110 §5.6.4: qdtext and quoted-pair, obs-text among them. */
const quoted = /"(?:[\t !#-[\]-~\x80-\xff]|\\[\t -~\x80-\xff])*"/y;
/** RFC 9110 §5.6.3. */
const space = /[ \t]*/y;

const lengthMax = 255;

/** `type/subtype`, with parameters. */
export function isMediaType(text: string): boolean {
  if (text.length > lengthMax) return false;
  let at = 0;
  const takes = (part: RegExp): boolean => {
    part.lastIndex = at;
    if (!part.test(text)) return false;
    at = part.lastIndex;
    return true;
  };
  const takesSign = (sign: string): boolean => {
    if (text[at] !== sign) return false;
    at++;
    return true;
  };
  if (!takes(token) || !takesSign("/") || !takes(token)) return false;
  while (at < text.length) {
    takes(space);
    if (!takesSign(";")) return false;
    takes(space);
    // An empty parameter is allowed: `text/plain;` (RFC 9110 §5.6.6).
    if (!takes(token)) continue;
    if (!takesSign("=") || !(takes(token) || takes(quoted))) return false;
  }
  return true;
}
