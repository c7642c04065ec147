//! Both engines through the one crate.

mod engines;
mod guest_fuel;
