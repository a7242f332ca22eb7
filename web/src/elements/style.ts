// What all elements share: colours by custom properties, which a page may set, and shades.

import { css, unsafeCSS } from 'lit';
import { shadeRules } from '../palette';

export const shared = css`
  :host {
    --_page: var(--glossator-page, light-dark(#fff, #17181c));
    --_ink: var(--glossator-ink, light-dark(#16181d, #e8e9ec));
    --_quiet: var(--glossator-quiet, light-dark(#5b616e, #a0a6b2));
    --_line: var(--glossator-line, light-dark(#dcdfe5, #363a43));
    --_fill: var(--glossator-fill, light-dark(#8a93a3, #7d8696));
    --_alert: light-dark(#8f1d0a, #ffb4a1);
    --_alert-page: light-dark(#fdeee9, #3a1c15);
    --_gone: light-dark(#1d5f93, #86bdea);
    --_new: light-dark(#a03a00, #ffae7a);
    --_focus: var(--glossator-focus, light-dark(#1a5fb4, #8ab8ff));
    display: block;
    color: var(--_ink);
    background: var(--_page);
    font: var(--glossator-font, 1rem/1.5 system-ui, sans-serif);
    text-align: start;
  }
  :host([hidden]) { display: none; }
  :host([scheme='light']) { color-scheme: light; }
  :host([scheme='dark']) { color-scheme: dark; }
  * { box-sizing: border-box; }
  h2, h3, h4, p, ul, ol, dl, figure { margin: 0; padding: 0; }
  ul, ol { list-style: none; }
  h2 { font-size: 1.4rem; line-height: 1.25; font-weight: 650; overflow-wrap: anywhere; }
  h3 { font-size: 1.05rem; font-weight: 600; overflow-wrap: anywhere; }
  h4 { font-size: .85rem; font-weight: 600; color: var(--_quiet); margin-top: .75rem; overflow-wrap: anywhere; }
  .quiet, .legend, .note, .figures, summary { font-size: .85rem; color: var(--_quiet); overflow-wrap: anywhere; }
  .value { font-variant-numeric: tabular-nums; white-space: nowrap; }
  .alert { border-inline-start: .3rem solid var(--_alert); background: var(--_alert-page); color: var(--_alert); padding: .5rem .75rem; margin: .75rem 0; overflow-wrap: anywhere; }
  .figures { display: flex; flex-wrap: wrap; gap: 0 1.25rem; margin-top: .5rem; font-variant-numeric: tabular-nums; }
  .text { font-size: 1.15rem; line-height: 2.3; white-space: pre-wrap; overflow-wrap: anywhere; max-width: 46rem; unicode-bidi: isolate; }
  details { margin: .5rem 0 0; }
  summary { cursor: pointer; width: fit-content; padding: .15rem 0; }
  :focus-visible { outline: 2px solid var(--_focus); outline-offset: 2px; border-radius: .2rem; }
  .scroll { max-height: 30rem; overflow: auto; margin-top: .5rem; width: fit-content; max-width: 100%; border: 1px solid var(--_line); border-radius: .25rem; }
  table { border-collapse: collapse; font-size: .9rem; }
  th, td { text-align: start; font-weight: 400; padding: .15rem .6rem; border-top: 1px solid var(--_line); }
  th[scope='row'] { overflow-wrap: anywhere; min-width: 5rem; max-width: 24rem; }
  th.value, td.value { text-align: end; }
  thead th { position: sticky; top: 0; background: var(--_page); border-top: 0; color: var(--_quiet); z-index: 1; }
  .special { color: var(--_quiet); }
  .swatch { background: var(--bg); color: var(--fg); border-radius: .2em; padding: .1em .35em; }
  .raises { text-decoration: underline solid .09em; text-underline-offset: .22em; text-decoration-skip-ink: none; }
  .lowers { text-decoration: underline dotted .14em; text-underline-offset: .2em; text-decoration-skip-ink: none; }
  button { font: inherit; color: inherit; }
  .hidden { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
  @media print { * { print-color-adjust: exact; -webkit-print-color-adjust: exact; } .scroll { max-height: none; } }
  @media (forced-colors: active) { .w, .swatch, td { forced-color-adjust: none; } }
`;

/** Classes p1 .. n10 of every palette. */
export const shades = unsafeCSS(shadeRules());
