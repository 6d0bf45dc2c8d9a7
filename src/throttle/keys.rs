//! By what is counted: digests in place of names and addresses.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::net::IpAddr;

/// Which address, account or pair, without saying so. Whoever does not know the secrets of the process cannot make
/// two names of the same digest, nor names that end up in the same place of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Digest(u64, u64);

impl Digest {
    pub(super) fn short(self) -> u64 {
        self.0
    }
}

/// Where an attempt comes from.
pub(super) struct Client {
    pub(super) address: Digest,
    pub(super) network: Digest,
}

pub(super) struct Keys([RandomState; 2]);

impl Keys {
    pub(super) fn new() -> Self {
        Self([RandomState::new(), RandomState::new()])
    }

    pub(super) fn client(&self, address: Option<IpAddr>) -> Client {
        let (kind, address, network) = significant(address);
        Client {
            address: self.digest(|hasher| {
                hasher.write_u8(kind);
                hasher.write_u64(address);
            }),
            network: self.digest(|hasher| {
                // A network is never an address, even where they are the same.
                hasher.write_u8(kind | 0x10);
                hasher.write_u64(network);
            }),
        }
    }

    pub(super) fn account(&self, name: &str) -> Digest {
        self.digest(|hasher| {
            hasher.write_u8(0x20);
            let mut text = [0; 4];
            for letter in name.trim().chars().flat_map(char::to_lowercase) {
                hasher.write(letter.encode_utf8(&mut text).as_bytes());
            }
        })
    }

    pub(super) fn pair(&self, place: Digest, account: Digest) -> Digest {
        self.digest(|hasher| {
            hasher.write_u8(0x30);
            for part in [place.0, place.1, account.0, account.1] {
                hasher.write_u64(part);
            }
        })
    }

    fn digest(&self, feed: impl Fn(&mut dyn Hasher)) -> Digest {
        let [first, second] = &self.0;
        let half = |secret: &RandomState| {
            let mut hasher = secret.build_hasher();
            feed(&mut hasher);
            hasher.finish()
        };
        Digest(half(first), half(second))
    }
}

/// What counts of an address: its kind, the part that one customer has, and the part that one site may have.
fn significant(address: Option<IpAddr>) -> (u8, u64, u64) {
    match address.map(|address| address.to_canonical()) {
        None => (0, 0, 0),
        Some(IpAddr::V4(address)) => {
            let bits = u64::from(address.to_bits());
            (4, bits, bits)
        }
        Some(IpAddr::V6(address)) => {
            let [.., a, b, c, d, e, f, g, h] = (address.to_bits() >> 64).to_be_bytes();
            let bits = u64::from_be_bytes([a, b, c, d, e, f, g, h]);
            (6, bits, bits >> 16)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ipv6_addresses_of_one_customer_share_a_key() {
        struct Case {
            name: &'static str,
            one: &'static str,
            other: &'static str,
            same_address: bool,
            same_network: bool,
        }
        let keys = Keys::new();
        for case in [
            Case {
                name: "IPv4 neighbours",
                one: "192.0.2.1",
                other: "192.0.2.2",
                same_address: false,
                same_network: false,
            },
            Case {
                name: "IPv4 in IPv6",
                one: "192.0.2.1",
                other: "::ffff:192.0.2.1",
                same_address: true,
                same_network: true,
            },
            Case {
                name: "IPv4 in IPv6, not mapped",
                one: "192.0.2.1",
                other: "::192.0.2.1",
                same_address: false,
                same_network: false,
            },
            Case {
                name: "the last bit of a /64",
                one: "2001:db8:1:2::",
                other: "2001:db8:1:2:ffff:ffff:ffff:ffff",
                same_address: true,
                same_network: true,
            },
            Case {
                name: "the next /64",
                one: "2001:db8:1:2::",
                other: "2001:db8:1:3::",
                same_address: false,
                same_network: true,
            },
            Case {
                name: "the next /48",
                one: "2001:db8:1:2::",
                other: "2001:db8:2:2::",
                same_address: false,
                same_network: false,
            },
        ] {
            let one = keys.client(Some(case.one.parse().unwrap()));
            let other = keys.client(Some(case.other.parse().unwrap()));
            let name = case.name;
            assert_eq!(one.address == other.address, case.same_address, "{name}");
            assert_eq!(one.network == other.network, case.same_network, "{name}");
        }
        let nobody = keys.client(None).address;
        let zero = keys.client(Some(IpAddr::from([0, 0, 0, 0]))).address;
        assert_ne!(nobody, zero);
    }

    #[test]
    fn account_key_ignores_case_and_surrounding_spaces() {
        let keys = Keys::new();
        let alice = keys.account("alice");
        for same in ["Alice", "ALICE", " alice", "alice\t"] {
            assert_eq!(keys.account(same), alice, "{same:?}");
        }
        assert_eq!(keys.account("ÄRGER"), keys.account("ärger"));
        for other in ["alic", "alice1", "al ice", "", "аlice"] {
            assert_ne!(keys.account(other), alice, "{other:?}");
        }
        // Another process, another secret.
        assert_ne!(Keys::new().account("alice"), alice);
    }
}
