//! Arguments and environment: `args_*` and `environ_*`.

use crate::abi::memory::wide;
use crate::abi::{Stop, settle};
use crate::call::Call;

impl Call<'_> {
    /// Writes the arguments, each with a NUL, to `buffer`, and pointers to them to `pointers`.
    pub fn args_get(&mut self, pointers: i32, buffer: i32) -> Result<i32, Stop> {
        let strings = self.session.world.arguments();
        settle("args_get", strings.write(self.memory, wide(pointers), buffer.cast_unsigned()))
    }

    /// Writes the number of arguments, and how many bytes `args_get` needs for them.
    pub fn args_sizes_get(&mut self, count: i32, size: i32) -> Result<i32, Stop> {
        let strings = self.session.world.arguments();
        settle("args_sizes_get", strings.sizes(self.memory, wide(count), wide(size)))
    }

    /// Writes the environment to `buffer`, as `name=value` with a NUL, and pointers to its entries
    /// to `pointers`.
    pub fn environ_get(&mut self, pointers: i32, buffer: i32) -> Result<i32, Stop> {
        let strings = self.session.world.environment();
        settle("environ_get", strings.write(self.memory, wide(pointers), buffer.cast_unsigned()))
    }

    /// Writes the number of variables, and how many bytes `environ_get` needs for them.
    pub fn environ_sizes_get(&mut self, count: i32, size: i32) -> Result<i32, Stop> {
        let strings = self.session.world.environment();
        settle("environ_sizes_get", strings.sizes(self.memory, wide(count), wide(size)))
    }
}

#[cfg(test)]
mod tests {
    use crate::fixture::Guest;
    use crate::{Stop, World};

    fn guest() -> Guest {
        Guest::new(&World::new(["prog", "-v"], [("A", "1")]).expect("a small world"))
    }

    #[test]
    fn arguments_arrive() {
        let mut guest = guest();
        assert_eq!(guest.call(|call| call.args_sizes_get(0, 4)), Ok(0));
        assert_eq!((guest.u32_at(0), guest.u32_at(4)), (2, 8));
        assert_eq!(guest.call(|call| call.args_get(0, 16)), Ok(0));
        assert_eq!((guest.u32_at(0), guest.u32_at(4)), (16, 21));
        assert_eq!(&guest.memory[16..25], b"prog\0-v\0\0");
    }

    #[test]
    fn the_environment_arrives() {
        let mut guest = guest();
        assert_eq!(guest.call(|call| call.environ_sizes_get(0, 4)), Ok(0));
        assert_eq!((guest.u32_at(0), guest.u32_at(4)), (1, 4));
        assert_eq!(guest.call(|call| call.environ_get(0, 16)), Ok(0));
        assert_eq!(guest.u32_at(0), 16);
        assert_eq!(&guest.memory[16..20], b"A=1\0");
    }

    #[test]
    fn a_buffer_at_the_end_of_memory_is_a_fault_that_names_the_function() {
        let mut guest = guest();
        for (outcome, function) in [
            (guest.call(|call| call.args_get(0, 65_530)), "args_get"),
            (guest.call(|call| call.args_sizes_get(-1, 0)), "args_sizes_get"),
            (guest.call(|call| call.environ_get(-4, 0)), "environ_get"),
            (guest.call(|call| call.environ_sizes_get(0, 65_533)), "environ_sizes_get"),
        ] {
            let Err(Stop::Fault(fault)) = outcome else { panic!("{function} answered {outcome:?}") };
            assert_eq!((fault.function, fault.memory), (function, 65_536));
        }
    }
}
