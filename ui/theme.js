// Runs before the first paint, so that a dark page never flashes white. No module: those wait.
(() => {
  try {
    const { theme } = JSON.parse(localStorage.getItem('nanochat.settings') ?? '{}');
    if (theme === 'dark' || theme === 'light') document.documentElement.dataset.theme = theme;
  } catch {
    // No storage or none of ours: the system's theme.
  }
})();
