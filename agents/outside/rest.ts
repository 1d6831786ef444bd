// Rest: a broker as a program elsewhere asks it, over fetch.
// In: where it is, and a token. Out: JSON answers, or an error that says what was refused. Never: the token in an error.

export interface RestOptions {
  /** Where the broker is; a path behind the host is kept. */
  readonly url: string;
  /** Undefined: nobody in particular. */
  readonly token: string | undefined;
}

export interface RestWish {
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal | undefined;
}

export interface Rest extends RestOptions {
  /** The answer's JSON; undefined where it has no body. @throws RestError */
  ask(method: string, path: string, wish?: RestWish): Promise<unknown>;
  /** The answer as it comes, with a status below 300. @throws RestError */
  open(path: string, wish?: RestWish): Promise<Response>;
}

/** What a refusal or a broken connection leaves: the code of the problem, or `unreachable`. */
export class RestError extends Error {
  override readonly name = "RestError";
  readonly code: string;
  /** 0: nobody answered. */
  readonly status: number;
  readonly title: string;
  /** What the refusal says of each field that does not fit. */
  readonly fields: readonly { readonly pointer: string; readonly detail: string }[];
  /** When asking again may help; undefined where the answer did not say. */
  readonly retryAfterMs: number | undefined;
  constructor(problem: Problem, status: number, retryAfterMs?: number) {
    super(problem.detail ?? problem.title ?? `The answer was ${status}.`);
    this.code = problem.code ?? "unknown";
    this.title = problem.title ?? "";
    this.fields = problem.errors ?? [];
    this.status = status;
    this.retryAfterMs = retryAfterMs;
  }
  /** Nobody answered, or whoever did cannot serve now. */
  get isPassing(): boolean {
    return this.status === 0 || this.status === 429 || (this.status >= 500 && this.status !== 507);
  }
}

interface Problem {
  readonly code?: string;
  readonly title?: string;
  readonly detail?: string;
  readonly errors?: readonly { readonly pointer: string; readonly detail: string }[];
}

export function openRest({ url, token }: RestOptions): Rest {
  const base = url.replace(/\/+$/, "");

  async function send(method: string, path: string, wish: RestWish): Promise<Response> {
    const { body, signal } = wish;
    const headers: Record<string, string> = { accept: "application/json", ...wish.headers };
    if (token !== undefined) headers.authorization = `Bearer ${token}`;
    if (body !== undefined) headers["content-type"] ??= "application/json";
    let response: Response;
    try {
      response = await fetch(`${base}${path}`, {
        method,
        headers,
        ...(body !== undefined && { body: JSON.stringify(body) }),
        ...(signal !== undefined && { signal }),
      });
    } catch (error) {
      throw unreachable(error, signal);
    }
    if (response.status < 300) return response;
    throw await refusalOf(response);
  }

  function unreachable(error: unknown, signal: AbortSignal | undefined): unknown {
    if (signal?.aborted) return signal.reason;
    const { cause } = error as { cause?: { code?: string; message?: string } };
    const said = cause?.code ?? cause?.message;
    const why = said === undefined ? "" : ` (${said})`;
    return new RestError({ code: "unreachable", detail: `No broker answers at ${base}${why}.` }, 0);
  }

  return {
    url: base,
    token,
    open: async (path, wish = {}) => await send("GET", path, wish),
    async ask(method, path, wish = {}) {
      const response = await send(method, path, wish);
      try {
        const text = await response.text();
        return text === "" ? undefined : JSON.parse(text);
      } catch (error) {
        if (error instanceof SyntaxError) {
          throw new RestError({ code: "unreachable", detail: `What answers at ${base} is no broker.` }, 0);
        }
        throw unreachable(error, wish.signal);
      }
    },
  };
}

async function refusalOf(response: Response): Promise<RestError> {
  const { status, headers } = response;
  const seconds = Number(headers.get("retry-after") ?? Number.NaN);
  const retryAfterMs = Number.isFinite(seconds) ? seconds * 1000 : undefined;
  const text = await response.text().catch(() => "");
  try {
    return new RestError(JSON.parse(text) as Problem, status, retryAfterMs);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    return new RestError({}, status, retryAfterMs);
  }
}

/** The path of a node: its address is one segment. */
export function nodePath(address: string): string {
  return `/v1/nodes/${encodeURIComponent(address)}`;
}

export function propertyPath(address: string, name: string): string {
  return `${nodePath(address)}/properties/${encodeURIComponent(name)}`;
}
