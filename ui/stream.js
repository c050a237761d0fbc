// Server-sent events out of a response body, and the answer out of the events.

// Yields the data of each event. The stream may be cut anywhere, in a character, in a line end.
export async function* events(body) {
  const decoder = new TextDecoder();
  const reader = body.getReader();
  let text = '';
  let data = [];
  try {
    for (;;) {
      const { value, done } = await reader.read();
      text += done ? decoder.decode() : decoder.decode(value, { stream: true });
      for (;;) {
        const end = text.search(/\r\n|\n|\r(?!$)/);  // a CR at the end may be half of a CRLF
        if (end < 0) break;
        const line = text.slice(0, end);
        text = text.slice(end + (text.startsWith('\r\n', end) ? 2 : 1));
        if (line === '') {
          if (data.length) yield data.join('\n');
          data = [];
        } else if (line.startsWith('data:')) {
          data.push(line.slice(line[5] === ' ' ? 6 : 5));
        }
      }
      if (done) return;  // an event without its blank line is torn: dropped, as the standard says
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

// Adds text to parts [{type, text}]: a piece of the same type goes on with the last part.
export function append(parts, type, text) {
  const last = parts.at(-1);
  if (last?.type === type) last.text += text;
  else parts.push({ type, text });
}

const isText = (x) => typeof x === 'string' && x !== '';

// Reads a chat completion into `parts`, calling `changed` after every event that added something.
// Returns {finish, usage, timings, model}; finish is null where the stream ended too early.
// Throws the error object that the server sent in the stream.
export async function readAnswer(body, parts, changed) {
  const result = { finish: null, usage: null, timings: null, model: null };
  for await (const data of events(body)) {
    if (data === '[DONE]') return result;
    const chunk = JSON.parse(data);
    if (chunk.error) throw chunk.error;
    if (isText(chunk.model)) result.model = chunk.model;
    result.usage = chunk.usage ?? result.usage;
    result.timings = chunk.timings ?? result.timings;
    const choice = chunk.choices?.[0];
    if (!choice) continue;
    const { content, tool } = choice.delta ?? {};
    if (isText(content)) append(parts, 'text', content);
    if (isText(tool?.text)) append(parts, tool.type === 'python' ? 'python' : 'python_output', tool.text);
    result.finish = choice.finish_reason ?? result.finish;
    if (isText(content) || isText(tool?.text)) changed();
  }
  return result;
}
