// Colours for scores. The numbers are those of the Rust renderers: shades are mixed in Oklab (Björn
// Ottosson, 2020) between the page and an end; both ends are equally light, so that neither sign
// looks stronger, and text on any shade has a contrast of at least 4.5 : 1.

export type Scheme = 'light' | 'dark';
export type Rgb = readonly [number, number, number];
type Oklab = readonly [number, number, number];

/** Hues in degrees, and how much colour there is of the usual. */
interface Hues {
  raises: number;
  lowers: number;
  strength: number;
  chroma: number;
  /** Lightness of the ends on a dark page. */
  dark: number;
}

/**
 * Each is safe for colour-blind readers: blue and orange, or purple and green that differ in blue
 * too, or no hue at all. The sign is in the line under a word and in its number as well.
 */
export const PALETTES = {
  'blue-orange': { raises: 52, lowers: 248, strength: 305, chroma: 1, dark: 0.56 },
  'purple-green': { raises: 150, lowers: 318, strength: 195, chroma: 0.8, dark: 0.545 },
  grey: { raises: 0, lowers: 0, strength: 0, chroma: 0, dark: 0.56 },
} satisfies Record<string, Hues>;

export type PaletteName = keyof typeof PALETTES;

export const PAGE: Record<Scheme, Rgb> = { light: [0xff, 0xff, 0xff], dark: [0x17, 0x18, 0x1c] };
/** Lightness and chroma of the ends: a dark page has its lightness from the palette. */
const LIGHTNESS = 0.7;
const CHROMA: Record<Scheme, number> = { light: 0.145, dark: 0.13 };
const DARK_INK: Rgb = [0x0d, 0x0e, 0x10];
const LIGHT_INK: Rgb = [0xff, 0xff, 0xff];

/** Shades of each hue; a class each, which keeps long texts quick. */
export const STEPS = 10;

/** The shade of a signed score; `share` is -1 to 1, its part of the strongest score. */
export function diverging(
  share: number,
  scheme: Scheme,
  palette: PaletteName = 'blue-orange',
): Rgb {
  const hues = PALETTES[palette];
  return shade(Math.abs(share), share < 0 ? hues.lowers : hues.raises, hues, scheme);
}

/** The shade of a score without a sign; `share` is 0 to 1. */
export function sequential(
  share: number,
  scheme: Scheme,
  palette: PaletteName = 'blue-orange',
): Rgb {
  const hues = PALETTES[palette];
  return shade(share, hues.strength, hues, scheme);
}

/** Near-black or white, whichever reads better on this background. */
export function ink(background: Rgb): Rgb {
  return contrast(DARK_INK, background) >= contrast(LIGHT_INK, background) ? DARK_INK : LIGHT_INK;
}

/** The contrast ratio of two colours as WCAG 2.2 defines it, 1 to 21. */
export function contrast(a: Rgb, b: Rgb): number {
  const [one, other] = [luminance(a), luminance(b)];
  return (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
}

export function hex(colour: Rgb): string {
  return `#${colour.map((byte) => byte.toString(16).padStart(2, '0')).join('')}`;
}

/** The step of a share, 0 to `STEPS`; anything but a number is 0. */
export function step(share: number): number {
  return Number.isFinite(share) ? Math.round(Math.min(Math.abs(share), 1) * STEPS) : 0;
}

/** Rules for the classes p1 .. p10 (raises), n1 .. n10 (lowers), s1 .. s10 (no sign). */
export function shadeRules(): string {
  const rules: string[] = [];
  for (const palette of Object.keys(PALETTES) as PaletteName[]) {
    const host = palette === 'blue-orange' ? '' : `:host([palette="${palette}"]) `;
    for (let i = 1; i <= STEPS; i++) {
      const share = i / STEPS;
      const both = (colour: (scheme: Scheme) => Rgb) => {
        const [light, dark] = [colour('light'), colour('dark')];
        const pair = (a: Rgb, b: Rgb) => `light-dark(${hex(a)},${hex(b)})`;
        return `{--bg:${pair(light, dark)};--fg:${pair(ink(light), ink(dark))}}`;
      };
      rules.push(`${host}.p${i}${both((s) => diverging(share, s, palette))}`);
      rules.push(`${host}.n${i}${both((s) => diverging(-share, s, palette))}`);
      rules.push(`${host}.s${i}${both((s) => sequential(share, s, palette))}`);
    }
  }
  return rules.join('\n');
}

function shade(share: number, hue: number, hues: Hues, scheme: Scheme): Rgb {
  if (!(share > 0)) return PAGE[scheme];
  const part = Math.min(share, 1);
  const lightness = scheme === 'light' ? LIGHTNESS : hues.dark;
  const angle = (hue * Math.PI) / 180;
  const strength = CHROMA[scheme] * hues.chroma;
  const from = oklab(PAGE[scheme]);
  const to = [lightness, strength * Math.cos(angle), strength * Math.sin(angle)] as const;
  const mix = (i: 0 | 1 | 2) => from[i] + part * (to[i] - from[i]);
  return srgb([mix(0), mix(1), mix(2)]);
}

function luminance(colour: Rgb): number {
  const [r, g, b] = linear(colour);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

/** Undoes the sRGB transfer function (IEC 61966-2-1). */
function linear(colour: Rgb): Rgb {
  const one = (byte: number) => {
    const v = byte / 255;
    return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  };
  return [one(colour[0]), one(colour[1]), one(colour[2])];
}

function oklab(colour: Rgb): Oklab {
  const [r, g, b] = linear(colour);
  const l = Math.cbrt(0.4122214708 * r + 0.5363325363 * g + 0.0514459929 * b);
  const m = Math.cbrt(0.2119034982 * r + 0.6806995451 * g + 0.1073969566 * b);
  const s = Math.cbrt(0.0883024619 * r + 0.2817188376 * g + 0.6299787005 * b);
  return [
    0.2104542553 * l + 0.793617785 * m - 0.0040720468 * s,
    1.9779984951 * l - 2.428592205 * m + 0.4505937099 * s,
    0.0259040371 * l + 0.7827717662 * m - 0.808675766 * s,
  ];
}

function srgb([lightness, a, b]: Oklab): Rgb {
  const l = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3;
  const m = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3;
  const s = (lightness - 0.0894841775 * a - 1.291485548 * b) ** 3;
  const byte = (v: number) => {
    const gamma = v <= 0.0031308 ? 12.92 * v : 1.055 * v ** (1 / 2.4) - 0.055;
    return Math.round(Math.min(Math.max(gamma, 0), 1) * 255);
  };
  return [
    byte(4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s),
    byte(-1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s),
    byte(-0.0041960863 * l - 0.7034186147 * m + 1.707614701 * s),
  ];
}
