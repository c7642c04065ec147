//! Files of cases: reading, running, updating and reporting them.

pub(crate) mod file;
pub(crate) mod junit;
pub(crate) mod replace;
pub(crate) mod run;
pub(crate) mod update;
