//! The sequence of choices that makes a schedule, and the next one.

/// What is chosen wherever more than one thing can happen.
#[derive(Default)]
pub(super) struct Choices {
    /// What was chosen, of how many.
    taken: Vec<(usize, usize)>,
    at: usize,
}

impl Choices {
    /// One of `options`: the first wherever no schedule has been before.
    pub(super) fn choose(&mut self, options: usize) -> usize {
        if self.is_new() {
            self.taken.push((0, options));
        }
        let (chosen, known) = self.taken[self.at];
        assert_eq!(known, options, "a schedule does not repeat");
        self.at += 1;
        chosen
    }

    /// Whether the next choice is one that no schedule has reached along this path.
    pub(super) fn is_new(&self) -> bool {
        self.at == self.taken.len()
    }

    /// How many were made.
    pub(super) fn len(&self) -> usize {
        self.taken.len()
    }

    /// Goes back to the beginning of the same sequence.
    pub(super) fn rewind(&mut self) {
        self.at = 0;
    }

    /// Goes on to the next sequence; false if there is none.
    pub(super) fn go_on(&mut self) -> bool {
        self.at = 0;
        while let Some((chosen, options)) = self.taken.pop() {
            if chosen + 1 < options {
                self.taken.push((chosen + 1, options));
                return true;
            }
        }
        false
    }
}
