import { describe, expect, it, vi } from 'vitest';
import { EventParser } from '../src/app/api/sse';
import { joinTarget, kinds, splitTarget } from '../src/app/panels/target-form';
import { Run } from '../src/app/state/run';
import { values } from '../src/app/state/session';
import { fromHash, initial, toHash, type ViewState } from '../src/app/state/view';
import { keyTarget } from '../src/elements/keys';
import type { ModelInfo } from '../src/wire/http';

describe('the address', () => {
  it('is empty in the beginning', () => {
    expect(toHash(initial())).toBe('');
    expect(fromHash('')).toEqual(initial());
  });

  it('holds the whole view', () => {
    const view: ViewState = {
      model: 'org/name',
      input: { text: 'a & b = c #1\n电影', pair: '' },
      options: { generate: '5', truncate: 'true' },
      tab: 'attack',
      methods: ['gradient', 'occlusion'],
      settings: { 'integrated-gradients': { rule: 'adaptive', 'max-evaluations': '90' } },
      preset: true,
      target: 'a-vs-b',
      quantity: 'probability',
      explanation: 2,
      by: 'token',
      top: 3,
      normalise: 'share',
      palette: 'grey',
      scheme: 'dark',
      attack: 'hotflip',
      attackTarget: 'neutral',
      attackSettings: { 'max-edits': '2' },
      attacked: true,
      layer: 1,
      head: 4,
      rollout: true,
      shape: 'arcs',
      otherModel: 'other',
      otherInput: { text: 'د' },
    };
    expect(Object.keys(view).sort()).toEqual(Object.keys(initial()).sort());
    expect(fromHash(toHash(view))).toEqual(view);
  });

  it('is not believed where it makes no sense', () => {
    const view = fromHash(
      '#tab=evil&by=letter&top=-3&palette=__proto__&head=x&layer=1e9&scheme=blink&unknown=1',
    );
    expect(view).toEqual({ ...initial(), layer: 1e9, head: 0 });
  });
});

describe('server-sent events', () => {
  const text =
    'event: progress\ndata: {"a":1}\n\n: note\r\nevent:result\r\ndata: one\r\ndata: two\r\n\r\n\n\ndata: x\n\n';
  const all = [
    { event: 'progress', data: '{"a":1}' },
    { event: 'result', data: 'one\ntwo' },
    { event: 'message', data: 'x' },
  ];

  it('are the same wherever the stream is cut', () => {
    for (const size of [1, 2, 3, 7, 1000]) {
      const parser = new EventParser();
      const got = [];
      for (let i = 0; i < text.length; i += size) got.push(...parser.push(text.slice(i, i + size)));
      expect(got, String(size)).toEqual(all);
    }
  });
});

describe('a run', () => {
  it('drops the late answer of an earlier request', async () => {
    const run = new Run<string>(() => undefined);
    const answers: Array<(value: string) => void> = [];
    const ask = () => new Promise<string>((resolve) => answers.push(resolve));
    const aborted = vi.fn();
    const first = run.start((watch) => {
      watch.signal.addEventListener('abort', aborted);
      return ask();
    });
    const second = run.start(ask);
    answers[1]!('new');
    await second;
    answers[0]!('old');
    await first;
    expect([run.state, run.value]).toEqual(['done', 'new']);
    expect(aborted).toHaveBeenCalledOnce();
  });

  it('can be given up, and tells a problem', async () => {
    const run = new Run<string>(() => undefined);
    const first = run.start(
      ({ signal }) =>
        new Promise((_, fail) => {
          signal.addEventListener('abort', () => fail(new Error('aborted')));
        }),
    );
    run.cancel();
    await first;
    expect(run.state).toBe('cancelled');
    await run.start(() => Promise.reject(new Error('boom')));
    expect([run.state, run.problem?.detail]).toEqual(['failed', 'boom']);
  });

  it('keeps the earlier answer while the next is on its way', async () => {
    const run = new Run<string>(() => undefined);
    await run.start(() => Promise.resolve('one'));
    void run.start(() => new Promise(() => undefined));
    expect([run.running, run.value]).toEqual([true, 'one']);
  });
});

describe('forms', () => {
  it('send settings as what they are', () => {
    const setting = (name: string, kind: 'integer' | 'boolean' | 'text' | 'number') => ({
      name,
      kind,
      help: '',
      default: '',
    });
    const known = [
      setting('n', 'integer'),
      setting('x', 'number'),
      setting('on', 'boolean'),
      setting('t', 'text'),
      setting('left', 'text'),
    ];
    expect(
      values({ n: '3', x: 'abc', on: 'true', t: ' a ', left: '', unknown: '1' }, known),
    ).toEqual({ n: 3, x: 'abc', on: true, t: 'a' });
  });

  it('split contrasts at labels', () => {
    expect(splitTarget('a-vs-b', ['a', 'b'])).toEqual(['a', 'b']);
    expect(splitTarget('a-vs-b', ['a-vs-b', 'a', 'b'])).toEqual(['a-vs-b', '']);
    expect(splitTarget('x-vs-y-vs-z', ['x-vs-y', 'z'])).toEqual(['x-vs-y', 'z']);
    expect(splitTarget('Paris-vs-London', [])).toEqual(['Paris', 'London']);
    expect(joinTarget('a', '')).toBe('a');
  });

  it('know the kinds of entities', () => {
    const model = {
      task: 'token-classification',
      labels: ['O', 'B-LOC', 'I-LOC', 'B-PER'],
    } as ModelInfo;
    expect(kinds(model)).toEqual(['LOC', 'PER']);
  });

  it('move by arrow keys, in the direction of the text', () => {
    expect(keyTarget({ key: 'ArrowRight' }, 0, 3)).toBe(1);
    expect(keyTarget({ key: 'ArrowRight' }, 1, 3, true)).toBe(0);
    expect(keyTarget({ key: 'ArrowDown' }, 2, 3)).toBe(2);
    expect(keyTarget({ key: 'End' }, 0, 3)).toBe(2);
    expect(keyTarget({ key: 'a' }, 0, 3)).toBeUndefined();
  });
});
