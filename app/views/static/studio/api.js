// The one way to the server: its public API, on this host, with the caller's key if any.

const KEY = "mimeo.key";
const listeners = new Set();

export class Refused extends Error {
  constructor(status, problem, retryAfter = 0) {
    super(problem.detail || problem.title || `The server answered ${status}.`);
    this.status = status;
    this.problem = problem;
    this.retryAfter = retryAfter;
  }

  // What is wrong with each field, in the server's words.
  get fields() {
    const errors = this.problem.errors || [];
    return Object.fromEntries(errors.map(({ field, reason }) => [field, reason]));
  }
}

export function keptKey() {
  return sessionStorage.getItem(KEY) || "";
}

export function keepKey(key) {
  if (key) sessionStorage.setItem(KEY, key);
  else sessionStorage.removeItem(KEY);
}

// Calls back with the problem whenever the server asks for a key, or for another one.
export function onKeyWanted(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

// Returns the Response; throws Refused with the server's problem, or AbortError.
// A `quiet` question asks nobody for a key.
export async function ask(path, { headers, quiet, ...options } = {}) {
  const key = keptKey();
  const sent = { ...headers, ...(key && { "X-API-Key": key }) };
  let answer;
  try {
    answer = await fetch(path, { ...options, headers: sent, credentials: "omit" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused(0, { title: "The server cannot be reached." });
  }
  if (answer.ok || answer.status === 304) return answer;
  const problem = await problemOf(answer);
  if (!quiet && (answer.status === 401 || answer.status === 403)) {
    listeners.forEach((listener) => listener(problem));
  }
  throw new Refused(answer.status, problem, Number(answer.headers.get("Retry-After")) || 0);
}

export async function askJson(path, options) {
  return (await ask(path, options)).json();
}

async function problemOf(answer) {
  const text = await answer.text();
  try {
    return JSON.parse(text);
  } catch {
    return { title: `The server answered ${answer.status} ${answer.statusText}.` };
  }
}
