// Requests to the daemon that gave this page. What it refuses is told apart from its not being there.

const PATIENCE = 10_000;

/** The daemon has answered that it cannot: `message` is its sentence. */
export class Refused extends Error {
  constructor(status, sentence) {
    super(sentence);
    this.status = status;
  }
}

/** Nobody has answered. */
export class Gone extends Error {}

async function answered(path, accept, signal) {
  const signals = [AbortSignal.timeout(PATIENCE)];
  if (signal) signals.push(signal);
  try {
    const headers = { accept };
    const answer = await fetch(path, { headers, signal: AbortSignal.any(signals), redirect: "error" });
    return [answer, await answer.text()];
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Gone(error.name === "TimeoutError" ? "it has not answered in time" : "it does not answer");
  }
}

/** The JSON of `/inspector/api/<what>`. */
export async function ask(what, fields, signal) {
  const query = new URLSearchParams(fields ?? {}).toString();
  const path = `api/${what}${query ? `?${query}` : ""}`;
  const [answer, body] = await answered(path, "application/json", signal);
  let found;
  try {
    found = JSON.parse(body);
  } catch {
    throw new Refused(answer.status, `the answer is no JSON: ${body.slice(0, 200)}`);
  }
  if (!answer.ok) throw new Refused(answer.status, found.error ?? `status ${answer.status}`);
  return found;
}

/** How well the daemon is; that it is not well is an answer too. */
export async function health(signal) {
  const [, body] = await answered("../healthz", "application/json", signal);
  return JSON.parse(body);
}

/** The text of `/metrics`; null where there are none. */
export async function metrics(signal) {
  const [answer, body] = await answered("../metrics", "text/plain", signal);
  if (answer.status === 404) return null;
  if (!answer.ok) throw new Refused(answer.status, body.trim());
  return body;
}
