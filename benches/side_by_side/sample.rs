//! Figures of one kind, and how far they spread. Never an average: one slow run must not move the result.

/// Figures in the order in which they were measured, so that those of one round can be compared.
#[derive(Debug, Clone, Default)]
pub struct Sample(Vec<f64>);

impl Sample {
    pub fn add(&mut self, figure: f64) {
        self.0.push(figure);
    }

    pub fn median(&self) -> f64 {
        self.quantile(0.5)
    }

    pub fn worst(&self) -> f64 {
        self.quantile(1.0)
    }

    /// The differences to the other's figures of the same rounds.
    pub fn minus(&self, other: &Self) -> Self {
        let pairs = self.0.iter().zip(&other.0);
        Self(pairs.map(|(own, other)| own - other).collect())
    }

    /// `412 ms [405 .. 430]`: median and quartiles.
    pub fn shown(&self, unit: &str) -> String {
        format!("{} {unit} {}", figure(self.median()), self.quartiles())
    }

    /// `[405 .. 430]`.
    pub fn quartiles(&self) -> String {
        let [lower, upper] = [0.25, 0.75].map(|part| figure(self.quantile(part)));
        format!("[{lower} .. {upper}]")
    }

    /// The figure below which that part of all figures is, between two of them if need be.
    fn quantile(&self, part: f64) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let last = sorted.len().checked_sub(1).expect("something was measured");
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "samples are small and parts are between 0 and 1"
        )]
        let (below, beyond) = {
            let place = part * last as f64;
            (place.floor() as usize, place.fract())
        };
        let above = sorted[(below + 1).min(last)];
        sorted[below] + (above - sorted[below]) * beyond
    }
}

/// A figure with three digits, where it has so many.
pub fn figure(value: f64) -> String {
    let decimals = match value.abs() {
        small if small < 9.995 => 2,
        middling if middling < 99.95 => 1,
        _ => 0,
    };
    format!("{value:.decimals$}")
}
