// A model's Markdown as elements. What a model says is not trusted, in three layers: HTML in it is
// shown as text, what Markdown makes of the rest goes through a short list of elements (DOMPurify),
// and the page's Content-Security-Policy runs no script but the page's own.

import './vendor/marked.js';
import './vendor/purify.js';
import { copyText, el, icon } from './dom.js';
import { t } from './i18n.js';

const { marked, DOMPurify } = globalThis;

// Debian 12's DOMPurify (2.4.1+dfsg+~2.4.0-2+deb12u1) throws at every call: before it walks the tree, a
// check that a security fix added reads a name that is not declared there. With such a name the check
// passes; the depth of each element, which that fix is about, is checked in the walk itself.
globalThis.shadowNode ??= { __depth: 0 };

// Maths: $..$ and \(..\) in a line, $$..$$ and \[..\] displayed. A dollar sign that touches a space
// inside, or has a digit behind it, is money.
const INLINE_MATHS = new RegExp(['^(?:',
  /\$\$([^$]+?)\$\$/.source, '|',
  /\$(?!\s)((?:\\.|[^\\$\n])+?)(?<![\s\\])\$(?!\d)/.source, '|',
  /\\\(([^\n]+?)\\\)/.source, '|',
  /\\\[([\s\S]+?)\\\]/.source, ')'].join(''));
const BLOCK_MATHS = /^ {0,3}(?:\$\$([^$]+?)\$\$|\\\[([\s\S]+?)\\\]) *(?:\n|$)/;

const escape = (text) => text.replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);

function maths(name, level, rule, start) {
  return {
    name,
    level,
    start: (src) => { const at = src.search(start); return at < 0 ? undefined : at; },
    tokenizer(src) {
      const match = rule.exec(src);
      if (!match) return undefined;
      const display = level === 'block' || match[1] !== undefined || match[4] !== undefined;
      return { type: name, raw: match[0], tex: match.slice(1).find((x) => x !== undefined).trim(), display };
    },
    renderer: ({ tex, raw, display }) =>
      `<span class="maths${display ? '-block' : ''}" title="${escape(tex)}">${escape(raw.trim())}</span>`,
  };
}

