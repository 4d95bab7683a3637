//! Our addresses as peers see them, one of each family, where they are not the ones that we are bound to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Empty: peers see us where we are bound.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Outside {
    pub v4: Option<Ipv4Addr>,
    pub v6: Option<Ipv6Addr>,
}

impl Outside {
    /// The one that stands for `inside`: of its family, or there is none.
    #[must_use]
    pub fn of(&self, inside: IpAddr) -> Option<IpAddr> {
        match inside.to_canonical() {
            IpAddr::V4(_) => self.v4.map(IpAddr::from),
            IpAddr::V6(_) => self.v6.map(IpAddr::from),
        }
    }

    /// These where there are any, else `others`', family by family.
    #[must_use]
    pub fn or(&self, others: &Self) -> Self {
        Self { v4: self.v4.or(others.v4), v6: self.v6.or(others.v6) }
    }

    pub fn all(&self) -> impl Iterator<Item = IpAddr> {
        self.v4.map(IpAddr::from).into_iter().chain(self.v6.map(IpAddr::from))
    }
}

impl FromIterator<IpAddr> for Outside {
    /// The last one of each family.
    fn from_iter<T: IntoIterator<Item = IpAddr>>(addresses: T) -> Self {
        let mut outside = Self::default();
        for address in addresses {
            match address.to_canonical() {
                IpAddr::V4(ip) => outside.v4 = Some(ip),
                IpAddr::V6(ip) => outside.v6 = Some(ip),
            }
        }
        outside
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_stands_for_those_of_its_family_alone() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let all: Outside = [ip("192.0.2.5"), ip("2001:db8::5")].into_iter().collect();
        let trunk: Outside = [ip("203.0.113.7")].into_iter().collect();
        let both = trunk.or(&all);
        let cases = [
            (all, "10.0.0.1", Some("192.0.2.5")),
            (all, "::ffff:10.0.0.1", Some("192.0.2.5")),
            (all, "fd00::1", Some("2001:db8::5")),
            (trunk, "fd00::1", None),
            (both, "10.0.0.1", Some("203.0.113.7")),
            (both, "fd00::1", Some("2001:db8::5")),
            (Outside::default(), "10.0.0.1", None),
        ];
        for (outside, inside, expected) in cases {
            assert_eq!(outside.of(ip(inside)), expected.map(ip), "{outside:?} {inside}");
        }
        assert_eq!(both.all().collect::<Vec<_>>(), [ip("203.0.113.7"), ip("2001:db8::5")]);
    }
}
