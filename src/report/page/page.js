// Puts the page together.

function startTheme() {
  const button = document.getElementById('theme');
  const system = matchMedia('(prefers-color-scheme: dark)');
  const isDark = () => (root.dataset.theme ?? (system.matches ? 'dark' : 'light')) === 'dark';
  const label = () => { button.textContent = isDark() ? 'Light theme' : 'Dark theme'; };
  button.addEventListener('click', () => {
    root.dataset.theme = isDark() ? 'light' : 'dark';
    label();
    drawAll(true);
  });
  system.addEventListener('change', () => { label(); drawAll(true); });
  button.hidden = false;
  label();
}

function printAll() {
  const closed = [];
  addEventListener('beforeprint', () => {
    for (const entry of document.querySelectorAll('details:not([open])')) {
      entry.open = true;
      closed.push(entry);
    }
  });
  addEventListener('afterprint', () => { for (const entry of closed.splice(0)) entry.open = false; });
}

document.getElementById('model').textContent = run.model || 'A network';
startTheme();
printAll();
addHeadline();
addResults();
addTargets();
addPlane();
addLayers();
addPairs();
addStory();
addSites();
addRanges();
addRun();
const contents = document.getElementById('contents');
contents.append(...sections.map(({id, title}) => element('a', {href: '#' + id}, title)));
contents.hidden = false;
document.getElementById('footer').append(paragraph(
    'Made by Halftone ' + (run.environment.halftone ?? '') + '. This page holds run.json and fetches nothing.', {class: 'soft'}));
drawAll().then(() => { root.dataset.ready = 'yes'; });
