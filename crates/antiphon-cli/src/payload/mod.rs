//! Payloads and answers as a person writes and reads them.

pub(crate) mod forms;
pub(crate) mod wide_numbers;
