//! Which addresses a guest's request may go to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

/// Refuses addresses that are not of the public internet, but for those that the grant names.
#[derive(Clone, Debug, Default)]
pub(super) struct Guard {
    allowed: Vec<IpNet>,
}

impl Guard {
    pub(super) fn new(allowed: &[IpNet]) -> Self {
        Self { allowed: allowed.to_vec() }
    }

    /// Returns the address to connect to, or what kind of address it is that must not be.
    pub(super) fn check(&self, address: IpAddr) -> Result<IpAddr, &'static str> {
        // An IPv4 address is judged as one, however it is written, and connected to as one.
        let address = address.to_canonical();
        if self.allowed.iter().any(|net| net.contains(&address)) {
            return Ok(address);
        }
        let refused = match address {
            IpAddr::V4(address) => v4(address),
            IpAddr::V6(address) => v6(address),
        };
        refused.map_or(Ok(address), Err)
    }
}

fn v4(address: Ipv4Addr) -> Option<&'static str> {
    Some(match address.octets() {
        [0, ..] => "unspecified",
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] => "private",
        [100, 64..=127, ..] => "shared",
        [127, ..] => "loopback",
        [169, 254, ..] => "link-local",
        [192, 0, 0, _] | [192, 88, 99, _] => "reserved",
        [192, 0, 2, _] | [198, 51, 100, _] | [203, 0, 113, _] => "documentation",
        [198, 18..=19, ..] => "benchmark",
        [224..=239, ..] => "multicast",
        [240..=255, ..] => "reserved",
        _ => return None,
    })
}

fn v6(address: Ipv6Addr) -> Option<&'static str> {
    let bytes = address.octets();
    let inner = |at: usize| match bytes.get(at..).and_then(<[u8]>::first_chunk::<4>) {
        Some(inner) => v4(Ipv4Addr::from(*inner)),
        None => Some("reserved"),
    };
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0] => Some("unspecified"),
        [0, 0, 0, 0, 0, 0, 0, 1] => Some("loopback"),
        [0, 0, 0, 0, 0, 0, ..] => Some("IPv4-compatible"),
        // NAT64: a translator of the network's provider passes it on to the IPv4 address inside.
        [0x64, 0xff9b, 0, 0, 0, 0, ..] => inner(12),
        [0x64, 0xff9b, 1, ..] => Some("local NAT64"),
        // Teredo, benchmarks, and what else was assigned to protocols.
        [0x2001, 0..=0x1ff, ..] => Some("tunnel or protocol"),
        [0x2001, 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] => Some("documentation"),
        // 6to4: a relay passes it on to the IPv4 address inside.
        [0x2002, ..] => inner(2),
        [0x2000..=0x3fff, ..] => None,
        [0xfc00..=0xfdff, ..] => Some("private"),
        [0xfe80..=0xfebf, ..] => Some("link-local"),
        [0xff00..=0xffff, ..] => Some("multicast"),
        // Nothing else was given out to anyone.
        _ => Some("reserved"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(guard: &Guard, address: &str) -> Result<IpAddr, &'static str> {
        guard.check(address.parse().unwrap())
    }

    #[test]
    fn addresses_of_the_public_internet_are_allowed_and_no_others() {
        let guard = Guard::default();
        for public in [
            "1.1.1.1",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.0",
            "169.253.255.255",
            "172.15.255.255",
            "172.32.0.0",
            "192.0.1.0",
            "192.167.255.255",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "2606:4700::1111",
            "2001:200::1",
            "2001:4860:4860::8888",
            "2003::1",
            "3ffe::1",
            "64:ff9b::1.1.1.1",
            "2002:101:101::1",
        ] {
            assert_eq!(check(&guard, public), Ok(public.parse().unwrap()));
        }
        for (address, kind) in [
            ("0.0.0.0", "unspecified"),
            ("0.1.2.3", "unspecified"),
            ("10.0.0.1", "private"),
            ("100.64.0.1", "shared"),
            ("100.127.255.255", "shared"),
            ("127.0.0.1", "loopback"),
            ("127.255.255.255", "loopback"),
            ("169.254.169.254", "link-local"),
            ("172.16.0.1", "private"),
            ("172.31.255.255", "private"),
            ("192.0.0.1", "reserved"),
            ("192.0.2.1", "documentation"),
            ("192.88.99.1", "reserved"),
            ("192.168.0.1", "private"),
            ("198.18.0.1", "benchmark"),
            ("198.19.255.255", "benchmark"),
            ("198.51.100.1", "documentation"),
            ("203.0.113.1", "documentation"),
            ("224.0.0.1", "multicast"),
            ("239.255.255.255", "multicast"),
            ("240.0.0.1", "reserved"),
            ("255.255.255.255", "reserved"),
            ("::", "unspecified"),
            ("::1", "loopback"),
            ("::2", "IPv4-compatible"),
            ("::127.0.0.1", "IPv4-compatible"),
            ("::8.8.8.8", "IPv4-compatible"),
            ("::ffff:127.0.0.1", "loopback"),
            ("::ffff:10.0.0.1", "private"),
            ("::ffff:169.254.169.254", "link-local"),
            ("::ffff:0:7f00:1", "reserved"),
            ("64:ff9b::127.0.0.1", "loopback"),
            ("64:ff9b::a9fe:a9fe", "link-local"),
            ("64:ff9b::192.168.1.1", "private"),
            ("64:ff9b:1::1", "local NAT64"),
            ("64:ff9b:1:a00:1:100::", "local NAT64"),
            ("64:ff9b:0:1::1", "reserved"),
            ("100::1", "reserved"),
            ("2001::1", "tunnel or protocol"),
            ("2001:0:4136:e378:8000:63bf:3fff:fdd2", "tunnel or protocol"),
            ("2001:2::1", "tunnel or protocol"),
            ("2001:1ff:ffff::", "tunnel or protocol"),
            ("2001:db8::1", "documentation"),
            ("3fff::1", "documentation"),
            ("2002:7f00:1::1", "loopback"),
            ("2002:a00:1::1", "private"),
            ("2002:c0a8:101::1", "private"),
            ("4000::1", "reserved"),
            ("5f00::1", "reserved"),
            ("fc00::1", "private"),
            ("fd12:3456::1", "private"),
            ("fe80::1", "link-local"),
            ("fec0::1", "reserved"),
            ("ff02::1", "multicast"),
        ] {
            assert_eq!(check(&guard, address), Err(kind), "{address}");
        }
    }

    #[test]
    fn a_named_network_is_allowed_and_its_neighbours_are_not() {
        let nets = ["127.0.0.1/32", "10.1.0.0/16", "fd00::/8"].map(|net| net.parse().unwrap());
        let guard = Guard::new(&nets);
        assert_eq!(check(&guard, "10.1.255.1"), Ok("10.1.255.1".parse().unwrap()));
        // It is connected to as what it is.
        assert_eq!(check(&guard, "::ffff:127.0.0.1"), Ok("127.0.0.1".parse().unwrap()));
        assert_eq!(check(&guard, "fd00::1"), Ok("fd00::1".parse().unwrap()));
        assert_eq!(check(&guard, "127.0.0.2"), Err("loopback"));
        assert_eq!(check(&guard, "10.2.0.0"), Err("private"));
        assert_eq!(check(&guard, "fc00::1"), Err("private"));
        // The way to it is another one, so it needs a net of its own.
        assert_eq!(check(&guard, "64:ff9b::127.0.0.1"), Err("loopback"));
    }
}
