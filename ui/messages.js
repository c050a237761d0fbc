// Messages as elements. A view is kept while its conversation is open and brought up to date.

import { copyText, el, icon, iconButton } from './dom.js';
import { formatNumber, t } from './i18n.js';
import { textOf, versions } from './conversation.js';
import { MarkdownView, languageOf } from './render.js';

function versionSwitch(conversation, place, actions) {
  const places = versions(conversation, place);
  if (places.length < 2) return null;
  const at = places.indexOf(place);
  const step = (name, label, to) => iconButton(name, t(label), () => actions.showVersion(places[to]), {
    disabled: to < 0 || to >= places.length,
  });
  const label = t('version', { i: at + 1, n: places.length });
  return el('span.versions', { role: 'group', 'aria-label': label },
    step('left', 'previous', at - 1),
    el('span', { title: label }, `${at + 1}/${places.length}`),
    step('right', 'next', at + 1));
}

function copyButton(text) {
  const button = iconButton('copy', t('copy'), async () => {
    await copyText(text());
    button.replaceChildren(icon('check'));
    setTimeout(() => button.replaceChildren(icon('copy')), 1500);
  });
  return button;
}

export class UserView {
  // actions: showVersion(place), edit(place, text)
  constructor(conversation, place, actions) {
    Object.assign(this, { conversation, place, actions });
    this.node = el('article.message.user', { data: { place } });
    this.update();
  }

  get text() {
    return textOf(this.conversation.nodes[this.place].parts);
  }

  update() {
    this.node.replaceChildren(
      el('h2.offscreen', {}, t('you')),
      el('div.bubble', { lang: languageOf(this.text), dir: 'auto' }, this.text),
      el('div.tools', {},
        versionSwitch(this.conversation, this.place, this.actions),
        copyButton(() => this.text),
        iconButton('edit', t('edit'), () => this.edit())));
  }

  edit() {
    const input = el('textarea', { value: this.text, rows: 1, 'aria-label': t('edit_label'), dir: 'auto' });
    const cancel = () => {
      this.update();
      this.node.querySelector('.icon-edit').parentNode.focus();
    };
    const send = () => {
      const text = input.value.trim();
      if (text) this.actions.edit(this.place, text);
      else cancel();
    };
    input.addEventListener('keydown', (event) => {
      if (event.isComposing) return;
      if (event.key === 'Escape') cancel();
      else if (event.key === 'Enter' && !event.shiftKey) send();
      else return;
      event.preventDefault();
      event.stopPropagation();
    });
    this.node.replaceChildren(el('form.edit', { onsubmit: (event) => { event.preventDefault(); send(); } }, input,
      el('div.row', {},
        el('button.button', { type: 'button', onclick: cancel }, t('cancel')),
        el('button.button.primary', {}, t('send_edit')))));
    input.focus();
    input.setSelectionRange(input.value.length, input.value.length);
  }
}

// A call of a tool with what came back: an expression in one line as a sum is written, a program
// with its output under it.
class CallView {
  constructor(code) {
    this.node = el('div.call');
    this.code = code;
    this.result = null;
  }

  update() {
    const code = this.code.text.trim();
    const result = this.result?.text.trim();
    const drawn = `${code}\0${result}`;
    if (this.drawn === drawn) return;
    this.drawn = drawn;
    const sum = !code.includes('\n') && !result?.includes('\n') && code.length + (result?.length ?? 0) < 120;
    const label = t(sum ? 'calculation' : 'program');
    this.node.className = sum ? 'call sum' : 'call program';
    this.node.setAttribute('role', 'group');
    this.node.setAttribute('aria-label', label);
    const output = result === undefined ? el('span.dots', {}, '…') : el('output', {}, result);
    this.node.replaceChildren(el('div.call-head', { title: label }, icon('tool'), !sum && label),
      el('code', {}, code), el('span.equals', { title: t('result') }, sum ? '=' : t('result')), output);
  }
}

export class AnswerView {
  #parts = [];  // a view for each part, {node}; results of calls have none of their own

  // actions: showVersion(place), again(place)
  // state(): {live, error}: whether it is being written, and what ended it: {text, wait: not to be tried
  //          again yet, counting: it was told before, only the seconds differ}
  constructor(conversation, place, actions, state) {
    Object.assign(this, { conversation, place, actions, state });
    this.body = el('div.answer', { dir: 'auto' });
    this.foot = el('div.foot');
    this.node = el('article.message.assistant', { data: { place } },
      el('h2.offscreen', {}, 'nanochat'), this.body, this.foot);
    this.update();
  }

  get message() {
    return this.conversation.nodes[this.place];
  }

  // After more text has come.
  grow() {
    const { parts } = this.message;
    const { live } = this.state();
    if (this.#parts.length > parts.length) this.#clear();
    parts.forEach((part, i) => {
      this.#parts[i] ??= this.#viewOf(part, i);
      if (part.type === 'text') this.#parts[i].draw(part.text, !live || i + 1 < parts.length);
      else this.#parts[i].update();
    });
    this.body.lang = languageOf(textOf(parts));
    this.body.classList.toggle('live', live);
    this.body.classList.toggle('waiting', live && parts.length === 0);
  }

  #clear() {
    this.body.replaceChildren();
    this.#parts = [];
  }

  #viewOf(part, i) {
    const before = this.#parts[i - 1];
    if (part.type === 'python_output' && before instanceof CallView && !before.result) {
      before.result = part;
      return before;
    }
    const code = part.type === 'python' ? part : { text: '' };  // a result without a call shows, too
    const view = part.type === 'text' ? new MarkdownView(el('div.markdown'), i > 0) : new CallView(code);
    if (part.type === 'python_output') view.result = part;
    this.body.append(view.node);
    return view;
  }

  // After it has begun or ended, too.
  update() {
    this.grow();
    const { live, error } = this.state();
    this.body.setAttribute('aria-busy', String(live));
    const { finish, stats, parts } = this.message;
    const empty = textOf(parts) === '' && parts.length === 0;
    const notes = { length: 'cut_length', stopped: 'cut_stopped', lost: empty ? 'no_answer' : 'cut_lost', error: 'no_answer',
      stop: empty ? 'empty_answer' : null };
    const note = live || error ? null : notes[finish ?? 'lost'];
    const retry = () => el('button.button', {
      type: 'button', disabled: error.wait, onclick: () => this.actions.again(this.place),
    }, t('try_again'));
    this.foot.replaceChildren(...[
      note && el('p.note', {}, t(note)),
      error && el('div.error', { role: error.counting ? null : 'alert' }, el('span', {}, error.text), retry()),
      !live && el('div.tools', {},
        versionSwitch(this.conversation, this.place, this.actions),
        !empty && copyButton(() => this.plainText()),
        iconButton('again', t('regenerate'), () => this.actions.again(this.place)),
        stats && this.#stats(stats)),
    ].filter(Boolean));
  }

  #stats({ tokens, speed, first }) {
    if (!speed) return null;
    const title = tokens && first !== undefined ? t('stats', { n: tokens, ttft: formatNumber(first, 2) }) : '';
    return el('span.stats', { title }, t('speed', { n: formatNumber(speed) }));
  }

  plainText() {
    const shown = { text: (text) => text, python: (text) => `[${text}`, python_output: (text) => ` -> ${text}]` };
    return this.message.parts.map(({ type, text }) => shown[type](text)).join('');
  }
}
