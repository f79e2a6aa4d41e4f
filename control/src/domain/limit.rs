//! Rate limits by the generic cell rate algorithm: one number per key, the time at which the key's debt is paid off.

/// A limit: `burst` requests at once, then one every `every_ms`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// Names it in keys and metrics.
    pub name: &'static str,
    /// Requests that may come at once, at least one.
    pub burst: u64,
    /// Milliseconds after which one more is allowed.
    pub every_ms: u64,
}

/// Sign-in tries from one address: a family behind one address signs in easily, a guesser gets 20 and then 20 a minute.
pub const LOGIN_BY_ADDRESS: Rule = Rule { name: "login", burst: 20, every_ms: 3_000 };
/// Sign-in tries on one account, given back when one succeeds: 10, then 2 a minute.
pub const LOGIN_BY_ACCOUNT: Rule = Rule { name: "login_account", burst: 10, every_ms: 30_000 };
/// New accounts from one address: a class room's worth, then 2 a minute.
pub const REGISTER: Rule = Rule { name: "register", burst: 30, every_ms: 30_000 };
/// Refreshes and sign-outs from one address.
pub const REFRESH: Rule = Rule { name: "refresh", burst: 60, every_ms: 500 };
/// Changing requests of one user: 60, then 5 a second.
pub const WRITE: Rule = Rule { name: "write", burst: 60, every_ms: 200 };
/// All the rules, for metrics.
pub const RULES: [Rule; 5] = [LOGIN_BY_ADDRESS, LOGIN_BY_ACCOUNT, REGISTER, REFRESH, WRITE];

/// Outcome of one request against a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// Allowed; the key's new number.
    Allowed(u64),
    /// Refused; milliseconds until one is allowed. The number stays.
    Refused(u64),
}

/// Takes one request. `paid_off_ms` is the key's number (0 when new), all times in milliseconds of one clock.
#[must_use]
pub fn take(rule: Rule, paid_off_ms: u64, now_ms: u64) -> Taken {
    let next = paid_off_ms.max(now_ms).saturating_add(rule.every_ms);
    let latest = now_ms.saturating_add(rule.every_ms.saturating_mul(rule.burst));
    if next <= latest { Taken::Allowed(next) } else { Taken::Refused(next.saturating_sub(latest)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_then_one_at_a_time() {
        let rule = Rule { name: "t", burst: 3, every_ms: 100 };
        let mut paid_off = 0;
        let mut allowed = 0;
        for _ in 0..10 {
            if let Taken::Allowed(next) = take(rule, paid_off, 1_000) {
                paid_off = next;
                allowed += 1;
            }
        }
        assert_eq!(allowed, 3);
        assert_eq!(take(rule, paid_off, 1_000), Taken::Refused(100));
        assert!(matches!(take(rule, paid_off, 1_100), Taken::Allowed(_)));
        assert!(matches!(take(rule, paid_off, 1_099), Taken::Refused(1)));
    }
}
