// Talking to the server: the key, and errors that the page can explain.

const KEY = 'nanochat.key';

export class ApiError extends Error {
  // kind: 'network', 'key', 'busy', 'context', 'request', 'server'; retryAfter in seconds, or null.
  constructor(kind, message, { status = 0, retryAfter = null } = {}) {
    super(message);
    Object.assign(this, { kind, status, retryAfter });
  }
}

let askForKey = async () => null;
let asking = null;

// Sets who is asked for a key: async (wasWrong) => the key, or false.
export function onKeyNeeded(ask) {
  askForKey = ask;
}

export function forgetKey() {
  sessionStorage.removeItem(KEY);
}

// One question for all requests that wait for a key.
async function newKey(wasWrong) {
  asking ??= askForKey(wasWrong).finally(() => { asking = null; });
  const key = await asking;
  if (key) sessionStorage.setItem(KEY, key);
  return key;
}

const kindOf = (status, code) => {
  if (status === 401 || status === 403) return 'key';
  if (status === 429 || status === 503) return 'busy';
  if (code === 'context_length_exceeded') return 'context';
  return status >= 500 ? 'server' : 'request';
};

async function errorOf(response) {
  const body = await response.json().catch(() => ({}));
  const error = body?.error ?? {};
  const seconds = Number(response.headers.get('Retry-After') ?? NaN);
  return new ApiError(kindOf(response.status, error.code), String(error.message ?? response.statusText), {
    status: response.status,
    retryAfter: Number.isFinite(seconds) ? Math.min(Math.max(seconds, 1), 600) : null,
  });
}

// What the server sent as {"error": ...} in the middle of a stream.
export function streamError(error) {
  return new ApiError(kindOf(500, error.code), String(error.message ?? error));
}

// A response with a good status; asks for a key when the server wants one. Throws ApiError, and
// AbortError when `signal` says so.
export async function request(path, { body, signal } = {}) {
  for (;;) {
    const key = sessionStorage.getItem(KEY);
    let response;
    try {
      response = await fetch(path, {
        method: body === undefined ? 'GET' : 'POST',
        headers: {
          ...(body === undefined ? {} : { 'Content-Type': 'application/json' }),
          ...(key ? { Authorization: `Bearer ${key}` } : {}),
        },
        body: body === undefined ? undefined : JSON.stringify(body),
        signal,
        credentials: 'omit',
      });
    } catch (error) {
      if (error.name === 'AbortError') throw error;
      throw new ApiError('network', error.message);
    }
    if (response.ok) return response;
    const error = await errorOf(response);
    if (error.kind !== 'key') throw error;
    if (sessionStorage.getItem(KEY) !== key) continue;  // another request has got one meanwhile
    if (!await newKey(key !== null)) throw error;
  }
}

export async function getJson(path, options) {
  const response = await request(path, options);
  try {
    return await response.json();
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    throw new ApiError('server', error.message, { status: response.status });
  }
}
