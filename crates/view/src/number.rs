//! How numbers are written for people: only as many digits as mean something.

/// How to write scores that stand together: all with the same digits, so that they line up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Digits {
    decimals: usize,
    exponent: bool,
}

impl Digits {
    /// Shows three digits of the largest of the scores.
    pub(crate) fn of(largest: f64) -> Self {
        if largest == 0.0 || !largest.is_finite() {
            return Self { decimals: 2, exponent: false };
        }
        let places = magnitude(largest);
        let exponent = !(-4..=5).contains(&places);
        let decimals = if exponent { 2 } else { usize::try_from(2 - places).unwrap_or(0) };
        Self { decimals, exponent }
    }

    /// Shows one digit less.
    pub(crate) fn shorter(self) -> Self {
        Self { decimals: self.decimals.saturating_sub(1), ..self }
    }

    /// Writes a score with its sign; exactly zero has none.
    pub(crate) fn signed(self, score: f64) -> String {
        let Self { decimals, exponent } = self;
        if score == 0.0 {
            format!("{:.*}", decimals, 0.0)
        } else if exponent {
            format!("{score:+.decimals$e}")
        } else {
            format!("{score:+.decimals$}")
        }
    }

    /// Writes a score that has no sign.
    pub(crate) fn unsigned(self, score: f64) -> String {
        let text = self.signed(score);
        text.strip_prefix('+').map_or_else(|| text.clone(), str::to_owned)
    }
}

/// Writes a quantity by itself with four digits.
pub(crate) fn amount(value: f64) -> String {
    significant(value, 4)
}

/// Writes an error with two digits; nobody knows an error better.
pub(crate) fn error(value: f64) -> String {
    significant(value, 2)
}

/// Writes a number with its sign, if it is not zero.
pub(crate) fn with_sign(value: f64, written: String) -> String {
    if value > 0.0 { format!("+{written}") } else { written }
}

fn significant(value: f64, digits: i32) -> String {
    if value == 0.0 {
        return "0".into();
    }
    let places = magnitude(value);
    if !(-4..=6).contains(&places) {
        return format!("{value:.*e}", usize::try_from(digits - 2).unwrap_or(0));
    }
    format!("{value:.*}", usize::try_from(digits - 1 - places).unwrap_or(0))
}

/// Writes a share of 1 as a percentage. Nothing is rounded up to certain or down to impossible.
pub(crate) fn percent(share: f64) -> String {
    let percent = share * 100.0;
    if percent < 0.05 && percent > 0.0 {
        "<0.1%".into()
    } else if percent > 99.95 && percent < 100.0 {
        ">99.9%".into()
    } else {
        format!("{percent:.1}%")
    }
}

/// Returns the power of ten of the first digit.
fn magnitude(value: f64) -> i32 {
    value.abs().log10().floor() as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_that_stand_together_line_up() {
        let digits = Digits::of(0.8123);
        assert_eq!(digits.signed(0.8123), "+0.812");
        assert_eq!(digits.signed(-0.0123), "-0.012");
        assert_eq!(digits.signed(0.0), "0.000");
        assert_eq!(digits.unsigned(0.8123), "0.812");
        assert_eq!(Digits::of(12.3).signed(12.34), "+12.3");
        assert_eq!(Digits::of(1234.5).signed(1234.5), "+1234");
        assert_eq!(Digits::of(1.5e-9).signed(1.5e-9), "+1.50e-9");
        assert_eq!(Digits::of(0.0).signed(-0.0), "0.00");
        assert_eq!(Digits::of(f64::MAX).signed(f64::MAX), "+1.80e308");
        assert_eq!(Digits::of(5e-324).signed(5e-324), "+4.94e-324");
    }

    #[test]
    fn amounts_have_four_digits() {
        assert_eq!(amount(3.21456), "3.215");
        assert_eq!(amount(-1234567.0), "-1234567");
        assert_eq!(amount(0.00012346), "0.0001235");
        assert_eq!(amount(1.2e-7), "1.20e-7");
        assert_eq!(error(0.00131), "0.0013");
        assert_eq!(error(-1.26e-7), "-1e-7");
        assert_eq!(with_sign(0.5, amount(0.5)), "+0.5000");
    }

    #[test]
    fn percentages_never_claim_certainty() {
        assert_eq!(percent(1.0), "100.0%");
        assert_eq!(percent(0.99999), ">99.9%");
        assert_eq!(percent(0.00001), "<0.1%");
        assert_eq!(percent(0.0), "0.0%");
        assert_eq!(percent(0.5), "50.0%");
    }
}
