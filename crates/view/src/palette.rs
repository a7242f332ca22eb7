//! Colours for scores: blue lowers, orange raises, purple where scores have no sign.
//!
//! Blue and orange stay apart for every common kind of colour blindness. Shades are mixed in Oklab
//! (Björn Ottosson, 2020), where equal steps look equal, and the two ends are equally light, so
//! that neither sign looks stronger than it is. Text on a shade always has a contrast of at least
//! 4.5 : 1 (WCAG 2.2, success criterion 1.4.3).

/// A colour in sRGB.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rgb(pub u8, pub u8, pub u8);

impl std::fmt::Display for Rgb {
    /// Writes the colour as CSS does: `#rrggbb`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Rgb(r, g, b) = self;
        write!(f, "#{r:02x}{g:02x}{b:02x}")
    }
}

/// Whether the page is light or dark; a score of zero has the page's colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// Dark text on a light page.
    Light,
    /// Light text on a dark page.
    Dark,
}

impl Scheme {
    /// Returns the colour of the page.
    pub fn page(self) -> Rgb {
        match self {
            Scheme::Light => Rgb(0xff, 0xff, 0xff),
            Scheme::Dark => Rgb(0x17, 0x18, 0x1c),
        }
    }
}

/// Lightness and the two colour axes of Oklab.
#[derive(Debug, Clone, Copy)]
struct Oklab(f64, f64, f64);

// The ends of the scales, as hue in degrees; vermillion and blue after Okabe and Ito (2008).
const RAISES: f64 = 52.0;
const LOWERS: f64 = 248.0;
const STRENGTH: f64 = 305.0;

/// Returns the shade of a signed score; `share` is -1 to 1, its part of the strongest score.
pub fn diverging(share: f64, scheme: Scheme) -> Rgb {
    shade(share.abs(), if share < 0.0 { LOWERS } else { RAISES }, scheme)
}

/// Returns the shade of a score without a sign; `share` is 0 to 1.
pub fn sequential(share: f64, scheme: Scheme) -> Rgb {
    shade(share, STRENGTH, scheme)
}

/// Returns the text colour for this background: near-black or white, whichever reads better.
pub fn ink(background: Rgb) -> Rgb {
    let (dark, light) = (Rgb(0x0d, 0x0e, 0x10), Rgb(0xff, 0xff, 0xff));
    if contrast(dark, background) >= contrast(light, background) { dark } else { light }
}

/// Returns the contrast ratio of two colours as WCAG defines it, 1 to 21.
pub fn contrast(a: Rgb, b: Rgb) -> f64 {
    let (a, b) = (luminance(a), luminance(b));
    (a.max(b) + 0.05) / (a.min(b) + 0.05)
}

/// Mixes page and full colour. Anything but a positive share, NaN too, is the page.
fn shade(share: f64, hue: f64, scheme: Scheme) -> Rgb {
    let share = if share > 0.0 { share.min(1.0) } else { return scheme.page() };
    let (lightness, chroma) = match scheme {
        Scheme::Light => (0.70, 0.145),
        Scheme::Dark => (0.56, 0.130),
    };
    let (sin, cos) = hue.to_radians().sin_cos();
    let (from, to) = (oklab(scheme.page()), Oklab(lightness, chroma * cos, chroma * sin));
    let mix = |a: f64, b: f64| a + share * (b - a);
    srgb(Oklab(mix(from.0, to.0), mix(from.1, to.1), mix(from.2, to.2)))
}

fn luminance(colour: Rgb) -> f64 {
    let [r, g, b] = linear(colour);
    0.2126 * r + 0.7152 * g + 0.0722 * b
}

/// Undoes the sRGB transfer function (IEC 61966-2-1).
fn linear(Rgb(r, g, b): Rgb) -> [f64; 3] {
    [r, g, b].map(|byte| {
        let v = f64::from(byte) / 255.0;
        if v <= 0.04045 { v / 12.92 } else { ((v + 0.055) / 1.055).powf(2.4) }
    })
}

