//! Which messages are on their way: the cursor moves over what is acknowledged without a gap.

use std::collections::VecDeque;

/// Positions from the cursor on.
#[derive(Debug)]
pub(super) struct Window {
    cursor: u64,
    /// Whether each position from the cursor on is done.
    done: VecDeque<bool>,
    in_flight: usize,
}

impl Window {
    pub(super) const fn new(cursor: u64) -> Self {
        Self { cursor, done: VecDeque::new(), in_flight: 0 }
    }

    /// All before it is done.
    pub(super) const fn cursor(&self) -> u64 {
        self.cursor
    }

    /// The position that comes next.
    pub(super) fn next(&self) -> u64 {
        self.cursor + self.done.len() as u64
    }

    /// How many are on their way.
    pub(super) const fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// The next position is on its way.
    pub(super) fn sent(&mut self) {
        self.done.push_back(false);
        self.in_flight += 1;
    }

    /// Nothing has to be sent at the next position.
    pub(super) fn passed(&mut self) {
        self.done.push_back(true);
        self.advance();
    }

    /// What was sent at a position has arrived, or never will.
    pub(super) fn ended(&mut self, position: u64) {
        let place = position.checked_sub(self.cursor).and_then(|place| usize::try_from(place).ok());
        let Some(done) = place.and_then(|place| self.done.get_mut(place)) else { return };
        if !std::mem::replace(done, true) {
            self.in_flight -= 1;
        }
        self.advance();
    }

    fn advance(&mut self) {
        while self.done.front() == Some(&true) {
            self.done.pop_front();
            self.cursor += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cursor_never_passes_what_is_on_its_way() {
        let mut window = Window::new(10);
        window.sent();
        window.passed();
        window.sent();
        assert_eq!((window.cursor(), window.next(), window.in_flight()), (10, 13, 2));
        window.ended(12);
        assert_eq!((window.cursor(), window.in_flight()), (10, 1));
        window.ended(12);
        window.ended(9);
        assert_eq!((window.cursor(), window.in_flight()), (10, 1));
        window.ended(10);
        assert_eq!((window.cursor(), window.next(), window.in_flight()), (13, 13, 0));
    }
}
