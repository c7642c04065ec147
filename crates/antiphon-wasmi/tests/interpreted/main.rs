//! Guests on wasmi. What measures the process is in `leaks`.

mod builder;
mod fuel;
mod overshoot;
mod slices;
mod start;
mod table_grow;
mod threads;
mod wrapped;
