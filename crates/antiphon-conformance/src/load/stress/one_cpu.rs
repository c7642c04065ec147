//! Deadlines in a process that has one processor. The runner starts a process for each of these
//! cases.

use super::deadline::{Crowd, MODES, NEEDS, hold};
use super::scale;
use crate::suite::{Case, Subject, case};

pub(super) const TOPIC: &str = "one_cpu";

pub(super) const CASES: &[Case] =
    &[case!(one_cpu::deadlines_hold_with_a_quarter_of_a_processor_each).only(MODES).needs(NEEDS)];

fn deadlines_hold_with_a_quarter_of_a_processor_each(subject: &Subject) {
    hold(subject, 1, Crowd { at_once: 4, rounds: 8 * scale(), engines: 1 }, |_| ());
}
