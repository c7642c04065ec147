//! Payloads and answers as a person writes and reads them.

mod forms;
mod marked;
mod wide_numbers;

pub(crate) use forms::{Codec, Payload, Unfit, hex_of_bytes};
pub(crate) use marked::no_bytes;
pub(crate) use wide_numbers::{WideNumber, wide_number};