fn oklab(colour: Rgb) -> Oklab {
    let [r, g, b] = linear(colour);
    let l = (0.4122214708 * r + 0.5363325363 * g + 0.0514459929 * b).cbrt();
    let m = (0.2119034982 * r + 0.6806995451 * g + 0.1073969566 * b).cbrt();
    let s = (0.0883024619 * r + 0.2817188376 * g + 0.6299787005 * b).cbrt();
    Oklab(
        0.2104542553 * l + 0.7936177850 * m - 0.0040720468 * s,
        1.9779984951 * l - 2.4285922050 * m + 0.4505937099 * s,
        0.0259040371 * l + 0.7827717662 * m - 0.8086757660 * s,
    )
}

fn srgb(Oklab(lightness, a, b): Oklab) -> Rgb {
    let l = (lightness + 0.3963377774 * a + 0.2158037573 * b).powi(3);
    let m = (lightness - 0.1055613458 * a - 0.0638541728 * b).powi(3);
    let s = (lightness - 0.0894841775 * a - 1.2914855480 * b).powi(3);
    let [r, g, b] = [
        4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s,
        -1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s,
        -0.0041960863 * l - 0.7034186147 * m + 1.7076147010 * s,
    ]
    .map(|v: f64| {
        let v = if v <= 0.0031308 { 12.92 * v } else { 1.055 * v.powf(1.0 / 2.4) - 0.055 };
        (v.clamp(0.0, 1.0) * 255.0).round() as u8
    });
    Rgb(r, g, b)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn every_shade() -> impl Iterator<Item = (f64, Scheme, Rgb)> {
        [Scheme::Light, Scheme::Dark].into_iter().flat_map(|scheme| {
            (-100..=100).flat_map(move |percent| {
                let share = f64::from(percent) / 100.0;
                [diverging(share, scheme), sequential(share.abs(), scheme)]
                    .map(|colour| (share, scheme, colour))
            })
        })
    }

    #[test]
    fn text_reads_on_every_shade() {
        for (share, scheme, colour) in every_shade() {
            let ratio = contrast(ink(colour), colour);
            assert!(ratio >= 4.5, "{share} {scheme:?} {colour}: {ratio}");
        }
    }

    #[test]
    fn contrast_is_what_wcag_says() {
        assert_eq!(contrast(Rgb(0, 0, 0), Rgb(255, 255, 255)), 21.0);
        // #767676 is the lightest grey that passes on white.
        assert!((contrast(Rgb(0x76, 0x76, 0x76), Rgb(255, 255, 255)) - 4.54).abs() < 0.01);
    }

    #[test]
    fn zero_has_the_colour_of_the_page_and_bad_numbers_too() {
        for scheme in [Scheme::Light, Scheme::Dark] {
            assert_eq!(diverging(0.0, scheme), scheme.page());
            assert_eq!(diverging(-0.0, scheme), scheme.page());
            assert_eq!(diverging(f64::NAN, scheme), scheme.page());
            assert_eq!(sequential(7.0, scheme), sequential(1.0, scheme));
        }
    }

    #[test]
    fn oklab_round_trips() {
        for (_, _, colour) in every_shade() {
            assert_eq!(srgb(oklab(colour)), colour);
        }
    }

    #[test]
    fn both_signs_are_equally_light_and_grow_away_from_the_page() {
        for scheme in [Scheme::Light, Scheme::Dark] {
            let far =
                |share: f64| (oklab(diverging(share, scheme)).0 - oklab(scheme.page()).0).abs();
            for step in 1..=10 {
                let share = f64::from(step) / 10.0;
                assert!((far(share) - far(-share)).abs() < 0.02, "{scheme:?} {share}");
                assert!(far(share) > far(share - 0.1), "{scheme:?} {share}");
            }
        }
    }

    #[test]
    fn the_ends_are_blue_orange_and_purple() {
        let hex = |colour: Rgb| colour.to_string();
        insta::assert_snapshot!(hex(diverging(1.0, Scheme::Light)), @"#e3813f");
        insta::assert_snapshot!(hex(diverging(-1.0, Scheme::Light)), @"#4aa4f3");
        insta::assert_snapshot!(hex(sequential(1.0, Scheme::Light)), @"#b485e6");
        insta::assert_snapshot!(hex(diverging(1.0, Scheme::Dark)), @"#ae5b1d");
        insta::assert_snapshot!(hex(diverging(-1.0, Scheme::Dark)), @"#2779bc");
        insta::assert_snapshot!(hex(sequential(1.0, Scheme::Dark)), @"#865eb1");
    }
}
