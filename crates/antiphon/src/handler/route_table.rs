//! A table that finds the most specific route in a number of steps that does not grow with the
//! number of routes.
//!
//! A name is hashed once. A table with a key for each of the eight shapes of a pattern would hash a
//! hostile name of a kibibyte four times. So names are numbered first, each part in a map of its
//! own, and routes lie under three numbers. A search takes three hashes of names and at most eight
//! of numbers, with one route or a thousand. Each name knows in which shapes it occurs, which rules
//! out most of the eight. Names are hashed so that no guest can make them collide; the numbers are
//! our own, so a multiplication suffices.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hash, Hasher};

use super::id_map::ByNumber;

/// The number of parts of a pattern: binding, namespace and operation.
pub(super) const PARTS: usize = 3;

/// Which parts are exact, most specific shape first: shapes with more exact parts come first, and
/// among equals a binding comes before a namespace, and a namespace before an operation.
const SHAPES: [[bool; PARTS]; 8] = [
    [true, true, true],
    [true, true, false],
    [true, false, true],
    [false, true, true],
    [true, false, false],
    [false, true, false],
    [false, false, true],
    [false, false, false],
];

/// For each part, the shapes that take any name there, one bit each.
const WILD: [u8; PARTS] = [0b1110_1000, 0b1101_0100, 0b1011_0010];

fn bit_of(shape: [bool; PARTS]) -> u8 {
    SHAPES.iter().position(|other| *other == shape).map_or(0, |place| 1 << place)
}

/// The number that stands for any name. Names are numbered from 1.
const ANY: usize = 0;

/// A map from patterns to routes.
pub(super) struct RouteTable<R, S = RandomState, N = ByNumber> {
    names: [HashMap<Box<str>, Name, S>; PARTS],
    routes: HashMap<Key, R, N>,
    /// The shapes that some route has, one bit each.
    shapes: u8,
}

/// A name in one part of some routes.
#[derive(Clone, Copy, Debug)]
struct Name {
    number: usize,
    /// The shapes of those routes, one bit each. The first of [`SHAPES`] has the lowest bit.
    shapes: u8,
}

/// The numbers of a pattern's three parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Key([usize; PARTS]);

/// Hashes one number after the other: an array would hash its length, and its bytes.
impl Hash for Key {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        for number in self.0 {
            state.write_usize(number);
        }
    }
}

impl<R, S: BuildHasher + Clone, N: BuildHasher> RouteTable<R, S, N> {
    pub(super) fn with_hashers(names: S, numbers: N) -> Self {
        Self {
            names: std::array::from_fn(|_| HashMap::with_hasher(names.clone())),
            routes: HashMap::with_hasher(numbers),
            shapes: 0,
        }
    }

    /// Adds a route, and returns the earlier one of the same pattern. `None` is any name.
    pub(super) fn insert(&mut self, pattern: [Option<&str>; PARTS], route: R) -> Option<R> {
        let shape = bit_of(pattern.map(|part| part.is_some()));
        self.shapes |= shape;
        let mut key = [ANY; PARTS];
        for ((slot, names), part) in key.iter_mut().zip(&mut self.names).zip(pattern) {
            if let Some(name) = part {
                let number = names.len() + 1;
                let name = names.entry(name.into()).or_insert(Name { number, shapes: 0 });
                name.shapes |= shape;
                *slot = name.number;
            }
        }
        self.routes.insert(Key(key), route)
    }

