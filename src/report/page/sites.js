// The table of sites: sorted by any column, filtered by name and precision.

function siteColumns() {
  const macs = run.sites.reduce((sum, site) => sum + site.macs, 0);
  const columns = [
    {title: '#', kind: 'number', value: (site, index) => index + 1, text: String},
    {title: 'site', kind: 'name', value: site => site.name, text: value => value},
    {title: 'kind', value: site => site.kind, text: value => value},
    {title: 'bits', value: site => bits(site.precision)[0] + bits(site.precision)[1] / 100, text: (value, site) => site.precision},
    {title: 'weight', value: site => site.weight_elements, text: (value, site) => site.weight_shape.join('x')},
    {title: 'MACs', kind: 'number', value: site => site.macs, text: value => macs > 0 ? percent(value / macs) : ''}
  ];
  for (const precision of scoredPrecisions)
    columns.push({
      title: 'sensitivity at ' + precision, kind: 'number', value: (site, index) => siteScore(index, precision) ?? -1,
      text: (value, site, index) => significant(siteScore(index, precision)) + (isClamped(index, precision) ? '*' : '')
    });
  if (run.sites.some(site => site.saving !== null) && baselineLatency > 0)
    columns.push({
      title: 'saves, ' + texts.estimate, kind: 'number', value: site => site.saving, text: value => percent(value / baselineLatency)
    });
  return columns;
}

function isClamped(index, precision) {
  return (run.sensitivity?.clamped ?? []).some(entry => entry.site === index && entry.precision === precision);
}

function activationTable() {
  const {caption, head, rows} = texts.activations;
  if (rows.length === 0) return null;
  return table(caption, head.map((title, index) => index === 0 ? {title} : {title, kind: 'number'}), rows);
}

function addSites() {
  const columns = siteColumns();
  const state = {column: 0, descending: false, text: '', precision: ''};
  const body = element('tbody');
  const count = element('span', {class: 'soft', role: 'status'});
  const heads = columns.map((column, at) => element('th', {scope: 'col', class: column.kind || null}, element('button', {
    type: 'button', onclick: () => {
      state.descending = state.column === at ? !state.descending : column.kind === 'number' && at > 0;
      state.column = at;
      fill();
    }
  }, column.title)));
  const fill = () => {
    const {value} = columns[state.column];
    const rows = run.sites.map((site, index) => ({site, index, key: value(site, index)}))
        .filter(({site}) => (!state.precision || site.precision === state.precision) && site.name.toLowerCase().includes(state.text));
    const compare = (a, b) => typeof a.key === 'string' ? a.key.localeCompare(b.key, undefined, {numeric: true}) : a.key - b.key;
    rows.sort((a, b) => (state.descending ? -compare(a, b) : compare(a, b)) || a.index - b.index);
    body.replaceChildren(...rows.map(({site, index}) => element('tr', {}, columns.map(
        column => element('td', {class: column.kind || null}, column.text(column.value(site, index), site, index))))));
    heads.forEach((head, at) => {
      if (at === state.column) head.setAttribute('aria-sort', state.descending ? 'descending' : 'ascending');
      else head.removeAttribute('aria-sort');
    });
    count.textContent = rows.length === run.sites.length ? rows.length + ' sites' : rows.length + ' of ' + run.sites.length + ' sites';
  };
  const present = [...new Set(run.sites.map(site => site.precision))].sort(byBits);
  const filter = element('input', {type: 'search', oninput: event => { state.text = event.target.value.toLowerCase(); fill(); }});
  const legend = (run.sensitivity?.clamped ?? []).length > 0
      ? paragraph('*: the metric gave a negative score, taken as 0, or none that is finite, taken as the largest.', {class: 'soft'}) : null;
  fill();
  section('sites', 'Sites',
          element('div', {class: 'controls'}, element('label', {}, 'Name contains', filter),
                  choice('Bits', [['', 'all'], ...present.map(name => [name, name])], '', value => { state.precision = value; fill(); }), count),
          scrollable(element('table', {'aria-label': 'Sites; a button in a heading sorts by its column'},
                             element('thead', {}, element('tr', {}, heads)), body), 'Sites'), legend, activationTable());
}
