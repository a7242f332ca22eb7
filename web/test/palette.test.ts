import { describe, expect, it } from 'vitest';
import {
  contrast,
  diverging,
  hex,
  ink,
  PALETTES,
  type PaletteName,
  type Scheme,
  sequential,
  shadeRules,
  step,
} from '../src/palette';

const SCHEMES: Scheme[] = ['light', 'dark'];

describe('palette', () => {
  it('has the numbers of the Rust renderers', () => {
    expect(hex(diverging(1, 'light'))).toBe('#e3813f');
    expect(hex(diverging(-1, 'light'))).toBe('#4aa4f3');
    expect(hex(sequential(1, 'light'))).toBe('#b485e6');
    expect(hex(diverging(1, 'dark'))).toBe('#ae5b1d');
    expect(hex(diverging(-1, 'dark'))).toBe('#2779bc');
    expect(hex(sequential(1, 'dark'))).toBe('#865eb1');
    expect(hex(diverging(Number.NaN, 'light'))).toBe('#ffffff');
  });

  it('leaves text readable on every shade', () => {
    for (const palette of Object.keys(PALETTES) as PaletteName[]) {
      for (const scheme of SCHEMES) {
        for (let i = -10; i <= 10; i++) {
          const shade =
            i < 0 ? diverging(i / 10, scheme, palette) : sequential(i / 10, scheme, palette);
          expect(contrast(ink(shade), shade)).toBeGreaterThanOrEqual(4.5);
          const raised = diverging(Math.abs(i) / 10, scheme, palette);
          expect(contrast(ink(raised), raised)).toBeGreaterThanOrEqual(4.5);
        }
      }
    }
  });

  // Brettel, Viénot & Mollon (1997) after Viénot et al. (1999): what dichromats see of a colour.
  const DEUTAN = [0.29275, 0.70725, -0.02234, 0.29275, 0.70725, 0.02234] as const;
  it('keeps both signs apart without red or without green', () => {
    const seen = (rgb: readonly [number, number, number]) => {
      const [r, g, b] = rgb.map((v) => (v / 255) ** 2.2) as [number, number, number];
      return [DEUTAN[0] * r + DEUTAN[1] * g, b] as const;
    };
    for (const palette of ['blue-orange', 'purple-green'] as const) {
      for (const scheme of SCHEMES) {
        const [a, b] = [seen(diverging(1, scheme, palette)), seen(diverging(-1, scheme, palette))];
        expect(Math.hypot(a[0] - b[0], a[1] - b[1]), `${palette} ${scheme}`).toBeGreaterThan(0.15);
      }
    }
  });

  it('counts ten steps', () => {
    expect(step(0.04)).toBe(0);
    expect(step(-0.06)).toBe(1);
    expect(step(7)).toBe(10);
    expect(step(Number.NaN)).toBe(0);
    expect(shadeRules().split('\n')).toHaveLength(3 * 3 * 10);
  });
});
