//! The newest samples of something.

/// One measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// What was seen.
    pub value: i32,
    /// The value was this or less: nobody was there to see when.
    pub at_most: bool,
}

impl Sample {
    /// It was just that.
    #[must_use]
    pub fn exact(value: i32) -> Self {
        Self { value, at_most: false }
    }

    /// It was that or less.
    #[must_use]
    pub fn at_most(value: i32) -> Self {
        Self { value, at_most: true }
    }
}

/// The newest samples, up to a number: what is older is forgotten.
#[derive(Debug, Clone, Default)]
pub(crate) struct Samples {
    newest: Vec<Sample>,
    next: usize,
}

impl Samples {
    pub(crate) fn push(&mut self, sample: Sample, most: usize) {
        if self.newest.len() < most {
            self.newest.push(sample);
            return;
        }
        if let Some(slot) = self.newest.get_mut(self.next) {
            *slot = sample;
        }
        self.next = (self.next + 1) % most.max(1);
    }

    pub(crate) fn all(&self) -> &[Sample] {
        &self.newest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_sample_makes_room() {
        let mut samples = Samples::default();
        for value in 0..10 {
            samples.push(Sample::exact(value), 4);
        }
        let mut kept: Vec<_> = samples.all().iter().map(|s| s.value).collect();
        kept.sort_unstable();
        assert_eq!(kept, [6, 7, 8, 9]);
    }
}
