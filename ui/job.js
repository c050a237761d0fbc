// One answer being written: request, stream, and what is said of it to screen readers.

import { ApiError, request, streamError } from './api.js';
import { announce } from './dom.js';
import { t } from './i18n.js';
import { sampling } from './settings.js';
import { textOf, toMessages } from './conversation.js';
import { readAnswer } from './stream.js';

export function explain(error, seconds = error.retryAfter) {
  if (!(error instanceof ApiError)) return t('e_server', { why: error.message ?? String(error) });
  if (error.kind === 'busy' && seconds > 0) return t('e_busy_wait', { n: seconds });
  return t(`e_${error.kind}`, { why: error.message });
}

// Tells whole sentences as they come, without Markdown's signs.
class Speaker {
  #said = 0;

  tell(text, all) {
    const end = all ? text.length : text.search(/[.!?。！？\n][^.!?。！？\n]*$/) + 1;
    if (end <= this.#said) return;
    const piece = text.slice(this.#said, end).replace(/[*_#`|$]+/g, ' ').trim();
    this.#said = end;
    if (piece) announce(piece);
  }
}

export class Job {
  #abort = new AbortController();
  error = null;

  // Fills in the empty message at `place`.
  constructor(conversation, place, model) {
    Object.assign(this, { conversation, place, model });
  }

  get message() {
    return this.conversation.nodes[this.place];
  }

  stop() {
    this.#abort.abort();
  }

  // Never throws: what went wrong is in `error` and the message's `finish`.
  async run(changed) {
    const { message } = this;
    const speaker = new Speaker();
    const begun = performance.now();
    let first = null;
    try {
      const response = await request('v1/chat/completions', {
        signal: this.#abort.signal,
        body: {
          model: this.model,
          messages: toMessages(this.conversation, message.parent),
          stream: true,
          stream_options: { include_usage: true },
          ...sampling(),
        },
      });
      const result = await readAnswer(response.body, message.parts, () => {
        first ??= (performance.now() - begun) / 1000;
        speaker.tell(textOf(message.parts), false);
        changed();
      });
      this.#settle(result, first, (performance.now() - begun) / 1000);
    } catch (error) {
      this.#fail(error);
    }
    speaker.tell(textOf(message.parts), true);
    if (!this.error) announce(t('answer_done'));  // an error is announced where it is shown
  }

  #settle({ finish, usage, timings }, first, seconds) {
    this.message.finish = finish === 'length' ? 'length' : finish ? 'stop' : 'lost';
    const tokens = usage?.completion_tokens;
    const speed = timings?.tokens_per_second ?? (tokens > 1 ? (tokens - 1) / (seconds - first) : undefined);
    this.message.stats = { tokens, speed, first: timings?.time_to_first_token ?? first ?? undefined };
  }

  #fail(error) {
    if (error.name === 'AbortError') {
      this.message.finish = 'stopped';
      return;
    }
    const lost = error instanceof TypeError;  // how fetch tells that the stream broke off
    this.message.finish = lost && this.message.parts.length ? 'lost' : 'error';
    if (this.message.finish === 'lost') return;
    const known = error instanceof ApiError || error instanceof Error;
    this.error = lost ? new ApiError('network', error.message) : known ? error : streamError(error);
  }
}
