// Fills the gallery: each element with documents that the command line wrote.

const ELEMENTS = [
  [
    'token-heatmap',
    'A text, each word or token on the shade of its score.',
    ['sentiment', 'chinese', 'arabic', 'entities'],
  ],
  ['pair-heatmap', 'Two texts side by side, on one scale.', ['pair']],
  [
    'prediction-bars',
    'What the model said.',
    ['pair', 'entities', 'written'],
    { selectable: true },
  ],
  [
    'method-comparison',
    'Several methods on the same text; the place in focus is the same in all.',
    [['sentiment', 'gradient', 'occlusion']],
  ],
  ['generation-grid', 'Each written token by the tokens before it.', ['written']],
  ['edit-list', 'What an attack changed.', ['hotflip']],
  ['reduction-view', 'What is left of a text whose prediction stays.', ['reduction']],
  ['attention-matrix', 'Where a head reads, as a square.', ['attention']],
  ['attention-arcs', 'Where a head reads, as lines.', ['attention']],
  ['glossator-report', 'Documents of any kind.', [['sentiment', 'hotflip']]],
];

const shown = [];

async function load(name) {
  const response = await fetch(`documents/${name}.json`);
  if (!response.ok) throw new Error(`documents/${name}.json: ${response.status}`);
  return response.json();
}

function snippet(name, source) {
  return `<script type="module" src="elements.js"></script>

<${name} id="map"></${name}>
<script type="module">
  document.querySelector('#map').data = await (await fetch('${source}.json')).json();
</script>

or, without a script of your own:

<${name}>
  <script type="application/json">… the document …</script>
</${name}>`;
}

for (const [name, what, sources, properties = {}] of ELEMENTS) {
  const section = document.createElement('section');
  section.id = name;
  const title = document.createElement('h2');
  title.textContent = `<${name}>`;
  const text = document.createElement('p');
  text.textContent = what;
  section.append(title, text);
  for (const source of sources) {
    const names = Array.isArray(source) ? source : [source];
    const element = document.createElement(name);
    element.className = 'demo';
    Object.assign(element, properties);
    element.data = await Promise.all(names.map(load));
    shown.push(element);
    section.append(element);
  }
  const details = document.createElement('details');
  const summary = document.createElement('summary');
  summary.textContent = 'How to use it';
  const code = document.createElement('pre');
  code.tabIndex = 0;
  code.textContent = snippet(name, [sources[0]].flat()[0]);
  details.append(summary, code);
  section.append(details);
  document.querySelector('#gallery').append(section);
  const link = document.createElement('a');
  link.href = `#${name}`;
  link.textContent = name;
  document.querySelector('#contents').append(link);
}

const choose = (id, change) =>
  document.querySelector(`#${id}`).addEventListener('change', (event) => {
    for (const element of shown) change(element, event.target.value);
  });
choose('palette', (element, value) => {
  element.palette = value;
});
choose('by', (element, value) => {
  if ('by' in element) element.by = value;
});
choose('normalise', (element, value) => {
  if ('normalise' in element) element.normalise = value;
});
document.querySelector('#scheme').addEventListener('change', (event) => {
  document.documentElement.style.colorScheme = event.target.value || 'light dark';
});

const events = document.querySelector('#events');
for (const type of ['token-focus', 'token-select', 'label-select', 'head-select']) {
  document.addEventListener(type, (event) => {
    events.textContent = `${type} ${JSON.stringify(event.detail)}`;
  });
}
