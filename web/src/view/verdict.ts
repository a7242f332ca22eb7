// What came of an attack, in words.

import { count, percent } from '../text/numbers';
import type { AttackDocument, AttackResult, AttackSummary, Certificate, Mean } from '../wire/types';

/** Why an attack ended without success; what is not here is that nothing was left to try. */
const STOPPED: Record<string, string> = {
  spent: 'a limit was reached first',
  fixed: 'nothing may be changed',
};

/** Whether an attack is to keep the prediction. */
export function reduces(document: AttackDocument): boolean {
  return document.attack.id === 'input-reduction';
}

/** What came of it, in a phrase: the first part is to be set in bold. */
export function verdict(document: AttackDocument, result: AttackResult): [string, string] {
  const cost =
    `${count(result.forward_passes, 'forward pass', 'forward passes')}, ` +
    count(result.gradient_evaluations, 'gradient');
  const why = STOPPED[result.stopped] ?? 'all that it would try was tried';
  const verb = reduces(document) ? 'reduced' : 'flipped';
  if (!result.success) return [`not ${verb}:`, `${why}; ${cost}`];
  if (!reduces(document)) return [verb, `by ${count(result.edits.length, 'edit')}; ${cost}`];
  const kept = (result.kept ?? []).reduce((sum, list) => sum + list.length, 0);
  const all = document.input.fields.flatMap((field) => field.tokens).filter((t) => !t.special);
  return [verb, `to ${kept} of ${count(all.length, 'token')}; ${cost}`];
}

/** What a certificate says, as a sentence. */
export function proof(document: AttackDocument, certificate: Certificate): string {
  const [what, unit] = reduces(document) ? ['reduction', 'word'] : ['flip', 'edit'];
  const size = count(certificate.size, unit);
  const { evaluated, set } = certificate;
  switch (certificate.kind) {
    case 'minimal':
      return `proven: no ${what} of less than ${size} among ${set} (${evaluated} texts tried)`;
    case 'nothing':
      return `proven: no ${what} of up to ${size} among ${set} (${evaluated} texts tried)`;
    default:
      return (
        `not proven: the budget ended after ${evaluated} of ${certificate.of} texts; ` +
        `no ${what} of less than ${size} among ${set}`
      );
  }
}

/** The lines of a summary: a name and a value each. */
export function summaryLines(summary: AttackSummary): Array<[string, string]> {
  const counts = summary.summary;
  const share = (mean: Mean) =>
    `${percent(mean.mean)} (95% interval ${percent(mean.interval[0]!)} to ${percent(mean.interval[1]!)})`;
  const mean = (one: Mean) =>
    `${one.mean.toFixed(2)} (95% interval ${one.interval[0]!.toFixed(2)} to ${one.interval[1]!.toFixed(2)})`;
  const lines: Array<[string, string]> = [
    ['inputs', String(counts.inputs)],
    ['attacked', String(counts.attacked)],
    ['succeeded', String(counts.succeeded)],
  ];
  if (counts.wrong > 0) lines.push(['wrong before', String(counts.wrong)]);
  if (counts.errors > 0) lines.push(['errors', String(counts.errors)]);
  if (counts.spent > 0) lines.push(['ended by a limit', String(counts.spent)]);
  if (counts.success_rate) lines.push(['success rate', share(counts.success_rate)]);
  if (counts.edits) lines.push(['edits of a success', mean(counts.edits)]);
  if (counts.kept) lines.push(['tokens kept', share(counts.kept)]);
  if (counts.forward_passes) lines.push(['forward passes', mean(counts.forward_passes)]);
  if (counts.gradient_evaluations) lines.push(['gradients', mean(counts.gradient_evaluations)]);
  return lines;
}