    /// Returns the most specific route that matches. It looks up three names and at most eight
    /// patterns, whatever the table holds, and allocates nothing.
    pub(super) fn find(&self, [binding, namespace, operation]: [&str; PARTS]) -> Option<&R> {
        let [bindings, namespaces, operations] = &self.names;
        let names = [bindings.get(binding), namespaces.get(namespace), operations.get(operation)];
        // Most shapes are out: none of their routes has a name that would have to be there.
        let mut shapes = self.shapes;
        for (name, wild) in names.iter().zip(WILD) {
            shapes &= wild | name.map_or(0, |name| name.shapes);
        }
        SHAPES.into_iter().enumerate().filter(|(place, _)| (shapes >> place) & 1 == 1).find_map(
            |(_, shape)| {
                let mut key = [ANY; PARTS];
                for ((slot, name), exact) in key.iter_mut().zip(names).zip(shape) {
                    if exact {
                        *slot = name?.number;
                    }
                }
                self.routes.get(&Key(key))
            },
        )
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &R> {
        self.routes.values()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::hash::DefaultHasher;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// Counts how often anything is hashed.
    #[derive(Clone, Default)]
    struct Counting(Arc<AtomicUsize>);

    impl BuildHasher for Counting {
        type Hasher = DefaultHasher;

        fn build_hasher(&self) -> DefaultHasher {
            self.0.fetch_add(1, Ordering::Relaxed);
            DefaultHasher::new()
        }
    }

    /// Makes a pattern of three names; `*` is any.
    fn pattern(parts: [&str; PARTS]) -> [Option<&str>; PARTS] {
        parts.map(|part| (part != "*").then_some(part))
    }

    #[test]
    fn the_most_specific_route_wins_in_the_documented_order() {
        let order = [
            ["b", "n", "o"],
            ["b", "n", "*"],
            ["b", "*", "o"],
            ["*", "n", "o"],
            ["b", "*", "*"],
            ["*", "n", "*"],
            ["*", "*", "o"],
            ["*", "*", "*"],
        ];
        // Whatever the order in which they were added. The table holds all patterns from `first`
        // on.
        for reversed in [false, true] {
            for first in 0..order.len() {
                let mut table = RouteTable::with_hashers(RandomState::new(), ByNumber::default());
                let mut added: Vec<_> = order.iter().enumerate().skip(first).collect();
                if reversed {
                    added.reverse();
                }
                for (rank, parts) in added {
                    assert!(table.insert(pattern(*parts), rank).is_none());
                }
                assert_eq!(table.find(["b", "n", "o"]), Some(&first));
            }
        }
    }

    #[test]
    fn an_exact_part_matches_itself_alone_and_in_its_own_place() {
        let mut table = RouteTable::with_hashers(RandomState::new(), ByNumber::default());
        table.insert(pattern(["kv", "*", "get"]), 1);
        assert_eq!(table.find(["kv", "anything", "get"]), Some(&1));
        for parts in
            [["kv", "x", "put"], ["get", "x", "kv"], ["x", "kv", "get"], ["KV", "x", "get"], ["", "", ""]]
        {
            assert_eq!(table.find(parts), None, "{parts:?}");
        }
        // A guest cannot ask for "any": an asterisk in its call is a name like any other.
        assert_eq!(table.find(["*", "x", "get"]), None);
    }

    #[test]
    fn a_second_route_of_a_pattern_takes_the_place_of_the_first() {
        let mut table = RouteTable::with_hashers(RandomState::new(), ByNumber::default());
        assert_eq!(table.insert(pattern(["a", "*", "*"]), 1), None);
        assert_eq!(table.insert(pattern(["a", "*", "*"]), 2), Some(1));
        assert_eq!(table.find(["a", "b", "c"]), Some(&2));
        assert_eq!(table.iter().count(), 1);
    }

    #[test]
    fn the_bits_of_wild_parts_are_those_of_the_shapes() {
        for (part, wild) in WILD.into_iter().enumerate() {
            for (place, shape) in SHAPES.into_iter().enumerate() {
                assert_eq!((wild >> place) & 1 == 0, shape[part], "part {part} of {shape:?}");
            }
        }
    }

    #[test]
    fn a_name_in_routes_of_one_shape_does_not_hide_those_of_another() {
        let mut table = RouteTable::with_hashers(RandomState::new(), ByNumber::default());
        // The first shape knows each of the names, but not together, and so do other shapes.
        table.insert(pattern(["b", "n", "x"]), 1);
        table.insert(pattern(["x", "x", "o"]), 2);
        table.insert(pattern(["b", "*", "x"]), 3);
        table.insert(pattern(["*", "n", "*"]), 4);
        table.insert(pattern(["*", "*", "o"]), 5);
        for (parts, route) in [
            (["b", "n", "x"], Some(&1)),
            (["x", "x", "o"], Some(&2)),
            (["b", "x", "x"], Some(&3)),
            (["b", "n", "o"], Some(&4)),
            (["b", "x", "o"], Some(&5)),
            (["b", "y", "y"], None),
        ] {
            assert_eq!(table.find(parts), route, "{parts:?}");
        }
    }

    #[test]
    fn a_thousand_routes_cost_no_more_hashes_than_eight() {
        // One route of each shape, then more of each.
        let hashes = |routes: usize, parts: [&str; PARTS]| {
            let counting = Counting::default();
            let mut table = RouteTable::with_hashers(counting.clone(), counting.clone());
            for number in 0..routes {
                let names = [format!("b{number}"), format!("n{number}"), format!("o{number}")];
                let shape = SHAPES[number % SHAPES.len()];
                let mut parts = [None; PARTS];
                for ((part, name), exact) in parts.iter_mut().zip(&names).zip(shape) {
                    *part = exact.then_some(name.as_str());
                }
                table.insert(parts, number % SHAPES.len());
            }
            let before = counting.0.load(Ordering::Relaxed);
            let found = table.find(parts).copied();
            (found, counting.0.load(Ordering::Relaxed) - before)
        };
        // The most specific route, one of a middle shape, and one that only the last shape serves,
        // with known and unknown names.
        for parts in [["b0", "n0", "o0"], ["b1", "n1", "zzz"], ["b4", "n3", "o2"], ["zzz", "zzz", "zzz"]] {
            let (few, small) = hashes(8, parts);
            let (many, large) = hashes(1000, parts);
            assert_eq!((few, small), (many, large), "{parts:?}");
            assert!((4..=11).contains(&large), "{parts:?}: {large} hashes");
        }
    }
}
