// What the page says, in English and Chinese side by side.

const WORDS = {
  // key: [English, Chinese]; {name} is filled in
  skip: ['Skip to the conversation', '跳到对话内容'],
  nav: ['Views and conversations', '页面与对话'],
  chat: ['Chat', '对话'],
  training: ['Training', '训练'],
  tokens: ['Tokens', '词元'],
  open_side: ['Open the side panel', '打开侧栏'],
  close_side: ['Close the side panel', '收起侧栏'],
  new_chat: ['New chat', '新对话'],
  conversations: ['Conversations', '对话记录'],
  today: ['Today', '今天'],
  yesterday: ['Yesterday', '昨天'],
  week: ['Previous 7 days', '过去 7 天'],
  older: ['Older', '更早'],
  untitled: ['Untitled', '未命名'],
  more_for: ['More for “{title}”', '“{title}”的更多操作'],
  rename: ['Rename', '重命名'],
  export: ['Export', '导出'],
  delete: ['Delete', '删除'],
  deleted: ['Deleted “{title}”', '已删除“{title}”'],
  undo: ['Undo', '撤销'],
  title: ['Title', '标题'],
  data: ['Conversations on this device', '本机上的对话'],
  data_hint: ['They are kept in this browser only.', '对话只保存在这个浏览器里。'],
  export_all: ['Export all', '全部导出'],
  import: ['Import…', '导入…'],
  imported: ['Imported: {n}', '已导入 {n} 个对话'],
  imported_some: ['Imported: {n}. Not a conversation: {bad}', '已导入 {n} 个对话，{bad} 个无法识别'],
  import_failed: ['This file holds no conversations that can be read.', '文件中没有可以读取的对话。'],
  delete_all: ['Delete all', '全部删除'],
  delete_all_text: ['All conversations in this browser will be gone. Export them first if you may want them.',
    '这个浏览器里的所有对话都会消失。如果以后可能用到，请先导出。'],
  cancel: ['Cancel', '取消'],
  save: ['Save', '保存'],
  close: ['Close', '关闭'],
  not_saved: ['This conversation could not be saved: {why}', '对话没能保存：{why}'],
  unreadable: ['What is stored of this conversation cannot be read.', '这个对话的存储内容无法读取。'],
  no_storage: ['This browser keeps nothing here: conversations end with the tab.',
    '浏览器不允许在此保存：关闭标签页后对话就会消失。'],

  settings: ['Settings', '设置'],
  system: ['System prompt', '系统提示'],
  system_hint: ['How the model should behave. For this conversation, and for new ones.', '告诉模型该怎么做。用于当前对话和以后的新对话。'],
  temperature: ['Temperature', '温度'],
  temperature_hint: ['0 always takes the likeliest token; higher is more varied.', '0 总是取最可能的词元；越高越多样。'],
  top_k: ['Top k', 'Top k'],
  top_k_hint: ['Only the k likeliest tokens; 0 takes all.', '只在最可能的 k 个词元中选取；0 表示不限。'],
  top_p: ['Top p', 'Top p'],
  top_p_hint: ['Only the likeliest tokens that make up this share.', '只取累计概率达到该比例的词元。'],
  max_tokens: ['Max tokens', '最大词元数'],
  max_tokens_hint: ['How long an answer may get.', '一次回答最长多少词元。'],
  seed: ['Seed', '随机种子'],
  seed_hint: ['Empty: another answer each time.', '留空则每次回答都不同。'],
  theme: ['Appearance', '外观'],
  theme_auto: ['System', '跟随系统'],
  theme_light: ['Light', '浅色'],
  theme_dark: ['Dark', '深色'],
  language: ['Language', '语言'],
  reset: ['Reset', '恢复默认'],
  licenses: ['Licences of what this page is made with', '本页所用软件的许可'],
  out_of_range: ['between {min} and {max}', '应在 {min} 与 {max} 之间'],

  hello: ['What shall we talk about?', '今天想聊点什么？'],
  try_1: ['Why is the sky blue?', '天空为什么是蓝色的？'],
  try_2: ['What is 17 times 23?', '17 乘以 23 等于多少？'],
  try_3: ['Write a short poem about autumn', '写一首关于秋天的短诗'],
  try_4: ['How does a rainbow form?', '彩虹是怎么形成的？'],
  conversation: ['Conversation', '对话内容'],
  ask: ['Ask anything', '有问题，尽管问'],
  send: ['Send', '发送'],
  stop: ['Stop', '停止'],
  hint: ['Small models often make mistakes. Check what matters.', '小模型常会出错，重要的内容请核实。'],
  to_bottom: ['To the end', '回到底部'],
  you: ['You', '你'],
  waiting: ['Waiting for the first token', '正在等待第一个词元'],
  answer_done: ['The answer is complete.', '回答完毕。'],
  copy: ['Copy', '复制'],
  copied: ['Copied', '已复制'],
  edit: ['Edit', '编辑'],
  regenerate: ['Answer again', '重新回答'],
  send_edit: ['Send', '发送'],
  edit_label: ['Edit your message', '编辑消息'],
  version: ['Version {i} of {n}', '第 {i} 个版本，共 {n} 个'],
  previous: ['Previous version', '上一个版本'],
  next: ['Next version', '下一个版本'],
  calculation: ['Calculation', '计算'],
  program: ['Program', '程序'],
  result: ['Result', '结果'],
  speed: ['{n} tokens/s', '{n} 词元/秒'],
  stats: ['{n} tokens; the first after {ttft} s', '{n} 个词元；首个用时 {ttft} 秒'],
  cut_length: ['The answer reached its longest length.', '回答已达到最大长度。'],
  cut_stopped: ['Stopped.', '已停止。'],
  cut_lost: ['The connection broke off; this is what had come.', '连接中断，以上是已收到的内容。'],
  no_answer: ['No answer came.', '没有收到回答。'],
  empty_answer: ['The model ended its answer at once.', '模型没有给出内容就结束了回答。'],
  try_again: ['Try again', '重试'],

  e_network: ['The server cannot be reached. Is it running?', '无法连接服务器。它在运行吗？'],
  e_key: ['The server does not accept this key.', '服务器不接受这个密钥。'],
  e_busy: ['The server is busy.', '服务器正忙。'],
  e_busy_wait: ['The server is busy. It can be tried again in {n} s.', '服务器正忙，{n} 秒后可以重试。'],
  e_context: ['This conversation is longer than the model can read. Begin a new one, or edit an earlier message.',
    '对话已超出模型能读取的长度。请新建对话，或修改较早的消息。'],
  e_request: ['The server refused: {why}', '服务器拒绝了请求：{why}'],
  e_server: ['The server failed: {why}', '服务器出错：{why}'],
  key_title: ['This server wants a key', '服务器需要密钥'],
  key_wrong: ['That key was not accepted.', '密钥不正确。'],
  key_text: ['It is the one given to nanochat serve as --api-key. It is kept until this tab closes.',
    '即 nanochat serve 的 --api-key 所设的密钥，关闭标签页后即忘记。'],
  key: ['Key', '密钥'],
  ok: ['OK', '确定'],
  no_model: ['No model is loaded, so there is nobody to talk to.', '没有载入模型，暂时无法对话。'],
  no_model_hint: ['Train one, then start the server with its name.', '训练好模型后，用它的名字启动服务器。'],

  runs: ['Runs', '训练运行'],
  no_runs: ['No runs yet', '还没有训练'],
  no_runs_hint: ['When a training starts in the folder that the server watches, it appears here.',
    '在服务器监视的目录中开始训练后，会显示在这里。'],
  running: ['running', '进行中'],
  finished: ['not running', '未在运行'],
  step: ['Step', '步数'],
  time: ['Time', '时间'],
  hours: ['hours', '小时'],
  x_axis: ['Horizontal axis', '横轴'],
  log_scale: ['Log scale', '对数坐标'],
  smoothing: ['Smoothing', '平滑'],
  m_loss: ['Training loss', '训练损失'],
  m_bpb: ['Validation, bits per byte', '验证集每字节比特数'],
  m_lr: ['Learning rate, of its peak', '学习率（相对峰值）'],
  m_speed: ['Tokens per second', '每秒词元数'],
  m_mfu: ['MFU, %', 'MFU（%）'],
  m_grad: ['Gradient norm', '梯度范数'],
  m_wait: ['Waiting for data, seconds a step', '每步等待数据（秒）'],
  s_left: ['Time left', '剩余时间'],
  s_bpb: ['Bits per byte', '每字节比特'],
  s_speed: ['Tokens/s', '词元/秒'],
  s_loss: ['Loss', '损失'],
  samples: ['Samples', '生成样例'],
  samples_at: ['Samples at step {n}', '第 {n} 步的样例'],
  evals: ['Evaluations', '评测'],
  measure: ['Measure', '指标'],
  no_metrics: ['Nothing has been measured yet.', '还没有任何记录。'],
  choose_run: ['Choose a run above.', '请在上方选择训练。'],
  chart_of: ['{name}. Latest: {values}', '{name}。最新：{values}'],
  runs_failed: ['Runs cannot be read: {why}', '无法读取训练记录：{why}'],

  tokens_title: ['How the model reads', '模型如何读文字'],
  tokens_intro: ['Text is cut into tokens before the model sees it. Click one to see what the model expects after it.',
    '文字先被切成词元，模型才能读。点击一个词元，看模型预测后面会出现什么。'],
  tokens_input: ['Text', '文本'],
  tokens_sample: ['The cat sat by the window and', '一只猫坐在窗边，'],
  tokens_out: ['Tokens', '词元'],
  token_count: ['{n} tokens, {bytes} bytes: {ratio} bytes a token', '{n} 个词元，{bytes} 字节，平均每个 {ratio} 字节'],
  show_ids: ['Show ids', '显示编号'],
  token_label: ['{text}, id {id}', '{text}，编号 {id}'],
  start: ['Start', '开头'],
  start_label: ['Before the first token', '第一个词元之前'],
  expects: ['What comes after {text}', '{text} 之后'],
  expects_first: ['How a text begins', '文本如何开头'],
  actual: ['What really follows: {text}, {p}, place {rank}', '实际的下一个：{text}，{p}，排第 {rank}'],
  append: ['Add {text} to the text', '把 {text} 加到文本末尾'],
  pick_token: ['Click a token to see what may follow.', '点击一个词元，查看后面可能出现的内容。'],
  too_long: ['Too long for the model: only the tokens are shown.', '超出模型能读的长度，只显示词元。'],
};

