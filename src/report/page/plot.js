// Plots by Vega-Lite. Each is drawn again where the width or the colours change.

const plots = [];
root.dataset.plots = '0';

// Resolved: Vega interpolates colours, and canvases know no variables.
function color(name) {
  return getComputedStyle(root).getPropertyValue('--' + name).trim();
}

function plotConfig() {
  const font = 'system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif';
  return {
    background: null,
    font,
    view: {stroke: null},
    axis: {
      labelColor: color('soft'), titleColor: color('soft'), gridColor: color('line'), domainColor: color('mark'),
      tickColor: color('mark'), labelFontSize: 12, titleFontSize: 12, titleFontWeight: 'normal', gridOpacity: 0.6,
      titlePadding: 8
    },
    legend: {
      labelColor: color('text'), titleColor: color('soft'), labelFontSize: 12, titleFontSize: 12,
      titleFontWeight: 'normal', symbolStrokeWidth: 1.5, labelLimit: 260
    },
    title: {color: color('text'), fontSize: 13, fontWeight: 600, anchor: 'start', frame: 'group'}
  };
}

// `make(width)` gives a specification; `description` says in words what it shows. Without Vega-Lite a line stands here.
function plot(description, make) {
  if (!texts.has_plots)
    return paragraph('This build of Halftone has no Vega-Lite: the tables stand for this plot.', {class: 'soft'});
  const box = scrollable('', description, 'plot');
  plots.push({box, description, make, drawn: 0});
  return element('figure', {}, box);
}

async function draw(entry, force) {
  const width = entry.box.clientWidth;
  if (!(width > 0) || (!force && Math.abs(width - entry.drawn) < 8)) return;
  const first = entry.drawn === 0;
  entry.drawn = width;
  const spec = {
    $schema: 'https://vega.github.io/schema/vega-lite/v6.json', config: plotConfig(), description: entry.description,
    padding: {left: 2, top: 2, right: 4, bottom: 10}, ...entry.make(width)
  };
  entry.view?.finalize();
  // `ast`: expressions are interpreted, so that the page needs no right to make code.
  const result = await vegaEmbed(entry.box, spec, {
    ast: true, actions: false, renderer: entry.canvas ? 'canvas' : 'svg', tooltip: {theme: 'custom'}
  });
  entry.view = result.view;
  if (first) root.dataset.plots = String(Number(root.dataset.plots) + 1);
}

function drawAll(force = false) {
  root.dataset.drawn = color('scheme');
  return Promise.all(plots.map(entry => draw(entry, force)));
}

let resizing = 0;
addEventListener('resize', () => {
  clearTimeout(resizing);
  resizing = setTimeout(() => drawAll(), 150);
});
