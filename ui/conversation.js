// A conversation: a tree of messages, of which one path is shown. Editing a message or answering again
// adds a branch, so nothing that was said is lost.
//
//   {id, title, created, updated, system, head, nodes: [{role, parent, parts, at, ...}]}
//   nodes   in the order they came; parent is the place of an earlier node, or -1. So there are no cycles.
//   head    the place of the last message shown, or -1
//   parts   [{type, text}]: 'text', and in answers 'python' and 'python_output'
//   at      when, in ms since 1970; answers also have finish ('stop', 'length', 'stopped', 'lost',
//           'error') and stats {tokens, speed, first}

import { append } from './stream.js';

const MAX_NODES = 10000;
const MAX_TEXT = 1 << 20;
const PART_TYPES = ['text', 'python', 'python_output'];
const FINISHES = ['stop', 'length', 'stopped', 'lost', 'error'];

const isObject = (x) => typeof x === 'object' && x !== null;
const timeFrom = (x) => (Number.isFinite(x) && x >= 0 && x < 8.64e15 ? x : Date.now());
const isText = (x) => typeof x === 'string' && x.length <= MAX_TEXT;

export function newId() {
  const bytes = crypto.getRandomValues(new Uint8Array(9));
  return Array.from(bytes, (byte) => byte.toString(36).padStart(2, '0')).join('');
}

export function newConversation(system = '') {
  const now = Date.now();
  return { id: newId(), title: '', created: now, updated: now, system, head: -1, nodes: [] };
}

export const textOf = (parts) => parts.filter((p) => p.type === 'text').map((p) => p.text).join('');

export function addNode(conversation, role, parent, parts) {
  conversation.nodes.push({ role, parent, parts, at: Date.now() });
  conversation.head = conversation.nodes.length - 1;
  conversation.updated = Date.now();
  if (!conversation.title && role === 'user') conversation.title = titleFrom(textOf(parts));
  return conversation.head;
}

function titleFrom(text) {
  const line = text.trim().split('\n')[0].replace(/\s+/g, ' ');
  const letters = [...line];  // by code points: never half a character
  return letters.length > 60 ? `${letters.slice(0, 59).join('')}…` : line;
}

// The places of the messages shown, first to last.
export function path({ nodes, head }) {
  const places = [];
  for (let i = head; i >= 0; i = nodes[i].parent) places.push(i);
  return places.reverse();
}

// Places of all versions of the message at `place`.
export function versions({ nodes }, place) {
  return [...nodes.keys()].filter((i) => nodes[i].parent === nodes[place].parent && nodes[i].role === nodes[place].role);
}

// Shows the version at `place`, with what last followed it.
export function show(conversation, place) {
  let head = place;
  for (let i = place + 1; i < conversation.nodes.length; ++i) {
    if (conversation.nodes[i].parent === head) head = i;
  }
  conversation.head = head;
}

// The messages before and with the one at `place`, as the API wants them.
export function toMessages(conversation, place) {
  const messages = path({ nodes: conversation.nodes, head: place }).map((i) => {
    const { role, parts } = conversation.nodes[i];
    const plain = parts.every((part) => part.type === 'text');
    return { role, content: plain ? textOf(parts) : parts.map(({ type, text }) => ({ type, text })) };
  });
  // An answer that came to nothing is not sent, nor is the question that it left open.
  const kept = messages.filter(({ content }, i) => content.length > 0 && messages[i + 1]?.content.length !== 0);
  return conversation.system ? [{ role: 'system', content: conversation.system }, ...kept] : kept;
}

function partsFrom(content) {
  if (isText(content)) return content === '' ? [] : [{ type: 'text', text: content }];
  if (!Array.isArray(content)) return null;
  const parts = [];
  for (const part of content) {
    if (!isObject(part) || !PART_TYPES.includes(part.type) || !isText(part.text)) return null;
    append(parts, part.type, part.text);
  }
  return parts;
}

function statsFrom(stats) {
  const numbers = ['tokens', 'speed', 'first'].filter((key) => Number.isFinite(stats?.[key]));
  return numbers.length ? Object.fromEntries(numbers.map((key) => [key, stats[key]])) : undefined;
}

// A stored or imported conversation, or null where it is none. Only known fields with values of the
// right kind pass: whoever wrote it, drawing it is safe.
export function conversationFrom(stored) {
  if (!isObject(stored) || !Array.isArray(stored.nodes) || stored.nodes.length > MAX_NODES) return null;
  const nodes = [];
  for (const node of stored.nodes) {
    const parts = isObject(node) && ['user', 'assistant'].includes(node.role) ? partsFrom(node.parts) : null;
    if (!parts || !Number.isInteger(node.parent) || node.parent < -1 || node.parent >= nodes.length) return null;
    const clean = { role: node.role, parent: node.parent, parts, at: timeFrom(node.at) };
    if (FINISHES.includes(node.finish)) clean.finish = node.finish;
    const stats = statsFrom(node.stats);
    if (stats) clean.stats = stats;
    nodes.push(clean);
  }
  const last = nodes.length - 1;
  const head = Number.isInteger(stored.head) && stored.head >= -1 && stored.head <= last ? stored.head : last;
  return {
    id: typeof stored.id === 'string' && /^[0-9a-z]{6,40}$/.test(stored.id) ? stored.id : newId(),
    title: isText(stored.title) ? titleFrom(stored.title) : '',
    created: timeFrom(stored.created),
    updated: timeFrom(stored.updated),
    system: isText(stored.system) ? stored.system : '',
    head,
    nodes,
  };
}

// Messages as fine-tuning reads them and `nanochat chat` saves them: [{role, content}].
function fromMessages(messages) {
  const conversation = newConversation();
  for (const message of messages) {
    const parts = isObject(message) ? partsFrom(message.content) : null;
    if (!parts) return null;
    const { role } = message;
    if (role === 'system') conversation.system += textOf(parts);
    else if (role === 'user' || role === 'assistant') addNode(conversation, role, conversation.head, parts);
    else return null;
    if (role === 'assistant') conversation.nodes.at(-1).finish = 'stop';
  }
  return conversation.nodes.length ? conversation : null;
}

export const exportText = (conversations) =>
  `${JSON.stringify({ format: 'nanochat-conversations', version: 1, conversations }, null, 1)}\n`;

// Reads our exports; {"messages": [...]} or [{role, content}, ...]; and lines of the latter two.
// Returns {conversations, bad}: bad counts what was no conversation. Every id is new.
export function importText(text) {
  const values = parse(text);
  const conversations = [];
  for (const value of values) {
    const messages = Array.isArray(value) ? value : value?.messages;
    const conversation = Array.isArray(messages) ? fromMessages(messages) : conversationFrom(value);
    if (conversation?.nodes.length) conversations.push({ ...conversation, id: newId() });
  }
  return { conversations, bad: values.length - conversations.length };
}

function parse(text) {
  try {
    const value = JSON.parse(text);
    return Array.isArray(value?.conversations) ? value.conversations : [value];
  } catch {
    return text.split('\n').filter((line) => line.trim()).map((line) => {
      try {
        return JSON.parse(line);
      } catch {
        return null;
      }
    });
  }
}
