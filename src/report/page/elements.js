// Elements of the page. Texts go in as texts, never as HTML.

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith('on')) made.addEventListener(name.slice(2), value);
    else made.setAttribute(name, value === true ? '' : value);
  }
  made.append(...children.flat(Infinity).filter(child => child !== null && child !== undefined && child !== ''));
  return made;
}

const sections = [];

// A section of the page with its heading, listed in the contents.
function section(id, title, ...children) {
  sections.push({id, title});
  const made = element('section', {'aria-labelledby': id}, element('h2', {id}, title), children);
  document.getElementById('main').append(made);
  return made;
}

function paragraph(text, attributes = {}) {
  return element('p', attributes, text);
}

function basis(word) {
  if (!word) return null;
  const isEstimate = ['predicted', 'modelled', 'simulated'].includes(word);
  return element('span', {class: isEstimate ? 'basis estimate' : 'basis'}, word);
}

// `caption` stands above; `label` is read out where there is none. `columns`: {title, kind: '', 'number', 'words' or 'name'}. A row is an array of texts or elements; the first cell
// heads it. `chosen` says which row is the result.
function table(caption, columns, rows, chosen = () => false, label = caption) {
  const cell = (content, column, tag, attributes = {}) =>
      element(tag, {class: column.kind || null, ...attributes}, content);
  const made = element(
      'table', {'aria-label': label || null},
      element('thead', {}, element('tr', {}, columns.map(column => cell(column.title, column, 'th', {scope: 'col'})))),
      element('tbody', {}, rows.map((row, index) => element(
          'tr', {class: chosen(row, index) ? 'chosen' : null},
          row.map((content, at) => cell(content, columns[at], 'td'))))));
  // The caption stands outside, where it does not scroll away.
  return element('div', {class: 'captioned'}, caption ? paragraph(caption, {class: 'soft'}) : null,
                 scrollable(made, label || 'Table'));
}

// Wide content scrolls by itself, by keyboard too.
function scrollable(content, label, kind = 'scroll') {
  return element('div', {class: kind, role: 'region', tabindex: '0', 'aria-label': label}, content);
}

function details(summary, ...children) {
  return element('details', {}, element('summary', {}, summary), children);
}

function choice(label, options, chosen, onChange) {
  const select = element('select', {onchange: event => onChange(event.target.value)},
                         options.map(([value, text]) => element('option', {value, selected: value === chosen}, text)));
  return element('label', {}, label, select);
}

function definitions(label, rows) {
  return table('', [{title: 'what'}, {title: 'value', kind: 'words'}], rows.filter(row => row[1] !== ''), () => false, label);
}