marked.use({
  mangle: false,
  headerIds: false,
  gfm: true,
  breaks: true,
  extensions: [
    maths('blockMaths', 'block', BLOCK_MATHS, /^ {0,3}(?:\$\$|\\\[)/m),
    maths('inlineMaths', 'inline', INLINE_MATHS, /\$|\\\(|\\\[/),
  ],
  renderer: {
    html: escape,
    // A picture would tell its server that this answer was read: it becomes a link.
    image: (href, title, text) => `<a href="${escape(href ?? '')}">${escape(text || href || '')}</a>`,
    code: (code, info) => `<pre><code title="${escape((info ?? '').split(/\s/)[0])}">${escape(code)}</code></pre>`,
    checkbox: (checked) => (checked ? '☑ ' : '☐ '),
  },
});

const ALLOWED = {
  ALLOWED_TAGS: ['p', 'br', 'hr', 'h1', 'h2', 'h3', 'h4', 'h5', 'h6', 'strong', 'em', 'del', 'code', 'pre', 'blockquote',
    'ul', 'ol', 'li', 'table', 'thead', 'tbody', 'tr', 'th', 'td', 'a', 'span'],
  ALLOWED_ATTR: ['href', 'title', 'class', 'start', 'align'],  // class: of maths only, HTML cannot come here
  ALLOW_DATA_ATTR: false,
  ALLOW_ARIA_ATTR: false,
  ALLOWED_URI_REGEXP: /^(?:https?|mailto):/i,
  ADD_URI_SAFE_ATTR: ['start', 'align'],  // whose values are no addresses
  RETURN_DOM_FRAGMENT: true,
};

let katex = null;
let hljs = null;

async function loadKatex() {
  const sheet = el('link', { rel: 'stylesheet', href: 'vendor/katex.css' });
  document.head.append(sheet);
  await Promise.all([import('./vendor/katex.js'), new Promise((resolve) => { sheet.onload = sheet.onerror = resolve; })]);
  return globalThis.katex;
}

async function loadHighlight() {
  await import('./vendor/highlight.js');
  globalThis.hljs.configure({ hideUpgradeWarningAcceptNoSupportOrSecurityUpdates: true });  // Debian supports it
  return globalThis.hljs;
}

// KaTeX builds elements here and sets styles one by one, which the policy allows; a string of HTML
// with style attributes it would not.
async function drawMaths(node) {
  const { title: tex } = node;
  const displayMode = node.className === 'maths-block';
  node.removeAttribute('title');
  try {
    katex = await (katex ??= loadKatex());
    const drawn = el('span');
    const limits = { trust: false, maxExpand: 500, maxSize: 20 };
    katex.render(tex, drawn, { displayMode, throwOnError: true, strict: 'ignore', ...limits });
    node.replaceChildren(...drawn.childNodes);
  } catch {
    node.classList.add('maths-bad');  // not maths, or no KaTeX: what was written stays
  }
}

const MAX_HIGHLIGHT = 50000;

async function drawCode(code, final) {
  const language = code.title;
  code.removeAttribute('title');
  const text = code.textContent;
  const copy = el('button.copy-code', { type: 'button', 'aria-label': t('copy') }, icon('copy'), t('copy'));
  copy.addEventListener('click', async () => {
    await copyText(text);
    copy.replaceChildren(icon('check'), t('copied'));
    setTimeout(() => copy.replaceChildren(icon('copy'), t('copy')), 1500);
  });
  const pre = code.parentNode;
  pre.tabIndex = 0;  // it scrolls sideways: the keyboard must reach it
  const frame = el('div.code', {}, el('div.code-head', {}, el('span', {}, language), copy));
  pre.replaceWith(frame);
  frame.append(pre);
  if (!final || !language || text.length > MAX_HIGHLIGHT) return;
  try {
    hljs = await (hljs ??= loadHighlight());
    if (!hljs.getLanguage(language)) return;
    const { value } = hljs.highlight(language, text, true);
    const spans = { ALLOWED_TAGS: ['span'], ALLOWED_ATTR: ['class'], RETURN_DOM_FRAGMENT: true };
    code.replaceChildren(DOMPurify.sanitize(value, spans));
  } catch {
    // Without colours, then.
  }
}

function finish(fragment, final) {
  for (const link of fragment.querySelectorAll('a')) {
    link.target = '_blank';
    link.rel = 'noopener noreferrer nofollow';
    link.title = link.href;
  }
  for (const table of fragment.querySelectorAll('table')) {
    const frame = el('div.table', { tabIndex: 0 });
    table.replaceWith(frame);
    frame.append(table);
  }
  for (const node of fragment.querySelectorAll('.maths, .maths-block')) drawMaths(node);
  for (const node of fragment.querySelectorAll('pre > code')) drawCode(node, final);
}

function blocksOf(text) {
  try {
    const tokens = marked.lexer(text);
    return tokens.filter(({ type }) => type !== 'space' && type !== 'def').map((token) => {
      const list = Object.assign([token], { links: tokens.links });
      return { raw: token.raw, html: () => marked.parser(list) };
    });
  } catch {
    return [{ raw: text, html: () => `<p>${escape(text)}</p>` }];  // nested too deep, for example
  }
}

function htmlOf(block) {
  try {
    return block.html();
  } catch {
    return `<p>${escape(block.raw)}</p>`;
  }
}

// Text that goes on in a line, behind what a tool gave: "391." is no list there, nor is "- 5".
function inLine(text) {
  return text.replace(/^([^\S\n]*)(\d{1,9}(?=[.)](?:\s|$))|(?=(?:[-+*>]|#{1,6})(?:\s|$)))/, '$1$2\\');
}

// Draws text that grows into `node`. Blocks that have not changed stay as they are: drawing costs what
// is new, and a selection or a click in a finished block survives.
export class MarkdownView {
  #drawn = [];  // [{raw, final, nodes}]

  // goesOn: it stands behind something, in the middle of a line.
  constructor(node, goesOn) {
    this.node = node;
    this.goesOn = goesOn;
  }

  // complete: nothing more comes, so the last block is final too.
  draw(text, complete) {
    const blocks = blocksOf(this.goesOn ? inLine(text) : text);
    blocks.forEach((block, i) => {
      const final = complete || i + 1 < blocks.length;
      const old = this.#drawn[i];
      if (old && old.raw === block.raw && old.final === final) return;
      for (const later of this.#drawn.splice(i)) for (const node of later.nodes) node.remove();
      const fragment = DOMPurify.sanitize(htmlOf(block), ALLOWED);
      finish(fragment, final);
      this.#drawn.push({ raw: block.raw, final, nodes: [...fragment.childNodes] });
      this.node.append(fragment);
    });
    for (const later of this.#drawn.splice(blocks.length)) for (const node of later.nodes) node.remove();
  }
}

// For the language of fonts, line breaks and voices: Chinese where there are more Han characters
// than a tenth of the text.
export function languageOf(text) {
  const han = text.match(/\p{Script=Han}/gu)?.length ?? 0;
  if (/[\p{Script=Hiragana}\p{Script=Katakana}]/u.test(text)) return 'ja';
  return han * 10 > text.length ? 'zh-CN' : 'en';
}
