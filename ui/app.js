// Start-up, and what the views share: the address bar, the side panel, theme and language.

import { forgetKey, getJson, onKeyNeeded } from './api.js';
import { Chat } from './chat.js';
import { byId, icon, toast } from './dom.js';
import { currentLanguage, t } from './i18n.js';
import { ask } from './menu.js';
import { apply, change, openSettings, settings } from './settings.js';
import { explain } from './job.js';
import { Sidebar } from './sidebar.js';
import { Store } from './store.js';

// Views but chat are loaded when first shown: {start(node, info), shown(), hidden()}
const VIEWS = { training: () => import('./runs.js'), tokens: () => import('./playground.js') };

const loaded = {};
let view = null;

for (const node of document.querySelectorAll('[data-icon]')) node.append(icon(node.dataset.icon));

onKeyNeeded((wasWrong) => {
  if (wasWrong) forgetKey();
  return ask({
    title: t('key_title'), text: t(wasWrong ? 'key_wrong' : 'key_text'), ok: t('ok'), cancel: t('cancel'),
    field: { label: t('key'), type: 'password' },
  });
});

addEventListener('restyle', () => {
  const { theme } = settings;
  byId('switch-theme').replaceChildren(icon({ auto: 'auto', light: 'sun', dark: 'moon' }[theme]));
  byId('switch-theme').title = `${t('theme')}: ${t(`theme_${theme}`)}`;
  byId('switch-theme').setAttribute('aria-label', byId('switch-theme').title);
});
apply();

const noInfo = { model: null, context: null, version: '', needs_key: false, has_model: false, has_runs: false };
const info = await getJson('api/info').catch((error) => {
  toast(explain(error), { label: t('try_again'), run: () => location.reload() });
  return noInfo;
});

const store = await Store.open((id) => {
  sidebar.draw();
  if (id) chat.refresh(id);
});
const chat = new Chat(store, info, {
  listChanged: () => sidebar.draw(),
  opened: (id) => { history.pushState(null, '', `#/chat/${id}`); linkChat(id); },
});
const sidebar = new Sidebar(store, {
  held: (id) => chat.held(id),
  current: () => (view === 'chat' ? chat.conversation.id : null),
  go: (id) => { location.hash = id ? `#/chat/${id}` : '#/chat'; },
  dropped: (id) => chat.drop(id),
});
if (!store.persistent) toast(t('no_storage'));

// The tab leads back to the open conversation.
function linkChat(id) {
  document.querySelector('.tabs [data-view=chat]').href = id ? `#/chat/${id}` : '#/chat';
}

const phone = matchMedia('(max-width: 800px)');

function setSide(open) {
  document.body.classList.toggle('side-open', open);
  document.body.classList.toggle('side-closed', !open);
  byId('side-open').setAttribute('aria-expanded', String(open));
  byId('scrim').hidden = !(open && phone.matches);
  byId('side').inert = !open;
  byId('main').inert = open && phone.matches;
}

async function showView(name) {
  if (view !== name) {
    loaded[view]?.hidden?.();
    view = name;
    for (const section of document.querySelectorAll('.view')) section.hidden = section.id !== `view-${name}`;
    for (const link of document.querySelectorAll('.tabs a')) {
      if (link.dataset.view === name) link.setAttribute('aria-current', 'page');
      else link.removeAttribute('aria-current');
    }
  }
  byId('bar-new').hidden = name !== 'chat';
  if (name === 'chat') return;
  document.title = `${t(name)} · nanochat`;
  if (!loaded[name]) {
    loaded[name] = (await VIEWS[name]()).default;
    loaded[name].start(byId(`view-${name}`), info);
  }
  if (view === name) loaded[name].shown?.();
}

async function route() {
  const [, name, id] = location.hash.match(/^#\/(chat|training|tokens)(?:\/([0-9a-z]+))?$/) ?? [];
  if (!name) {
    if (location.hash && !location.hash.startsWith('#/')) return;
    history.replaceState(null, '', info.has_model ? '#/chat' : '#/training');
    await route();
    return;
  }
  await showView(name);
  if (name === 'chat' && !await chat.open(id)) {
    toast(t('unreadable'));
    location.hash = '#/chat';
  }
  if (name === 'chat') linkChat(id);
  await sidebar.draw();
  if (phone.matches) setSide(false);
  if (name === 'chat' && !phone.matches) byId('input').focus();
}

function newChat() {
  if (location.hash === '#/chat') route();
  else location.hash = '#/chat';
}

byId('new-chat').addEventListener('click', newChat);
byId('bar-new').addEventListener('click', newChat);
byId('side-open').addEventListener('click', () => { setSide(true); byId('side-close').focus(); });
byId('side-close').addEventListener('click', () => { setSide(false); byId('side-open').focus(); });
byId('scrim').addEventListener('click', () => setSide(false));
byId('skip').addEventListener('click', (event) => {
  event.preventDefault();
  (view === 'chat' && info.has_model ? byId('input') : byId('main')).focus();
});
byId('open-settings').addEventListener('click', () => openSettings(
  { system: chat.conversation.system, setSystem: (text) => chat.setSystem(text) },
  sidebar,
));
byId('switch-theme').addEventListener('click', () => {
  change({ theme: { auto: 'light', light: 'dark', dark: 'auto' }[settings.theme] });
});
byId('switch-language').addEventListener('click', () => {
  change({ language: currentLanguage() === 'en' ? 'zh-CN' : 'en' });
  sidebar.draw();
});
addEventListener('keydown', (event) => {
  if ((event.ctrlKey || event.metaKey) && event.shiftKey && event.code === 'KeyO') {
    event.preventDefault();
    newChat();
  } else if (event.key === 'Escape' && phone.matches && document.body.classList.contains('side-open')) {
    setSide(false);
    byId('side-open').focus();
  }
});
addEventListener('hashchange', route);
phone.addEventListener('change', () => setSide(!phone.matches));

byId('model').textContent = info.model ?? '';
byId('version').textContent = info.version ?? '';
document.body.classList.toggle('no-model', !info.has_model);
document.body.classList.toggle('no-runs', info.has_model && !info.has_runs);
setSide(!phone.matches);
await route();
document.body.classList.add('ready');
