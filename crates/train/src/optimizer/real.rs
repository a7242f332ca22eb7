//! The element types that a rule works on.

use std::ops::{Add, Div, Mul, Sub};

/// `f32` or `f64`.
pub trait Real:
    Copy
    + Send
    + Sync
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + 'static
{
    /// The nearest number of this type.
    fn from_f64(x: f64) -> Self;

    /// The number as `f64`.
    fn to_f64(self) -> f64;

    /// The square root.
    fn root(self) -> Self;

    /// The nearest number in `-limit..=limit`.
    fn clamp_to(self, limit: Self) -> Self;
}

macro_rules! real {
    ($type:ty) => {
        impl Real for $type {
            fn from_f64(x: f64) -> Self {
                x as Self
            }

            fn to_f64(self) -> f64 {
                f64::from(self)
            }

            fn root(self) -> Self {
                self.sqrt()
            }

            fn clamp_to(self, limit: Self) -> Self {
                // Unlike `clamp`, no branch and no panic for a limit that is not a number.
                self.max(-limit).min(limit)
            }
        }
    };
}

real!(f32);
real!(f64);
