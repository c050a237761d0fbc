// What the user has set, in localStorage; and the dialog to set it in.

import { ask } from './menu.js';
import { byId, el } from './dom.js';
import { LANGUAGES, preferredLanguage, setLanguage, t } from './i18n.js';

const KEY = 'nanochat.settings';

// Numbers: name -> [default, least, most, step]. `seed` may be null.
const NUMBERS = {
  temperature: [0.8, 0, 2, 0.05],
  top_k: [50, 0, 1000, 1],
  top_p: [1, 0.01, 1, 0.01],
  max_tokens: [512, 1, 32768, 1],
};
const THEMES = ['auto', 'light', 'dark'];
const MAX_SEED = 2 ** 31 - 1;

const inRange = (x, min, max) => typeof x === 'number' && x >= min && x <= max;

// Whatever was stored, what comes out is valid.
export function settingsFrom(stored) {
  const from = stored && typeof stored === 'object' ? stored : {};
  const settings = {
    theme: THEMES.includes(from.theme) ? from.theme : 'auto',
    language: Object.hasOwn(LANGUAGES, from.language ?? '') ? from.language : null,
    system: typeof from.system === 'string' ? from.system : '',
    seed: Number.isInteger(from.seed) && inRange(from.seed, 0, MAX_SEED) ? from.seed : null,
  };
  for (const [name, [value, min, max]] of Object.entries(NUMBERS)) {
    settings[name] = inRange(from[name], min, max) ? from[name] : value;
  }
  return settings;
}

function load() {
  try {
    return settingsFrom(JSON.parse(localStorage.getItem(KEY)));
  } catch {
    return settingsFrom(null);
  }
}

export const settings = load();

export function change(values) {
  Object.assign(settings, settingsFrom({ ...settings, ...values }));
  try {
    localStorage.setItem(KEY, JSON.stringify(settings));
  } catch {
    // No storage: they hold until the page closes.
  }
  apply();
}

// Tells the document; who draws with colours or words of its own listens to "restyle".
export function apply() {
  if (settings.theme === 'auto') delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = settings.theme;
  setLanguage(settings.language ?? preferredLanguage());
  dispatchEvent(new Event('restyle'));
}

// The part of a request that says how to draw tokens.
export function sampling() {
  const { temperature, top_k, top_p, max_tokens, seed } = settings;
  return { temperature, top_k, top_p, max_tokens, ...(seed === null ? {} : { seed }) };
}

function numberField(name, [, min, max, step], hint) {
  const value = settings[name];
  const input = el('input', { type: 'number', id: `set-${name}`, min, max, step, value, inputMode: 'decimal' });
  input.addEventListener('change', () => {
    const bad = input.value === '' || !inRange(input.valueAsNumber, min, max);
    input.setCustomValidity(bad ? t('out_of_range', { min, max }) : '');
    if (bad) input.reportValidity();
    else change({ [name]: input.valueAsNumber });
  });
  return el('label.field', {}, el('span', {}, t(name)), input, hint && el('small', {}, t(hint)));
}

function seedField() {
  const input = el('input', { type: 'number', id: 'set-seed', min: 0, max: MAX_SEED, step: 1, value: settings.seed ?? '' });
  input.addEventListener('change', () => change({ seed: input.value === '' ? null : input.valueAsNumber }));
  return el('label.field', {}, el('span', {}, t('seed')), input, el('small', {}, t('seed_hint')));
}

function choice(name, label, options, value) {
  return el('fieldset.choice', {}, el('legend', {}, label), options.map(([key, text]) =>
    el('label', {}, el('input', {
      type: 'radio', name, value: key, checked: key === value, onchange: () => change({ [name]: key }),
    }), el('span', {}, text))));
}

// conversation: {system, setSystem(text)}: of the open one. library: {exportAll, importFile, deleteAll}
export function openSettings(conversation, library) {
  const dialog = byId('settings');
  const draw = () => {
    const system = el('textarea', { id: 'set-system', rows: 3, value: conversation.system });
    system.addEventListener('change', () => {
      change({ system: system.value });
      conversation.setSystem(system.value);
    });
    const file = el('input', { type: 'file', id: 'import-file', accept: '.json,.jsonl,application/json', hidden: true });
    file.addEventListener('change', () => file.files[0] && library.importFile(file.files[0]));
    const button = (key, run, extra = '') => el(`button.button${extra}`, { type: 'button', onclick: run }, t(key));
    dialog.replaceChildren(el('form', { method: 'dialog' },
      el('h2', { id: 'settings-title' }, t('settings')),
      el('label.field.wide', {}, el('span', {}, t('system')), system, el('small', {}, t('system_hint'))),
      el('div.fields', {},
        numberField('temperature', NUMBERS.temperature, 'temperature_hint'),
        numberField('top_k', NUMBERS.top_k, 'top_k_hint'),
        numberField('top_p', NUMBERS.top_p, 'top_p_hint'),
        numberField('max_tokens', NUMBERS.max_tokens, 'max_tokens_hint'),
        seedField()),
      choice('theme', t('theme'), THEMES.map((key) => [key, t(`theme_${key}`)]), settings.theme),
      choice('language', t('language'), Object.entries(LANGUAGES), settings.language ?? preferredLanguage()),
      el('fieldset.library', {}, el('legend', {}, t('data')), el('small', {}, t('data_hint')),
        el('div.row', {},
          button('export_all', () => library.exportAll()),
          button('import', () => file.click()), file,
          button('delete_all', async () => {
            const sure = { title: t('delete_all'), text: t('delete_all_text'), ok: t('delete_all'), cancel: t('cancel') };
            if (await ask({ ...sure, danger: true })) library.deleteAll();
          }, '.danger'))),
      el('div.dialog-actions', {},
        el('a.quiet', { href: 'vendor/licenses.txt', target: '_blank', rel: 'noopener' }, t('licenses')),
        button('reset', () => {
          change(Object.fromEntries([...Object.entries(NUMBERS).map(([name, [value]]) => [name, value]), ['seed', null]]));
          draw();
        }),
        el('button.button.primary', { value: 'ok' }, t('close')))));
  };
  const redraw = () => {
    draw();
    dialog.querySelector('[name=language]:checked')?.focus();  // where the user has just been
  };
  let language = settings.language;
  const listen = () => {
    if (settings.language !== language) redraw();  // only a new language changes what it says
    language = settings.language;
  };
  addEventListener('restyle', listen);
  dialog.addEventListener('close', () => removeEventListener('restyle', listen), { once: true });
  draw();
  dialog.showModal();
}
