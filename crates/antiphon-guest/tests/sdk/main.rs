//! Guests on the developer's machine, and the messages for mistakes in guests.

mod guest;
mod refusals;