export const LANGUAGES = { en: 'English', 'zh-CN': '简体中文' };
export const words = WORDS;

let language = 'en';

export const currentLanguage = () => language;

// What the browser asks for: the first of its languages that we have.
export function preferredLanguage() {
  for (const tag of navigator.languages ?? []) {
    if (/^zh\b/i.test(tag)) return 'zh-CN';
    if (/^en\b/i.test(tag)) return 'en';
  }
  return 'en';
}

export function setLanguage(tag) {
  language = Object.hasOwn(LANGUAGES, tag) ? tag : preferredLanguage();
  document.documentElement.lang = language;
  translate(document);
}

export function t(key, values = {}) {
  const text = WORDS[key][language === 'en' ? 0 : 1];
  return text.replace(/\{(\w+)\}/g, (_, name) => String(values[name]));
}

// Fills in what index.html leaves open: data-t is the text of an element, data-label its name for
// screen readers and its tooltip, data-placeholder its placeholder.
export function translate(root) {
  for (const node of root.querySelectorAll('[data-t]')) node.textContent = t(node.dataset.t);
  for (const node of root.querySelectorAll('[data-placeholder]')) node.placeholder = t(node.dataset.placeholder);
  for (const node of root.querySelectorAll('[data-label]')) {
    node.setAttribute('aria-label', t(node.dataset.label));
    if (node.tagName === 'BUTTON') node.title = t(node.dataset.label);
  }
}

export const formatNumber = (x, digits = 3) =>
  new Intl.NumberFormat(language, { maximumSignificantDigits: digits }).format(x);

export const formatFixed = (x, digits) =>
  new Intl.NumberFormat(language, { minimumFractionDigits: digits, maximumFractionDigits: digits }).format(x);
